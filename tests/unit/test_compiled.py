"""The probe's modules compiled beforehand: used where the target has the same bytecode."""

from __future__ import annotations

import importlib.util
import json
import marshal
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from memprobe.targets import compiled, payload, process_payload
from memprobe_probes import VERSION

OTHER = b"\0\0\r\n"
# A fresh Python loads the modules as a kernel does; it tells whether that worked.
KERNEL = """
import json, sys
scope = json.loads(sys.stdin.read())
exec(scope.pop("loader"), scope)
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


def broken() -> dict[str, str]:
    return dict.fromkeys(payload.texts(), "raise RuntimeError('from its text')")


def loaded(texts: dict[str, str], folder: Path) -> str:
    """Return where a fresh Python has its modules from, or the last line of its error."""
    scope = {"loader": payload._WITH_CODES, "TEXTS": texts, "VERSION": VERSION,
             "CONFIG": {"folder": str(folder)}}  # fmt: skip
    return ran(KERNEL, json.dumps(scope).encode())


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


def test_a_kernel_reads_them_instead_of_compiling(folder: Path) -> None:
    with compiled.beside(folder):
        assert (folder / compiled.NAME).stat().st_mode & 0o777 == 0o600
        assert loaded(broken(), folder) == "<memprobe_probes/sampler>"
    assert os.listdir(folder) == []
    assert "from its text" in loaded(broken(), folder)


def test_another_bytecode_is_not_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = {**compiled.parts(), "magic": OTHER}
    monkeypatch.setattr(compiled, "parts", lambda: other)
    with compiled.beside(folder):
        assert "from its text" in loaded(broken(), folder)
        assert loaded(payload.texts(), folder) == "<memprobe_probes/sampler>"


@pytest.mark.parametrize("spoilt", ["open folder", "open file", "link", "cut", "no marshal"])
def test_what_somebody_else_could_have_put_there_is_not_read(spoilt: str, folder: Path) -> None:
    with compiled.beside(folder):
        file = folder / compiled.NAME
        if spoilt == "open folder":
            folder.chmod(0o755)
        elif spoilt == "open file":
            file.chmod(0o644)
        elif spoilt == "link":
            file.rename(folder / "other")
            file.symlink_to("other")
        elif spoilt == "cut":
            os.truncate(file, 1000)
        else:
            file.write_bytes(b"no marshal")
        assert "from its text" in loaded(broken(), folder)
        assert loaded(payload.texts(), folder) == "<memprobe_probes/sampler>"


def test_a_file_that_cannot_be_written_is_done_without(folder: Path) -> None:
    (folder / compiled.NAME).mkdir()
    with pytest.raises(OSError), compiled.beside(folder):
        assert loaded(payload.texts(), folder) == "<memprobe_probes/sampler>"


@pytest.mark.parametrize(("magic", "works"), [(importlib.util.MAGIC_NUMBER, True), (OTHER, False)])
def test_a_plain_process_reads_them_where_it_can(magic: bytes, works: bool) -> None:
    parts: dict[str, Any] = marshal.loads(process_payload.payload({}, 0.0))
    parts.update(texts=broken(), magic=magic)
    said = ran(PROCESS, marshal.dumps(parts))
    expected = '{"id":"entered","ok":false,"error":"expired"} []'
    assert said == (expected if works else "RuntimeError: from its text")
