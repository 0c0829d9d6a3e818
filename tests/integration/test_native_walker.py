"""The native walker is loaded from its file by every Python it fits, or the reason is told."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from test_packaging import PYTHONS, VERSIONS, run

from memprobe.targets import payload, walker_file
from memprobe_probes import native_walker

BUILT = Path(native_walker.__file__).with_name(native_walker.FILE)
needs_walker = pytest.mark.skipif(not BUILT.exists(), reason="the native walker is not built here")

# A module as small as one can be, whose check() says what it is told to; an old one has no number.
SMALLEST = """
#include <Python.h>
static PyObject *check(PyObject *self, PyObject *none) { return PyUnicode_FromString(SAYS); }
#if NUMBER
static PyObject *interface(PyObject *self, PyObject *none) { return PyLong_FromLong(NUMBER); }
#define OWN {"interface", interface, METH_NOARGS, 0},
#else
#define OWN
#endif
static PyMethodDef methods[] = {OWN {"check", check, METH_NOARGS, 0}, {0}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "walker", 0, 0, methods};
PyMODINIT_FUNC PyInit_walker(void) { return PyModuleDef_Init(&definition); }
"""


@pytest.fixture(params=VERSIONS)
def python(request: pytest.FixtureRequest) -> str:
    """Each supported interpreter in turn."""
    found = PYTHONS[request.param]
    if found is None:
        pytest.skip(f"Python {request.param} is not installed")
    return found


@pytest.fixture
def from_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """This module as a payload has it: without a file, and nothing loaded yet."""
    monkeypatch.setattr(native_walker, "_own_file", lambda: None)
    monkeypatch.setattr(native_walker, "_results", {})


def reason(where: Any) -> str:
    module, told = native_walker.load(where)
    assert module is None
    assert told is not None
    assert told.startswith("the native walker ")
    return told


def built(path: Path, says: str, number: int = native_walker.INTERFACE) -> Path:
    """Compile an extension whose check() refuses with ``says``; without interface() for 0."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    headers = sysconfig.get_paths()["include"]
    if compiler is None or not Path(headers, "Python.h").exists():
        pytest.skip("no C compiler, or no headers of Python")
    source = path.with_suffix(".c")
    source.write_text(SMALLEST)
    new = path.with_suffix(".new")
    what = [f"-I{headers}", "-DPy_LIMITED_API=0x030A0000", f'-DSAYS="{says}"', f"-DNUMBER={number}"]
    run(compiler, "-shared", "-fPIC", *what, str(source), "-o", str(new))
    os.replace(new, path)
    return path


@needs_walker
def test_a_probe_made_of_text_loads_the_hosts_file_on_every_python(
    python: str, tmp_path: Path
) -> None:
    code = f"""
import sys, types
texts = {payload.texts()!r}
def probe():
    for name in [one for one in sys.modules if one.startswith("memprobe_probes")]:
        del sys.modules[name]
    for name in ("memprobe_probes", "memprobe_probes.user_signals",
                 "memprobe_probes.native_walker"):
        module = sys.modules[name] = types.ModuleType(name)
        module.__package__ = "memprobe_probes"
        module.__path__ = []
        exec(texts[name], module.__dict__)
    return module
loaded = probe()
sys.modules["memprobe_probes"].user_signals = sys.modules["memprobe_probes.user_signals"]
import hashlib
before, path = set(sys.modules), list(sys.path)
first, why = loaded.load({walker_file.offered()!r})
assert first is not None, why
assert (first, None) == loaded.load({walker_file.offered()!r})
assert set(sys.modules) == before and sys.path == path
second, why = probe().load({walker_file.offered()!r})
assert second is not None and second is not first, why
print(first.check(), second.check())
"""
    script = tmp_path / "loads.py"
    script.write_text(code)
    assert run(python, "-I", "-S", "-W", "error", str(script)) == "None None\n"


@needs_walker
def test_an_installed_probe_loads_its_own_file_and_imports_nothing_for_it(python: str) -> None:
    code = f"""
import sys
sys.dont_write_bytecode = True
sys.path.insert(0, {str(BUILT.parents[1])!r})
from memprobe_probes import native_walker
before = set(sys.modules)
module, why = native_walker.load()
print(why, sorted(set(sys.modules) - before))
"""
    assert run(python, "-I", "-S", "-c", code) == "None []\n"


def test_interpreters_it_does_not_fit_are_refused_by_name(
    from_text: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = sys.version_info
    for name, value, said in (
        ("platform", "darwin", "needs 64-bit Linux"),
        ("maxsize", 2**31 - 1, "needs 64-bit Linux"),
        ("implementation", SimpleNamespace(name="pypy"), "needs CPython, and this is pypy"),
        ("abiflags", "t", "this is a free-threaded Python"),
        ("abiflags", "td", "this is a free-threaded Python"),
        ("version_info", (3, 9, *real[2:]), "and this is 3.9"),
        ("version_info", (3, 15, *real[2:]), "and this is 3.15"),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(native_walker.sys, name, value)
            native_walker._results.clear()
            assert said in reason(str(BUILT))


def test_a_host_without_the_walker_says_how_to_get_it(from_text: None) -> None:
    assert "install a wheel" in reason(None)
    assert "C compiler" in reason({"missing": native_walker.NOT_BUILT})


def test_the_host_offers_its_file_or_says_that_there_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(native_walker, "FILE", "no-such.so")
    assert walker_file.offered() == {"missing": native_walker.NOT_BUILT}
    monkeypatch.setattr(native_walker, "FILE", "__init__.py")
    offered = walker_file.offered()
    assert offered["path"] == str(BUILT.with_name("__init__.py"))
    assert len(offered["sha256"]) == native_walker.DIGITS


def test_a_file_out_of_sight_is_told_without_naming_a_folder(
    from_text: None, tmp_path: Path
) -> None:
    for path in (tmp_path / "gone.so", Path(__file__, "gone.so")):
        said = reason({"path": str(path), "sha256": "0"})
        assert "out of sight" in said
        assert "/" not in said


def test_another_file_in_its_place_is_refused(from_text: None, tmp_path: Path) -> None:
    place = tmp_path / native_walker.FILE
    place.write_bytes(b"\x7fELF" + bytes(100))
    known = native_walker.described(str(place))
    place.write_bytes(b"\x7fELF" + bytes(99) + b"\1")
    assert "another file" in reason(known)


def test_what_is_no_extension_is_refused_without_waiting(from_text: None, tmp_path: Path) -> None:
    pipe, text = tmp_path / "pipe", tmp_path / "text"
    os.mkfifo(pipe)
    text.write_text("a text")
    for path in (pipe, text, tmp_path):
        assert "is no extension module" in reason(str(path))


@pytest.fixture
def powerless() -> Iterator[None]:
    """Root may read everything: for this test it is nobody."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def unreadable(tmp_path: Path) -> Path:
    path = tmp_path / native_walker.FILE
    path.write_bytes(b"\x7fELF")
    path.chmod(0)
    return path


def test_a_file_that_may_not_be_read_is_told(
    from_text: None, unreadable: Path, powerless: None
) -> None:
    assert "may not be read" in reason(str(unreadable))


@needs_walker
@pytest.mark.parametrize(("at", "value"), [(4, 1), (5, 2), (18, 243)])
def test_another_word_size_byte_order_or_processor_is_refused(
    from_text: None, tmp_path: Path, at: int, value: int
) -> None:
    content = bytearray(BUILT.read_bytes())
    content[at] = value
    path = tmp_path / native_walker.FILE
    path.write_bytes(content)
    assert "another kind of processor" in reason(str(path))


@needs_walker
def test_a_file_that_may_not_be_executed_is_told_where_memory_may_not_either(
    tmp_path: Path,
) -> None:
    code = (
        "import os\n"
        "del os.memfd_create\n"
        "from memprobe_probes import native_walker\n"
        "native_walker._own_file = lambda: None\n"
        f"print(native_walker.load({str(tmp_path / native_walker.FILE)!r})[1])"
    )
    shell = 'mount -t tmpfs -o noexec none "$1" && cp "$2" "$1" && exec "$3" -c "$4"'
    words = [str(tmp_path), str(BUILT), sys.executable, code]
    mounted = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", shell, "-", *words]
    done = subprocess.run(mounted, capture_output=True, text=True)
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
    assert "(mounted noexec)" in done.stdout


def test_a_truncated_file_is_told_in_the_loaders_words(from_text: None, tmp_path: Path) -> None:
    path = tmp_path / native_walker.FILE
    path.write_bytes(Path(sys.executable).resolve().read_bytes()[:64])
    said = reason(str(path))
    assert "cannot be loaded" in said
    assert str(tmp_path) not in said


def test_a_walker_that_does_not_know_this_python_is_refused(
    from_text: None, tmp_path: Path
) -> None:
    path = built(tmp_path / native_walker.FILE, says="a dict is larger here")
    assert reason(str(path)).endswith("does not fit this Python: a dict is larger here")


@pytest.mark.parametrize("number", [0, native_walker.INTERFACE + 1])
def test_a_walker_of_another_version_is_not_used(
    from_text: None, tmp_path: Path, number: int
) -> None:
    path = built(tmp_path / native_walker.FILE, says="it was asked", number=number)
    said = reason(str(path))
    assert "another version of memprobe" in said
    assert "make native" in said


def test_the_number_goes_up_with_what_the_stub_says() -> None:
    stub = BUILT.with_name("walker.pyi").read_bytes()
    digest = hashlib.sha256(stub).hexdigest()[:16]
    assert (native_walker.INTERFACE, digest) == (2, "b39fb3edc4c438ff"), (
        "where what a function takes or gives has changed, raise the number in walker.c and in "
        "native_walker.py; then write the new digest here"
    )


def test_after_an_upgrade_a_running_process_gets_the_new_file(
    from_text: None, tmp_path: Path
) -> None:
    path = tmp_path / native_walker.FILE
    for version in ("first", "second", "third"):
        built(path, says=version)
        known = native_walker.described(str(path))
        assert reason(known).endswith(version)
        native_walker._results.clear()
        assert reason(known).endswith(version)


def test_the_programs_own_exceptions_pass_and_are_not_taken_for_an_answer(
    from_text: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def enough(number: int, frame: object) -> None:
        raise ValueError("enough")

    def interrupted(where: Any) -> str:
        os.kill(os.getpid(), signal.SIGUSR1)
        return str(where)

    monkeypatch.setattr(native_walker, "_place", interrupted)
    former = signal.signal(signal.SIGUSR1, enough)
    try:
        with pytest.raises(ValueError, match="enough"):
            native_walker.load("x")
    finally:
        signal.signal(signal.SIGUSR1, former)
    assert native_walker._results == {}


@needs_walker
def test_a_script_pays_nothing_for_it_before_its_first_line(tmp_path: Path) -> None:
    (tmp_path / "look.py").write_text(
        "import sys\n"
        "maps = open('/proc/self/maps').read()\n"
        f"print({native_walker.FILE!r} in maps, 'memprobe_probes.native_walker' in sys.modules)\n"
    )
    command = [sys.executable, "-m", "memprobe", "run", "-o", "look.memprobe", "look.py"]
    assert run(*command, cwd=tmp_path) == "False False\n"
    kinds = [json.loads(line)["kind"] for line in (tmp_path / "look.memprobe").open()]
    assert "snapshot" in kinds


@needs_walker
def test_the_stub_names_what_the_walker_offers_and_nothing_else() -> None:
    module, why = native_walker.load()
    assert module is not None, why
    stub = ast.parse(BUILT.with_name("walker.pyi").read_text())
    named = {node.name for node in stub.body if isinstance(node, ast.FunctionDef)}
    assert named == {name for name in vars(module) if not name.startswith("__")}
