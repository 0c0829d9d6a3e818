"""The walkers that a probe takes along: one per kind of processor, whatever this machine is."""

from __future__ import annotations

import json
import os
import platform
import re
import shlex
import subprocess
import sys
import zlib
from base64 import b64decode, b64encode
from pathlib import Path

import pytest
from test_packaging import PROBES, PYTHONS, ROOT, VERSIONS

from memprobe.targets import walker_file
from memprobe_probes import courier, native_walker

FOLDER = ROOT / "src" / "memprobe" / walker_file.CARRIED
MACHINES = ("x86_64", "aarch64")
BUILT = {machine: FOLDER / f"linux-{machine}.so" for machine in MACHINES}
PROGRAM = Path(__file__).with_name("programs") / "walks_elsewhere.py"
# The command that runs a Python of the other kind: an emulator and its options.
EMULATED = os.environ.get("MEMPROBE_PYTHON_AARCH64", "")

needs_carried = pytest.mark.skipif(
    not all(path.exists() for path in BUILT.values()),
    reason="the walkers for other machines are not built here: make walkers",
)


@needs_carried
@pytest.mark.parametrize("machine", MACHINES)
def test_each_is_for_its_processor_and_for_systems_of_2012_on(machine: str) -> None:
    content = BUILT[machine].read_bytes()
    assert walker_file.machine_of(BUILT[machine]) == machine
    assert b"PyInit_walker" in content
    assert max(int(minor) for minor in re.findall(rb"GLIBC_2\.(\d+)", content)) <= 17
    assert os.fsencode(ROOT) not in content


@needs_carried
def test_none_is_older_than_its_sources() -> None:
    sources = [PROBES / "walker.c", *PROBES.glob("native/*.[ch]")]
    newest = max(path.stat().st_mtime for path in sources)
    assert min(path.stat().st_mtime for path in BUILT.values()) >= newest, "make walkers"


@needs_carried
@pytest.mark.parametrize("version", VERSIONS)
def test_it_walks_on_every_python_of_this_machine(version: str) -> None:
    python, machine = PYTHONS[version], platform.machine()
    if python is None or machine not in MACHINES:
        pytest.skip(f"Python {version} on {machine} is not here")
    assert _walked([python], machine)["bytes"] == pytest.approx(8_000_000, rel=0.01)


@needs_carried
@pytest.mark.skipif(not EMULATED, reason="MEMPROBE_PYTHON_AARCH64 names no Python to emulate")
def test_it_walks_on_the_other_processor() -> None:
    found = _walked(shlex.split(EMULATED), "aarch64")
    assert found["machine"] == "aarch64"
    assert found["bytes"] == pytest.approx(8_000_000, rel=0.01)


def _walked(python: list[str], machine: str) -> dict[str, object]:
    command = [*python, "-I", "-S", str(PROGRAM), str(PROBES.parent), str(BUILT[machine])]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


@needs_carried
def test_a_probe_takes_all_of_them_along() -> None:
    carried = walker_file.carried()
    assert [one["machine"] for one in carried["built"]] == sorted(MACHINES)
    for one in carried["built"]:
        content = zlib.decompress(b64decode(one["content"]))
        assert content == BUILT[one["machine"]].read_bytes()
    assert os.fspath(ROOT) not in json.dumps(carried)


def test_without_any_the_reason_is_taken_along(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(walker_file, "_built_for_others", list)
    monkeypatch.setattr(walker_file, "_installed", lambda: tmp_path / "none.so")
    assert walker_file.carried() == {"missing": native_walker.NOT_BUILT}


def test_what_is_no_extension_of_64_bits_is_no_walker(tmp_path: Path) -> None:
    path = tmp_path / "walker.so"
    for content in (b"", b"MZ", b"\x7fELF\x01\x01" + bytes(12) + b"\x3e\0", b"#!/bin/sh\n" * 3):
        path.write_bytes(content)
        assert walker_file.machine_of(path) is None


def _told(*machines: str) -> dict[str, object]:
    packed = b64encode(zlib.compress(b"content of " + machines[0].encode())).decode()
    rows = [{"machine": one, "sha256": one, "content": packed} for one in machines]
    return {"name": native_walker.FILE, "built": rows}


def test_the_target_takes_the_one_for_its_processor(tmp_path: Path) -> None:
    machine = os.uname().machine
    found = courier._unpacked(_told(machine, "other"), str(tmp_path))
    path = tmp_path / native_walker.FILE
    assert found == {"path": str(path), "sha256": machine}
    assert path.read_bytes() == b"content of " + machine.encode()
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_target_says_where_none_is_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native_walker, "_own_file", lambda: None)
    module, why = native_walker._load(courier._unpacked(_told("vax"), str(tmp_path)))
    assert module is None
    machine = os.uname().machine
    assert why == f"the native walker did not come along for this kind of processor ({machine})"
    assert list(tmp_path.iterdir()) == []


@needs_carried
def test_where_nothing_may_be_executed_it_is_loaded_from_memory(tmp_path: Path) -> None:
    machine = platform.machine()
    if machine not in MACHINES:
        pytest.skip(f"no walker is made for {machine}")
    code = (
        "import os\n"
        "from memprobe_probes import native_walker\n"
        "native_walker._own_file = lambda: None\n"
        "before = sorted(os.listdir('/proc/self/fd'))\n"
        f"path = {str(tmp_path / native_walker.FILE)!r}\n"
        "first, why = native_walker.load(path)\n"
        "native_walker._results.clear()\n"
        "second, why = native_walker.load(path)\n"
        "print(first.check(), second.check(), why, first is second)\n"
        "print(sorted(os.listdir('/proc/self/fd')) == before)\n"
    )
    shell = 'mount -t tmpfs -o noexec none "$1" && cp "$2" "$1/$5" && exec "$3" -c "$4"'
    words = [str(tmp_path), str(BUILT[machine]), sys.executable, code, native_walker.FILE]
    mounted = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", shell, "-", *words]
    done = subprocess.run(mounted, capture_output=True, text=True)
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
    assert done.stdout == "None None None False\nTrue\n", done.stderr
