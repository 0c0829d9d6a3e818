"""``%memprobe graph NAME`` in a real kernel: what it tells, and that it leaves nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kernels import Kernel
from test_in_notebook import answers

PROLOG = '<?xml version="1.0"?>\\n<!DOCTYPE svg>\\n'

DATA = """
import gc, os, sys, weakref
import numpy as np
class Store: pass
class Slotted: __slots__ = ("inner", "__weakref__")
store = Store(); store.frames = [np.ones(10), np.ones(1000)]
arr = store.frames[1]
view = arr[3:]
cache = {"secret-key": arr}
slotted = Slotted(); slotted.inner = [arr]
def waits():
    inside = arr
    yield inside
waiting = waits(); next(waiting);
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    folder = tmp_path_factory.mktemp("kernel")
    (folder / "run").mkdir(mode=0o700)
    (folder / "programs").mkdir()
    environment = {
        **os.environ, "XDG_RUNTIME_DIR": str(folder / "run"), "PATH": str(folder / "programs"),
    }  # fmt: skip
    with Kernel(folder, environment) as running:
        running.run("%load_ext memprobe")
        running.run(DATA)
        running.programs = folder / "programs"  # type: ignore[attr-defined]
        yield running


@pytest.fixture
def fake_dot(kernel: Kernel) -> Iterator[Path]:
    """A ``dot`` that keeps what it is given and draws nothing but a frame."""
    program: Path = kernel.programs / "dot"  # type: ignore[attr-defined]
    given = program.with_name("given.dot")
    program.write_text(
        f"#!/bin/sh\nwhile IFS= read -r line; do echo \"$line\"; done > '{given}'\n"
        f"printf '{PROLOG}<svg>%s</svg>' \"$1\"\n"
    )
    program.chmod(0o755)
    yield given
    program.unlink()
    given.unlink(missing_ok=True)


def published(kernel: Kernel, cell: str) -> list[dict[str, Any]]:
    reply, found = answers(kernel, cell)
    assert reply["status"] == "ok", reply
    return [one for one in found if one["kind"] not in ("status", "execute_input")]


def told(kernel: Kernel, name: str) -> list[str]:
    """Return the lines that the magic prints about ``name``."""
    text = "".join(one["text"] for one in published(kernel, f"%memprobe graph {name}"))
    return text.splitlines()


def ways(lines: list[str]) -> set[str]:
    return {line.removeprefix("│    ") for line in lines if line.startswith("│    ")}


def test_every_way_to_an_object_is_told_from_a_name_one_can_cut(kernel: Kernel) -> None:
    lines = told(kernel, "arr")
    assert lines[0] == "arr: numpy.ndarray 1,000"
    assert lines[1] == "├─ notebook namespace"
    array = "numpy.ndarray"
    assert ways(lines) == {
        f"arr → {array}",
        f"store → Store  .frames → list  [1] → {array}",
        f"view → {array}  .base → {array}",
        f"cache → dict  [key] → {array}",
        f"slotted → Slotted  .inner → list  [0] → {array}",
        f"waiting → generator  inside → {array}",
    }
    # Nothing is left over: neither our own frames and lists nor a reference that was not found.
    assert [line for line in lines[1:] if not line.startswith("│")] == [
        "├─ notebook namespace",
        "╰→ numpy.ndarray 1,000",
        "(for a picture, install Graphviz where this kernel runs: it has no program `dot`)",
    ]


def test_outputs_exceptions_running_frames_and_modules_hold_too(kernel: Kernel) -> None:
    kernel.run("kept = Store()")
    cell = kernel.run("kept")["execution_count"]
    kernel.run("def fails(given):\n    1 / 0\nfails(kept)", may_fail=True, stop_on_error=False)
    kernel.run(
        "import types\nlibrary = types.ModuleType('library'); library.registry = {'a': [kept]}\n"
        "sys.modules['library'] = library; del library, types"
    )
    kernel.run("def calls(mine):\n    get_ipython().run_line_magic('memprobe', 'graph kept')")
    text = "".join(one.get("text", "") for one in published(kernel, "calls(kept)"))
    found = ways(text.splitlines())
    assert {"kept → Store", f"Out[{cell}] → Store", f"_{cell} → Store"} <= found
    if kernel.value("sys.version_info >= (3, 11)"):  # before, IPython's look at the frame hides it
        assert "calls: mine → Store" in found
    assert "library.registry → dict  [key] → list  [0] → Store" in found
    (error,) = (one for one in found if one.endswith("given → Store"))
    assert "sys.last_traceback → traceback" in error
    assert ".tb_frame → frame" in error
    assert "no name leads here" not in text
    kernel.run("del sys.modules['library'], kept, calls, fails")


def test_what_waits_for_the_collector_holds_without_a_name(kernel: Kernel) -> None:
    kernel.run(
        "gc.disable()\nclass Cycle:\n  def __init__(self): self.itself, self.data = self, kept\n"
        "kept = Store(); Cycle();"
    )
    lines = told(kernel, "kept")
    assert lines[3] == "├─ no name leads here: a cycle that waits for the collector, or C code"
    assert lines[4] == "│    Cycle  .data → Store"
    kernel.run("del kept; gc.enable(); gc.collect(); del Cycle")


def test_a_search_that_takes_too_long_tells_what_it_has(kernel: Kernel) -> None:
    kernel.run(
        "chains = sys.modules['memprobe_probes.chains']; patience = chains.PATIENCE\n"
        "loop = [arr]; loop.append(loop); table = {'a': [arr]}"
    )
    kernel.run("chains.PATIENCE = -1.0")
    lines = told(kernel, "arr")
    assert "arr → numpy.ndarray" in ways(lines)
    assert any(line.startswith("├─ the search was cut short after") for line in lines)
    assert any(line.endswith("more that refer to it") for line in lines)
    kernel.run("chains.PATIENCE = patience; del chains, patience, loop, table")


def test_an_object_inside_another_is_named_by_attributes_and_indices(kernel: Kernel) -> None:
    for name in ("store.frames[1]", "cache['secret-key']", "slotted.inner[-1]"):
        lines = told(kernel, name)
        assert lines[0] == f"{name}: numpy.ndarray 1,000"
        assert "store → Store  .frames → list  [1] → numpy.ndarray" in ways(lines)
        assert "secret" not in "".join(lines[1:])


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("", "usage: %memprobe graph NAME, such as df, Out[7] or store.frames"),
        ("slottd", "memprobe: there is no name slottd; did you mean slotted, Slotted?"),
        ("arr.T", "memprobe: arr.T is not stored: to look it up would run code; "
                  "give it a name first"),
        ("store.frames[9]", "memprobe: store.frames[9] is not stored: to look it up would run "
                            "code; give it a name first"),
        ("waits()", "memprobe: waits() is not stored: to look it up would run code; "
                    "give it a name first"),
        ("a b", "memprobe: a b is no name"),
    ],
)  # fmt: skip
def test_what_is_no_stored_object_is_one_line(kernel: Kernel, name: str, answer: str) -> None:
    assert told(kernel, name) == [answer]


LOUD = """
calls = []
class Meta(type):
    def __getattribute__(cls, name): calls.append(("meta", name)); return super().__getattribute__(name)
    def __instancecheck__(cls, one): calls.append("instancecheck"); return False
    def __repr__(cls): calls.append("meta repr"); return "Meta"
class Loud(metaclass=Meta):
    def __getattribute__(self, name): calls.append(name); return object.__getattribute__(self, name)
    def __repr__(self): calls.append("repr"); return "loud"
    def __len__(self): calls.append("len"); return 3
    def __bool__(self): calls.append("bool"); return False
    def __eq__(self, other): calls.append("eq"); return True
    def __hash__(self): calls.append("hash"); return 1
    def __iter__(self): calls.append("iter"); return iter(())
    def __sizeof__(self): calls.append("sizeof"); return 8
    def __dir__(self): calls.append("dir"); return []
    @property
    def __class__(self): calls.append("class"); return int
class LoudDict(dict):
    def __getitem__(self, key): calls.append("getitem"); return None
    def items(self): calls.append("items"); return ()
    def __len__(self): calls.append("len"); return 0
    def __repr__(self): calls.append("repr"); return ""
class LoudList(list):
    def __iter__(self): calls.append("iter"); return iter(())
    def __repr__(self): calls.append("repr"); return ""
loud = Loud(); top = Loud(); table = LoudDict(a=LoudList([loud])); object.__setattr__(top, "inner", [table]);
calls.clear()
"""  # noqa: E501


def test_no_code_of_the_users_runs(kernel: Kernel) -> None:
    kernel.run(LOUD)
    lines = told(kernel, "loud")
    assert kernel.value("[str(one) for one in calls]") == []
    assert "loud → Loud" in ways(lines)
    assert told(kernel, "top.inner")[0] == "top.inner: list 1 items"
    assert told(kernel, "table['a']")[0].startswith("table['a']: LoudList")
    assert kernel.value("[str(one) for one in calls]") == []
    kernel.run("del loud, top, table, Loud, LoudDict, LoudList, Meta")


STATE = """{
    "names": sorted(name for name in get_ipython().user_ns if not name.startswith("_")),
    "collector": (gc.isenabled(), gc.get_threshold(), len(gc.callbacks), gc.get_freeze_count()),
    "references": sys.getrefcount(subject),
    "threads": len(os.listdir("/proc/self/task")),
    "files": len(os.listdir("/proc/self/fd")),
    "collected": finalized,
    "objgraph": [name for name in sys.modules if "objgraph" in name],
}"""


def test_nothing_is_left_and_nothing_is_collected(kernel: Kernel, fake_dot: Path) -> None:
    kernel.run(
        "gc.disable()\nfinalized = []\n"
        "class Cycle:\n"
        "    def __init__(self): self.itself = self\n"
        "    def __del__(self): finalized.append(1)\n"
        "Cycle(); subject = Store(); subject.data = [subject]; watch = weakref.ref(subject);"
    )
    published(kernel, "%memprobe graph subject")  # imports what it needs
    before = kernel.value(STATE)
    published(kernel, "%memprobe graph subject")
    published(kernel, "%memprobe graph subject.data")
    assert kernel.value(STATE) == before
    assert before["collected"] == []
    assert before["objgraph"] == []
    kernel.run("subject.data.clear(); del subject")
    assert kernel.value("watch() is None")
    kernel.run("gc.enable(); gc.collect(); del watch, Cycle")
    assert kernel.value("finalized") == [1]


def test_a_picture_is_shown_where_graphviz_is(kernel: Kernel, fake_dot: Path) -> None:
    (shown,) = published(kernel, "%memprobe graph arr")
    assert shown["data"]["image/svg+xml"] == "<svg>-Tsvg</svg>"
    lines = shown["data"]["text/plain"].splitlines()
    assert lines[-1] == "╰→ numpy.ndarray 1,000"
    text = fake_dot.read_text(encoding="utf-8")
    assert 'label="numpy.ndarray 1,000"' in text
    assert 'label=" .frames "' in text
    assert "0x" not in text


def test_databricks_shows_the_picture_by_its_own_function(kernel: Kernel, fake_dot: Path) -> None:
    kernel.run("shown = []\ndisplayHTML = shown.append")
    assert published(kernel, "%memprobe graph arr") == []
    assert kernel.value("shown") == ["<svg>-Tsvg</svg>"]
    kernel.run("del displayHTML, shown")


def test_a_graphviz_that_fails_leaves_the_text(kernel: Kernel, fake_dot: Path) -> None:
    fake_dot.with_name("dot").write_text("#!/bin/sh\necho broken >&2\nexit 3\n")
    lines = told(kernel, "arr")
    assert "arr → numpy.ndarray" in ways(lines)
    assert lines[-1] == "(Graphviz could not draw it: broken)"


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz's dot is not installed")
def test_the_real_graphviz_draws_it(kernel: Kernel) -> None:
    program: Path = kernel.programs / "dot"  # type: ignore[attr-defined]
    program.symlink_to(str(shutil.which("dot")))
    (shown,) = published(kernel, "%memprobe graph arr")
    program.unlink()
    picture = shown["data"]["image/svg+xml"]
    assert picture.startswith("<svg")
    assert "numpy.ndarray 1,000" in picture.replace("&#160;", " ")


def test_without_objgraph_it_says_what_to_install(kernel: Kernel) -> None:
    kernel.run(
        "sys.modules['memprobe_probes.chains']._objgraph = None\n"
        "sys.modules['objgraph'] = None"  # as an import system without it would answer
    )
    assert told(kernel, "arr") == [
        "memprobe: %memprobe graph needs objgraph where this kernel runs: %pip install objgraph"
    ]
    kernel.run("del sys.modules['objgraph']")
    assert "arr → numpy.ndarray" in ways(told(kernel, "arr"))


def test_a_failure_of_ours_is_one_line(kernel: Kernel) -> None:
    kernel.run("chains = sys.modules['memprobe_probes.chains']; search = chains.Search")
    kernel.run("chains.Search = None")
    assert told(kernel, "arr") == ["memprobe: the graph could not be made: TypeError"]
    kernel.run("chains.Search = search; del chains, search")


def test_it_needs_no_probe(kernel: Kernel) -> None:
    kernel.run("%memprobe stop")
    assert "arr → numpy.ndarray" in ways(told(kernel, "arr"))
    kernel.run("%reload_ext memprobe")
