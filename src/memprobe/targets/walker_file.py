"""What a target is told of native walkers: where ours lies, or the file itself."""

from __future__ import annotations

import base64
import zlib
from importlib import resources
from pathlib import Path
from typing import Any

import memprobe_probes
from memprobe_probes import native_walker

CARRIED = "walkers"  # folder in this package, of walkers for other machines than this one
# Of an ELF file's header: 64 bits with the low byte first, and then the kind of processor.
_MACHINES = {62: "x86_64", 183: "aarch64"}


def offered() -> dict[str, Any]:
    """Return ``config["walker"]``: the file's path and hash, or why there is none.

    One file fits every CPython from 3.10 on this platform, so the target's may be another than
    ours. Where the target cannot see the file, it finds that out by itself and says so.
    """
    try:
        return native_walker.described(str(_installed()))
    except (OSError, native_walker.Refused):
        return {"missing": native_walker.NOT_BUILT}


def carried() -> dict[str, Any]:
    """Return the walkers themselves, for a target that sees no file of ours.

    ``{"name", "built": [{"machine", "sha256", "content"}]}``, one per kind of processor: the
    target takes its own, and says so where there is none. Those that ``make walkers`` built come
    first: they need an older C library than what a compiler here makes.
    """
    found: dict[str, dict[str, Any]] = {}
    for path in (*_built_for_others(), _installed()):
        machine = machine_of(path)
        if machine is not None:
            found.setdefault(machine, _packed(path, machine))
    if not found:
        return {"missing": native_walker.NOT_BUILT}
    return {"name": native_walker.FILE, "built": list(found.values())}


def machine_of(path: Path) -> str | None:
    """Return what ``uname -m`` says where this extension runs; None for what is no walker."""
    try:
        with open(path, "rb") as file:
            head = file.read(20)
    except OSError:
        return None
    if head[:6] != b"\x7fELF\x02\x01":
        return None
    return _MACHINES.get(int.from_bytes(head[18:20], "little"))


def _installed() -> Path:
    return Path(memprobe_probes.__file__).with_name(native_walker.FILE).resolve()


def _built_for_others() -> list[Path]:
    folder = Path(str(resources.files("memprobe"))) / CARRIED
    return sorted(folder.glob("*.so"))


def _packed(path: Path, machine: str) -> dict[str, Any]:
    known = native_walker.described(str(path))["sha256"]
    content = base64.b64encode(zlib.compress(path.read_bytes(), 9)).decode()
    return {"machine": machine, "sha256": known, "content": content}
