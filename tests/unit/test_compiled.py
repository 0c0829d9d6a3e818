"""The probe's modules compiled beforehand: used where the target has the same bytecode."""

from __future__ import annotations

import importlib.util
import marshal
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from memprobe.targets import compiled, payload, probe_file, process_payload
from memprobe_probes import VERSION
from memprobe_probes.entry import FILE

OTHER = b"\0\0\r\n"
# A fresh Python reads the folder and loads the modules as a kernel does; it tells whether that
# worked.
KERNEL = """
import sys, types
package = sys.modules["visit"] = types.ModuleType("visit")
package.__path__ = []
package.visiting = types.ModuleType("visit.visiting")
entry = types.ModuleType("visit.entry")
entry.__package__ = "visit"
exec({entry!r}, entry.__dict__)
parts = entry._read({folder!r})
exec(parts["loader"])
_memprobe_load(parts["texts"], {version!r}, entry._codes(parts))
from memprobe_probes import sampler
print(sampler.__file__ if hasattr(sampler, "__file__") else sampler.__spec__.origin)
"""
# The same as a plain process, up to the probe itself.
PROCESS = """
import marshal, sys
parts = marshal.loads(sys.stdin.buffer.read())
exec(parts["loader"].replace("_memprobe_main()\\n", ""), parts)
answer = parts["_memprobe_enter"](
    parts["texts"], parts["codes"], parts["magic"], parts["version"], {}, 0)
print(answer, [one for one in sys.modules if "memprobe" in one])
"""


FROM_CODE = "<memprobe_probes/sampler>"
FROM_TEXT = "RuntimeError: from its text"


TEXTS = payload.texts()


def broken() -> dict[str, str]:
    return dict.fromkeys(TEXTS, "raise RuntimeError('from its text')")


def loaded(folder: Path) -> str:
    """Return where a fresh Python has its modules from, or the last line of its error."""
    entry = TEXTS["memprobe_probes.entry"]
    program = KERNEL.format(entry=entry, folder=str(folder), version=VERSION)
    return ran(program, b"")


def ran(program: str, given: bytes) -> str:
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], input=given, capture_output=True
    )
    return (done.stdout or done.stderr).decode().strip().splitlines()[-1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path


def test_each_module_is_there_and_tells_no_path_of_ours() -> None:
    codes = compiled.parts()["codes"]
    assert set(codes) == set(payload.texts())
    code = marshal.loads(codes["memprobe_probes.sampler"])
    inner = [one for one in code.co_consts if hasattr(one, "co_filename")]
    assert inner
    assert {one.co_filename for one in (code, *inner)} == {"<memprobe_probes/sampler.py>"}
    assert not any(os.getcwd().encode() in one for one in codes.values())


def test_a_kernel_reads_them_instead_of_compiling(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(payload, "texts", broken)
    with probe_file.beside(folder, os.getpid()) as reads:
        assert reads
        assert (folder / FILE).stat().st_mode & 0o777 == 0o600
        assert loaded(folder) == FROM_CODE
    assert os.listdir(folder) == []


def test_another_bytecode_is_not_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = {**compiled.parts(), "magic": OTHER}
    monkeypatch.setattr(compiled, "parts", lambda: other)
    with probe_file.beside(folder, os.getpid()):
        assert loaded(folder) == FROM_CODE
    monkeypatch.setattr(payload, "texts", broken)
    with probe_file.beside(folder, os.getpid()):
        assert loaded(folder) == FROM_TEXT


@pytest.mark.parametrize(
    ("spoilt", "error"),
    [("open folder", "PermissionError"), ("open file", "PermissionError"), ("link", "OSError"),
     ("other folder", "NotADirectoryError"), ("cut", "EOFError"), ("no marshal", "Error")],
)  # fmt: skip
def test_what_somebody_else_could_have_put_there_is_not_run(
    spoilt: str, error: str, folder: Path
) -> None:
    with probe_file.beside(folder, os.getpid()):
        file, seen = folder / FILE, folder
        if spoilt == "open folder":
            folder.chmod(0o755)
        elif spoilt == "open file":
            file.chmod(0o644)
        elif spoilt == "link":
            file.rename(folder / "other")
            file.symlink_to("other")
        elif spoilt == "other folder":
            seen = folder.with_name(folder.name + "-link")
            seen.symlink_to(folder)
        elif spoilt == "cut":
            os.truncate(file, 1000)
        else:
            file.write_bytes(b"no marshal")
        assert error in loaded(seen).split(":")[0]


def test_without_a_file_the_probe_goes_with_the_request(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with probe_file.beside(folder, 2**22 + 1) as reads:  # no process: pids are smaller
        assert not reads
    (folder / FILE).mkdir()
    with probe_file.beside(folder, os.getpid()) as reads:
        assert not reads
    (folder / FILE).rmdir()
    # A process that has another folder at this place: a container's.
    monkeypatch.setattr(os.path, "samestat", lambda one, other: False)
    with probe_file.beside(folder, os.getpid()) as reads:
        assert not reads


@pytest.mark.parametrize(("magic", "works"), [(importlib.util.MAGIC_NUMBER, True), (OTHER, False)])
def test_a_plain_process_reads_them_where_it_can(magic: bytes, works: bool) -> None:
    parts: dict[str, Any] = marshal.loads(process_payload.payload({}, 0.0))
    parts.update(texts=broken(), magic=magic)
    said = ran(PROCESS, marshal.dumps(parts))
    expected = '{"id":"entered","ok":false,"error":"expired"} []'
    assert said == (expected if works else FROM_TEXT)
