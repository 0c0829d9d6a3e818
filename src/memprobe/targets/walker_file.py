"""What a target is told of this installation's native walker, to load it from here."""

from __future__ import annotations

import base64
import zlib
from pathlib import Path
from typing import Any

import memprobe_probes
from memprobe_probes import native_walker


def offered() -> dict[str, Any]:
    """Return ``config["walker"]``: the file's path and hash, or why there is none.

    One file fits every CPython from 3.10 on this platform, so the target's may be another than
    ours. Where the target cannot see the file, it finds that out by itself and says so.
    """
    path = Path(memprobe_probes.__file__).with_name(native_walker.FILE).resolve()
    try:
        return native_walker.described(str(path))
    except (OSError, native_walker.Refused):
        return {"missing": native_walker.NOT_BUILT}


def carried() -> dict[str, Any]:
    """Return the same with the file's content in it, for a target that sees no file of ours.

    The target loads it where it was built for its kind of machine, and says why where it was not.
    """
    told = offered()
    if "path" not in told:
        return told
    content = Path(told["path"]).read_bytes()
    packed = base64.b64encode(zlib.compress(content, 9)).decode()
    return {"name": native_walker.FILE, "sha256": told["sha256"], "content": packed}
