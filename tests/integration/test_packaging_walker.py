"""The native walker in packages and editable installs, with and without a C compiler."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest
from building import built, obstacle
from test_packaging import PYTHONS, ROOT, fresh_environment, pip_install, run

import memprobe
from memprobe_probes import native_walker

WALKER = f"memprobe_probes/{native_walker.FILE}"
PLAIN = f"memprobe_spark-{memprobe.__version__}-py3-none-any.whl"
PLATFORM = sysconfig.get_platform().replace("-", "_")

needs_compiler = pytest.mark.skipif(obstacle() is not None, reason=str(obstacle()))

# A walker that is compiled at once: enough to see where a build puts it.
SMALLEST = """
#include <Python.h>
static PyObject *check(PyObject *self, PyObject *none) { Py_RETURN_NONE; }
static PyObject *interface(PyObject *self, PyObject *none) { return PyLong_FromLong(INTERFACE); }
static PyMethodDef methods[] = {{"check", check, METH_NOARGS, 0},
                                {"interface", interface, METH_NOARGS, 0}, {0}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "walker", 0, 0, methods};
PyMODINIT_FUNC PyInit_walker(void) { return PyModuleDef_Init(&definition); }
""".replace("INTERFACE", str(native_walker.INTERFACE))


@pytest.fixture
def own_tree(tree: Path, tmp_path: Path) -> Path:
    """A copy in which a test may build, with a walker that is compiled at once."""
    copy = tmp_path / "tree"
    shutil.copytree(tree, copy, ignore=shutil.ignore_patterns("build", "native", "*.so"))
    (copy / "probes" / "memprobe_probes" / "walker.c").write_text(SMALLEST)
    return copy


@pytest.fixture(scope="module")
def plain(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built without a compiler that works, where an earlier build had one."""
    folder = tmp_path_factory.mktemp("plain")
    shutil.copytree(tree, folder / "tree", ignore=shutil.ignore_patterns("build", "*.so"))
    library = f"lib.{sysconfig.get_platform()}-{sys.implementation.cache_tag}"
    earlier = folder / "tree" / "build" / library / WALKER
    earlier.parent.mkdir(parents=True)
    earlier.touch()
    os.utime(earlier, (0, 0))  # older than the sources
    wheel = built(folder / "tree", folder / "out", "--wheel", CC="/bin/false")
    assert list(earlier.parent.glob("*.py")) != []
    return wheel


@needs_compiler
def test_the_wheel_holds_the_walker_and_is_for_every_python_from_3_10(wheel: Path) -> None:
    assert wheel.name == f"memprobe_spark-{memprobe.__version__}-cp310-abi3-{PLATFORM}.whl"
    names = zipfile.ZipFile(wheel).namelist()
    assert [name for name in names if name.endswith(".so")] == [WALKER]
    assert "memprobe_probes/walker.pyi" in names


@needs_compiler
@pytest.mark.parametrize("version", PYTHONS)
def test_the_walker_of_one_wheel_loads_on_every_python(
    version: str, wheel: Path, tmp_path: Path
) -> None:
    python = PYTHONS[version]
    if python is None:
        pytest.skip(f"Python {version} is not installed")
    zipfile.ZipFile(wheel).extractall(tmp_path)
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from memprobe_probes import native_walker, walker\n"
        "print(walker.__file__, walker.check(), native_walker.load()[1])"
    )
    assert run(python, "-I", "-S", "-c", code) == f"{tmp_path / WALKER} None None\n"


def test_the_source_package_holds_every_source_of_the_walker(
    packages: Path,
    tree: Path,
) -> None:
    (archive,) = packages.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    probes = tree / "probes" / "memprobe_probes"
    sources = [probes / "walker.c", probes / "walker.pyi", *probes.glob("native/*.[ch]")]
    assert len(sources) > 2
    assert {str(path.relative_to(tree)) for path in sources} - names == set()


def test_without_a_compiler_the_wheel_is_plain_and_holds_nothing_of_an_earlier_build(
    plain: Path,
) -> None:
    assert plain.name == PLAIN
    archive = zipfile.ZipFile(plain)
    assert [name for name in archive.namelist() if name.endswith(".so")] == []
    (facts,) = [name for name in archive.namelist() if name.endswith("/WHEEL")]
    said = archive.read(facts).decode().splitlines()
    assert "Root-Is-Purelib: true" in said
    assert "Tag: py3-none-any" in said


def test_without_a_compiler_the_installation_measures_and_says_why_not_natively(
    plain: Path, tmp_path: Path
) -> None:
    python = fresh_environment(tmp_path / "env")
    pip_install(python, str(plain))
    code = "from memprobe_probes import native_walker; print(native_walker.load()[1])"
    assert run(str(python), "-c", code) == f"the native walker {native_walker.NOT_BUILT}\n"
    (tmp_path / "etl.py").write_text("kept = bytearray(30 << 20)\n")
    command = str(python.with_name("memprobe"))
    run(command, "run", "-o", "etl.memprobe", "etl.py", cwd=tmp_path)
    snapshots = [
        record
        for record in map(json.loads, (tmp_path / "etl.memprobe").open())
        if record["kind"] == "snapshot"
    ]
    assert [holder["expr"] for holder in snapshots[-1]["holders"]] == ["kept"]
    reason = f"the native walker {native_walker.NOT_BUILT}"
    assert (snapshots[-1]["engine"], snapshots[-1]["engine_note"]) == ("fallback", reason)
    text = run(command, "report", "--exit-zero", "etl.memprobe", cwd=tmp_path)
    assert reason in " ".join(text.split())


def test_without_any_compiler_on_the_path_a_build_succeeds(
    own_tree: Path,
    tmp_path: Path,
) -> None:
    empty = tmp_path / "bin"
    empty.mkdir()
    (empty / "python").symlink_to(sys.executable)
    out = built(own_tree, tmp_path / "out", "--wheel", PATH=str(empty))
    assert out.name == PLAIN


@needs_compiler
def test_where_the_walker_is_required_a_build_without_it_fails(
    own_tree: Path,
    tmp_path: Path,
) -> None:
    env = {**os.environ, "CC": "/bin/false", "MEMPROBE_REQUIRE_WALKER": "1"}
    command = [sys.executable, "setup.py", "--quiet", "build_ext", "--force"]
    done = subprocess.run(command, cwd=own_tree, env=env, capture_output=True, text=True)
    assert done.returncode != 0
    assert "/bin/false" in done.stderr


@pytest.mark.parametrize(
    "changed",
    [
        "sysconfig.get_config_vars()['Py_GIL_DISABLED'] = 1",
        "sysconfig.get_platform = lambda: 'linux-riscv64'",
        "sysconfig.get_platform = lambda: 'macosx-11.0-arm64'",
        "sys.implementation.name = 'pypy'",
        "sys.maxsize = 2**31 - 1",
    ],
)
def test_no_extension_is_planned_for_an_interpreter_it_does_not_fit(
    changed: str,
    tree: Path,
) -> None:
    assert planned(changed, tree) == "0 {}"


@needs_compiler
def test_one_extension_is_planned_for_this_interpreter(tree: Path) -> None:
    assert planned("pass", tree) == "1 {'bdist_wheel': {'py_limited_api': 'cp310'}}"


def planned(changed: str, folder: Path) -> str:
    """Return how many extensions ``setup.py`` asks for, and with which options."""
    code = (
        "import setuptools, sys, sysconfig, runpy\n"
        "setuptools.setup = lambda **asked: "
        "print(len(asked['ext_modules']), asked['options'])\n"
        f"{changed}\n"
        "runpy.run_path('setup.py')"
    )
    return run(sys.executable, "-c", code, cwd=folder).strip()


@pytest.mark.parametrize("compiler", [pytest.param("cc", marks=needs_compiler), "/bin/false"])
def test_an_editable_install_has_the_walker_beside_its_sources_or_says_why_not(
    compiler: str,
    own_tree: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    python = fresh_environment(tmp_path / "env")
    monkeypatch.setenv("CC", compiler)
    pip_install(python, "-e", str(own_tree))
    code = (
        "import sys, memprobe_probes.native_walker as found\n"
        "loaded, why = found.load(); print(loaded and loaded.__file__, why)"
    )
    place = own_tree / "probes" / WALKER
    reason = f"None the native walker {native_walker.NOT_BUILT}"
    said = run(str(python), "-c", code, cwd=tmp_path).strip()
    assert said == (f"{place} None" if compiler == "cc" else reason)
    (facts,) = (tmp_path / "env").glob("lib/python3*/site-packages/memprobe_spark-*/WHEEL")
    assert "Tag: py3-none-any" in facts.read_text().splitlines()


@needs_compiler
def test_a_rebuilt_walker_is_a_new_file_so_that_nobody_loses_a_mapped_one(
    own_tree: Path,
    tmp_path: Path,
) -> None:
    place = own_tree / "probes" / WALKER
    command = [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace"]
    run(*command, cwd=own_tree)
    with place.open("rb") as mapped:  # keeps its inode from being given out again
        before = mapped.read()
        run(*command, "--force", cwd=own_tree)
        mapped.seek(0)
        assert mapped.read() == before
        assert os.fstat(mapped.fileno()).st_ino != place.stat().st_ino
    assert [path.name for path in place.parent.glob("*.so*")] == [native_walker.FILE]


@pytest.mark.parametrize("target", ["demo", "test", "pytest"])
def test_make_builds_the_walker_again_when_one_of_its_sources_is_newer(
    target: str, tmp_path: Path
) -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    copied = shutil.ignore_patterns("__pycache__", "*.so")
    shutil.copytree(
        ROOT / "probes",
        tmp_path / "probes",
        copy_function=shutil.copy,
        dirs_exist_ok=True,
        ignore=copied,
    )
    for name in ("Makefile", "setup.py", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    python = tmp_path / "env" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    later = max(path.stat().st_mtime_ns for path in tmp_path.rglob("*")) + 10**9
    for name in (".ready-demo", ".ready-dev", ".ready-walker"):
        (tmp_path / "env" / name).touch()
        os.utime(tmp_path / "env" / name, ns=(later, later))
    plan = ["make", "--dry-run", f"VENV={tmp_path / 'env'}", target]
    assert "build_ext" not in run(*plan, cwd=tmp_path)
    header = tmp_path / "probes/memprobe_probes/native/newer.h"
    header.touch()
    os.utime(header, ns=(later + 10**9, later + 10**9))
    assert "build_ext --inplace" in run(*plan, cwd=tmp_path)


def test_a_wheel_carries_the_walkers_that_were_built_for_other_machines(
    own_tree: Path, tmp_path: Path
) -> None:
    folder = own_tree / "src/memprobe/walkers"
    folder.mkdir(exist_ok=True)
    names = ["linux-aarch64.so", "linux-x86_64.so"]
    for name in names:
        (folder / name).write_bytes(b"\x7fELF" + name.encode())
    wheel = built(own_tree, tmp_path / "out", CC="/bin/false")  # by way of the source package
    archive = zipfile.ZipFile(wheel)
    carried = [f"memprobe/walkers/{name}" for name in names]
    assert sorted(one for one in archive.namelist() if one.endswith(".so")) == carried
    assert archive.read(carried[0]).endswith(b"linux-aarch64.so")
    assert wheel.name == PLAIN  # they are data: nothing here is loaded by this Python
