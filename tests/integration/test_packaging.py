"""memprobe as users get it: a wheel, an editable install, and the probe as injected text."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import time
import venv
import zipfile
from pathlib import Path

import pytest
from building import obstacle

import memprobe
import memprobe_probes
from memprobe.recording import schema
from memprobe.targets import kernel_request, payload

ROOT = Path(__file__).parents[2]
PROBES = ROOT / "probes" / "memprobe_probes"
VERSIONS = ("3.10", "3.11", "3.12", "3.13")
# A name and a version, perhaps for some Pythons only; no address, no file.
PIN = re.compile(r'[a-z0-9-]+==[0-9][\w.]*(; python_version (<|>=) "3\.\d+")?')

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def interpreter(version: str) -> str | None:
    """Return a working ``pythonX.Y``, on the path or under pyenv, or None."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found = shutil.which(f"python{version}")
    candidates = [found] if found else []
    candidates += [str(path) for path in pyenv.glob(f"versions/{version}.*/bin/python{version}")]
    return next((each for each in candidates if is_version(each, version)), None)


def is_version(python: str, version: str) -> bool:
    """Ask the interpreter itself: a shim on the path may stand for nothing."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    done = subprocess.run([python, "-I", "-S", "-c", code], capture_output=True, text=True)
    return done.stdout.strip() == version


PYTHONS = {version: interpreter(version) for version in VERSIONS}


@pytest.fixture(params=VERSIONS)
def python(request: pytest.FixtureRequest) -> str:
    """Each supported interpreter in turn."""
    found = PYTHONS[request.param]
    if found is None:
        pytest.skip(f"Python {request.param} is not installed")
    return found


def run(*command: str, cwd: Path | None = None) -> str:
    environ = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environ)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def fresh_environment(folder: Path) -> Path:
    """Make a virtual environment that sees today's dependencies but no memprobe."""
    venv.create(folder, with_pip=False, symlinks=True)
    (site,) = folder.glob("lib/python3*/site-packages")
    # A path named in a .pth file has its own .pth files (an editable memprobe) passed over.
    (site / "dependencies.pth").write_text(dependencies_path() + "\n")
    return folder / "bin" / "python"


def dependencies_path() -> str:
    import psutil

    return str(Path(psutil.__file__).parents[1])


def pip_install(python: Path, *what: str) -> None:
    options = ["--no-deps", "--no-index", "--no-build-isolation", "--quiet"]
    run(sys.executable, "-m", "pip", "--python", str(python), "install", *options, *what)


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    python = fresh_environment(tmp_path_factory.mktemp("wheel") / "env")
    pip_install(python, str(wheel))
    return python


@pytest.fixture(scope="module")
def editable(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    python = fresh_environment(tmp_path_factory.mktemp("editable") / "env")
    pip_install(python, "-e", str(tree))
    return python


def test_the_wheel_holds_every_module_of_both_packages(wheel: Path, tree: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    sources = {
        str(path.relative_to(tree / part))
        for part in ("src", "probes")
        for path in (tree / part).rglob("*")
        if path.is_file() and path.suffix in (".py", ".typed", ".ipynb", ".html", ".css", ".js")
    }
    assert sources - names == set()
    for name in ("memprobe/py.typed", "memprobe_probes/launch/sitecustomize.py"):
        assert name in names


def test_the_wheel_holds_the_pages_and_explain_shows_them(
    wheel: Path, tree: Path, installed: Path, editable: Path
) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    written = {f"memprobe/docs/{p.relative_to(tree / 'docs')}" for p in tree.glob("docs/**/*.md")}
    assert len(written) > 10
    assert written - names == set()
    for python in (installed, editable):
        shown = run(str(python), "-m", "memprobe", "explain", "attach", cwd=wheel.parent)
        assert "memprobe attach" in shown.splitlines()[0]


def test_the_wheel_brings_the_pytest_plugin(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (entries,) = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
    said = archive.read(entries).decode()
    assert re.search(r"\[pytest11\]\s+memprobe = memprobe\.pytest_plugin", said)


def test_the_wheel_carries_its_license_and_nothing_that_is_not_to_be_installed(
    wheel: Path,
) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {
        "memprobe",
        "memprobe_probes",
        "memprobe_spark",
    }
    assert {Path(name).suffix for name in names} & {".c", ".h"} == set()


@pytest.mark.parametrize("how", ["installed", "editable"])
def test_an_installation_brings_the_command_and_both_packages(
    how: str, request: pytest.FixtureRequest, tree: Path, tmp_path: Path
) -> None:
    python: Path = request.getfixturevalue(how)
    command = str(python.with_name("memprobe"))
    assert memprobe.__version__ in run(command, "--version", cwd=tmp_path)
    code = "import memprobe, memprobe_probes; print(memprobe.__file__, memprobe_probes.__file__)"
    places = run(str(python), "-c", code, cwd=tmp_path).split()
    root = tree if how == "editable" else python.parents[1]
    assert [place for place in places if not place.startswith(str(root))] == []


@pytest.mark.parametrize("how", ["installed", "editable"])
def test_an_installation_runs_and_reports_a_script(
    how: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    python: Path = request.getfixturevalue(how)
    command = str(python.with_name("memprobe"))
    (tmp_path / "etl.py").write_text("kept = bytearray(30 << 20)\nprint('done')\n")
    assert run(command, "run", "-o", "etl.memprobe", "etl.py", cwd=tmp_path) == "done\n"
    text = run(
        command, "report", "--exit-zero", "--output-format", "json", "etl.memprobe", cwd=tmp_path
    )
    assert json.loads(text)["recording"]
    records = [json.loads(line) for line in (tmp_path / "etl.memprobe").open()]
    assert (records[0]["kind"], records[-1]["kind"]) == ("header", "end")
    engines = {each["engine"] for each in records if each["kind"] == "snapshot"}
    assert engines == {"native" if obstacle() is None else "fallback"}


def modules() -> list[str]:
    return ["memprobe_probes", *(f"memprobe_probes.{p.stem}" for p in PROBES.glob("[!_]*.py"))]


def test_the_probe_imports_the_standard_library_only() -> None:
    allowed = set(sys.stdlib_module_names) | {"memprobe_probes"}
    allowed.add("sitecustomize")  # the user's own, to which ours hands over
    asked_for = {("allocation_tracing.py", "memray")}  # only by memprobe run --memray
    foreign = [
        f"{path.relative_to(PROBES)}:{line} {name}"
        for path in PROBES.rglob("*.py")
        for name, line in imported(path)
        if name not in allowed and (path.name, name) not in asked_for
    ]
    assert foreign == []


def imported(path: Path) -> list[tuple[str, int]]:
    """Return the top-level packages that a file imports anywhere, with their lines."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(alias.name.split(".")[0], node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.append(((node.module or "").split(".")[0], node.lineno))
    return found


def test_the_probe_imports_on_every_python_without_any_package(python: str) -> None:
    code = (
        "import importlib, sys\n"
        f"sys.path.insert(0, {str(PROBES.parent)!r})\n"
        "sys.dont_write_bytecode = True\n"
        f"for name in {modules()!r}: importlib.import_module(name)\n"
        "print('memprobe' in sys.modules)"
    )
    assert run(python, "-I", "-S", "-W", "error", "-c", code) == "False\n"


def test_the_injected_probe_works_on_every_python_without_any_file(
    python: str, tmp_path: Path
) -> None:
    (tmp_path / "texts.json").write_text(json.dumps(payload.texts()))
    code = (
        "import json, sys\n"
        f"{payload.LOADING}\n"
        f"with open({str(tmp_path / 'texts.json')!r}) as file: texts = json.load(file)\n"
        f"_memprobe_load(texts, {memprobe_probes.VERSION!r})\n"
        "names = [name for name in sys.modules if name.startswith('memprobe_probes')]\n"
        "files = [getattr(sys.modules[name], '__file__', None) for name in names]\n"
        "print(json.dumps([len(names), files.count(None)]))"
    )
    script = tmp_path / "inject.py"
    script.write_text(code)
    count, without_file = json.loads(run(python, "-I", "-S", str(script)))
    assert (count, without_file) == (len(modules()), count)


def test_a_request_runs_on_every_python(python: str, tmp_path: Path) -> None:
    request = kernel_request.source(
        "entry", config={"session": "5b0c"}, version=memprobe_probes.VERSION,
        expires=time.time() + 60, parts=payload.parts(),
    )  # fmt: skip
    script = tmp_path / "request.py"
    look = "print([one for one in __import__('sys').modules if 'memprobe' in one])"
    script.write_text(f"{request}\nprint({kernel_request.ANSWER})\n{look}\n")
    answer, left = run(python, "-I", "-S", str(script)).splitlines()
    assert json.loads(answer) == {"ok": False, "error": "no IPython shell"}  # this is no kernel
    assert left == "[]"


def test_the_payload_carries_every_module_of_the_probe() -> None:
    assert set(payload.texts()) == set(modules())


def test_version_and_format_agree_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == memprobe.__version__ == memprobe_probes.VERSION
    assert schema.FORMAT == memprobe_probes.FORMAT


def test_constraints_pin_every_dependency_and_name_nothing_else() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert [line for line in pins if not PIN.fullmatch(line)] == []
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["dev"]
    names = {re.split(r"[^\w-]", each)[0].lower().replace("_", "-") for each in wanted}
    assert names - {line.split("==")[0] for line in pins} == set()


def test_make_test_runs_lint_types_and_tests_and_ci_runs_exactly_that() -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    planned = run("make", "--dry-run", "--always-make", "test", cwd=ROOT)
    for step in ("ruff check", "ruff format --check", "mypy", "-m pytest"):
        assert step in planned
    ci = (ROOT / ".ci/run").read_text()
    assert [line for line in ci.splitlines() if "make" in line] == ["exec make test"]
