"""``memprobe report --graph HOLDER``: the recorded retention paths as Graphviz."""

from __future__ import annotations

import html
import json
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from recording_lines import header, line, ramp, write
from test_cli import memprobe
from walked import tables

from memprobe_probes import dot

pydot = pytest.importorskip("pydot", reason="pydot, which parses DOT, is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:pydot")
MIB = 1 << 20
PNG = b"\x89PNG\r\n\x1a\n"
NO_PROGRAMS = "/nonexistent"

needs_dot = pytest.mark.skipif(
    shutil.which(dot.PROGRAM) is None, reason="Graphviz's dot is not installed"
)


class Graph:
    """DOT as a parser that is not ours reads it."""

    def __init__(self, text: str) -> None:
        (graph,) = pydot.graph_from_dot_data(text)
        self.caption = shown(graph.get_label() or "")
        self.labels = {
            node.get_name(): shown(node.get_label())
            for node in graph.get_nodes()
            if node.get_name() not in ("graph", "node", "edge")
        }
        self.edges = [
            (
                self.labels[one.get_source()],
                shown(one.get_label() or "").strip(),
                self.labels[one.get_destination()],
            )
            for one in graph.get_edges()
        ]
        self.cut = {
            shown(one.get_label()).split("\n")[0].strip()
            for one in graph.get_edges()
            if one.get("penwidth") == "2"
        }

    def has(self, *edge: str) -> bool:
        """Whether there is an edge between nodes whose texts begin so, labelled so."""
        above, label, below = edge
        return any(
            a.startswith(above) and lines.split("\n")[0].strip() == label and b.startswith(below)
            for a, lines, b in self.edges
        )

    def node(self, beginning: str) -> str:
        (label,) = {one for one in self.labels.values() if one.startswith(beginning)}
        return label


def shown(label: str) -> str:
    r"""Return what Graphviz shows for a quoted label: it reads ``\n``, ``\\`` and entities."""
    text, inside = "", iter(label[1:-1] if label.startswith('"') else label)
    for character in inside:
        if character == "\\":
            character = {"n": "\n", "\\": "\\", '"': '"'}[next(inside)]
        text += character
    return html.unescape(text)


def steps(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"edge": edge, "type": name} for edge, name in pairs]


def holder(number: int, expr: str, at: int, **fields: Any) -> dict[str, Any]:
    root = "ipython-output" if expr.startswith(("Out", "_")) else "notebook-namespace"
    known = {"root": root, "expr": expr, "object": at, "type": "pandas.DataFrame"}
    return {"id": number, **known, **fields}


def snapshot(at: float, holders: list[Any], groups: list[Any], **fields: Any) -> bytes:
    return line("snapshot", at, holders=holders, groups=groups, pause_ns=10**6, **fields)


STORE = holder(1, "store", 10, type="Store")
DF, OUT = holder(2, "df", 11, shape=[1000, 10]), holder(3, "Out[3]", 11, shape=[1000, 10], cell=3)
VIEW = holder(4, "view", 12, type="numpy.ndarray")
UNNAMED = {"id": 5, "root": "interpreter", "expr": "a reference that memprobe cannot name",
           "object": -1, "type": ""}  # fmt: skip
GROUPS = [
    {"holders": [2, 3], "bytes": 80 * MIB, "objects": 3, "path": steps(("data", "buffer"))},
    {"holders": [1], "bytes": 20 * MIB, "low": 18 * MIB, "high": 22 * MIB,
     "path": steps((".frames", "list"), ("[0]", "numpy.ndarray"))},
    {"holders": [1, 4], "bytes": 10 * MIB,
     "path": steps((".frames", "list"), ("[1]", "numpy.ndarray")), "returned": 30 * MIB,
     "sites": [{"file": "etl.py", "line": 41, "function": "load"}]},
    {"holders": [1, 5], "bytes": 5 * MIB, "path": steps((".index", "dict"), ("[key]", "bytes"))},
]  # fmt: skip


def recorded(tmp_path: Path, *snapshots: bytes) -> Path:
    cells = [line("marker", 2 * cell, cell=cell, seconds=1.0) for cell in range(4, 12)]
    return write(
        tmp_path / "a.memprobe",
        header(program="etl.ipynb"),
        *ramp(30, 300 * MIB, 0),
        line("marker", 3, cell=3, shows=True, bound={"df": 1}),
        *cells,
        *snapshots,
        line("end", 30, reason="detach"),
    )


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    last = snapshot(29, [STORE, DF, OUT, VIEW, UNNAMED], GROUPS, cell=11, engine="native")
    return recorded(tmp_path, last)


def graph(path: Path, name: str, *arguments: object) -> Graph:
    done = memprobe("report", path, "--graph", name, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return Graph(done.stdout)


def test_every_reference_that_must_be_cut_leads_from_its_root_to_the_object(
    recording: Path,
) -> None:
    drawn = graph(recording, "df")
    assert drawn.has("notebook namespace", "df", "pandas.DataFrame\n1,000 × 10")
    assert drawn.has("IPython output history", "Out[3]", "pandas.DataFrame")
    assert drawn.cut == {"df", "Out[3]"}
    assert drawn.has("pandas.DataFrame", "data", "native memory")
    assert drawn.node("native memory") == (
        "native memory\nexclusive 80.0 MiB in 3 objects\nkept by df and Out[3]"
    )
    assert drawn.caption == "memprobe · etl.ipynb\nlast snapshot after cell 11 (marker, native)"
    assert set(graph(recording, "Out[3]").edges) == set(drawn.edges)


def test_paths_join_where_they_are_one_and_say_who_else_keeps_the_bytes(recording: Path) -> None:
    drawn = graph(recording, "store")
    assert drawn.cut == {"store"}
    assert drawn.node("Store").endswith("in all: exclusive 20.0 MiB, shared 15.0 MiB")
    assert [one[1] for one in drawn.edges if one[0].startswith("Store")] == [".frames", ".index"]
    assert drawn.has("list", "[0]", "numpy.ndarray\nexclusive about 20.0 MiB (18.0 to 22.0 MiB)")
    shared = (
        "numpy.ndarray\nshared 10.0 MiB\nkept by store and view\n"
        "with all of them cut, 30.0 MiB go back to the system\nallocated at etl.py:41 in load"
    )
    assert drawn.has("list", "[1]", shared)
    assert drawn.has("numpy.ndarray", "holds it too", shared)
    assert drawn.has("notebook namespace", "view", "numpy.ndarray")
    assert drawn.has("a reference that memprobe cannot name", "holds it too", "bytes\nshared 5.0")


def test_a_finding_is_named_by_the_beginning_of_its_fingerprint(recording: Path) -> None:
    report = memprobe("report", recording, "--output-format", "json").stdout
    (found,) = (one for one in json.loads(report)["findings"] if one["code"] == "MP202")
    drawn = graph(recording, found["fingerprint"][:7])
    assert drawn.cut == {one["expr"] for one in found["holders"]}
    assert drawn.caption.endswith("MP202 stale-variable, suspect")


def test_the_last_snapshot_that_has_the_holder_is_drawn(tmp_path: Path) -> None:
    early = snapshot(9, [DF, OUT], GROUPS[:1], cell=4)
    late = snapshot(20, [STORE, VIEW, UNNAMED], GROUPS[1:], cell=8)
    skipped = snapshot(25, [], [], cell=10, skipped="it would pause for too long")
    path = recorded(tmp_path, early, late, skipped)
    assert "the last snapshot that has it after cell 4" in graph(path, "df").caption
    assert "last snapshot after cell 8" in graph(path, "store").caption


def test_many_groups_and_many_holders_stay_readable(tmp_path: Path) -> None:
    others = [holder(n, f"name{n}", n) for n in range(10, 40)]
    groups = [{"holders": [2, *range(10, 40)], "bytes": 90 * MIB, "path": steps(("[0]", "list"))}]
    groups += [{"holders": [2, n], "bytes": MIB, "path": []} for n in range(10, 40)]
    drawn = graph(recorded(tmp_path, snapshot(29, [DF, *others], groups)), "df")
    assert "kept by df, name10, name11 and 28 more" in drawn.node("list")
    assert drawn.has("pandas.DataFrame", "", "and 23 smaller: 23.0 MiB")
    assert len(drawn.labels) < 20


HOSTILE = [
    'say "hi"]; evil -> x; n0 [label="',
    r"back\slash \N \G \l \n end\\",
    "&lt;b&gt; &amp; <b>",
    "line\nbreak\ttab\x00nul",
    "right\u202eleft \u2028",
    "größe_名前",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_whatever_a_name_holds_is_shown_and_obeyed_by_nobody(tmp_path: Path, name: str) -> None:
    group = {"holders": [2], "bytes": 80 * MIB, "path": steps((f".{name}", name))}
    path = recorded(tmp_path, snapshot(29, [holder(2, "df", 11, type=name)], [group]))
    drawn = graph(path, "df")
    told = name.replace("\n", r"\n").replace("\t", r"\t").replace("\x00", r"\x00")
    told = told.replace("\u202e", r"\u202e").replace("\u2028", r"\u2028")
    assert len(drawn.labels) == 3
    assert drawn.edges[1] == (told, f".{told}".strip(), f"{told}\nexclusive 80.0 MiB")
    if shutil.which(dot.PROGRAM):
        texts = "".join(ElementTree.fromstring(dot.render(text_of(path), "svg")).itertext())
        assert told.replace(" ", "") in texts.replace("\xa0", "").replace(" ", "")


def text_of(path: Path) -> str:
    return memprobe("report", path, "--graph", "df").stdout


def test_what_a_walk_of_real_objects_recorded_is_drawn(tmp_path: Path) -> None:
    class Store:
        pass

    store = Store()
    store.frames = [np.ones(300_000)]  # type: ignore[attr-defined]
    names = {"store": store, "also": [store.frames]}  # type: ignore[attr-defined]
    del store
    found = tables(names)
    drawn = graph(recorded(tmp_path, snapshot(29, found["holders"], found["groups"])), "store")
    assert drawn.has("module", "store", "test_report_graph.Store")
    assert drawn.has("test_report_graph.Store", ".frames", "list")
    assert drawn.has("list", "[0]", "numpy.ndarray")
    assert "kept by store and also" in drawn.node("native memory")
    assert drawn.has("list", "holds it too", "native memory")


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("Df", "did you mean df?"),
        ("store.frames", "did you mean store?"),
        ("frobnicate", "it has df, Out[3], store, view"),
        ("0000", "it has df, Out[3], store, view"),
    ],
)
def test_an_unknown_holder_is_one_error_with_the_names_there_are(
    recording: Path, name: str, remedy: str
) -> None:
    done = memprobe("report", recording, "--graph", name)
    assert (done.returncode, done.stdout) == (2, "")
    lines = done.stderr.splitlines()
    assert lines[0] == f"error: there is no holder {name} in the recording"
    assert lines[2] == f"  help:  {remedy}"


def test_a_recording_without_a_snapshot_has_nothing_to_draw(tmp_path: Path) -> None:
    done = memprobe("report", recorded(tmp_path), "--graph", "df")
    assert done.returncode == 5
    assert done.stderr.startswith("error: no snapshot was taken in ")


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (["b.memprobe"], "--graph is of one recording"),
        (["--output-format", "json"], "--graph is not json"),
        (["--holders"], "--graph and --holders are two reports"),
        (["-o", "picture.jpg"], "cannot draw picture.jpg"),
    ],
)
def test_what_is_not_one_graph_is_refused(recording: Path, more: list[str], problem: str) -> None:
    done = memprobe("report", recording, "--graph", "df", *more)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[0] == f"error: {problem}"


def test_the_end_of_the_files_name_says_what_is_written(recording: Path, tmp_path: Path) -> None:
    text = text_of(recording)
    for name in ("a.dot", "b.gv"):
        assert memprobe("report", recording, "--graph", "df", "-o", tmp_path / name).stdout == ""
        assert (tmp_path / name).read_text(encoding="utf-8") == text
    assert memprobe("report", recording, "--graph", "df", "-o", "-").stdout == text


def test_without_graphviz_one_error_names_what_to_install(recording: Path, tmp_path: Path) -> None:
    out = tmp_path / "df.svg"
    done = memprobe("report", recording, "--graph", "df", "--graph-output", out, PATH=NO_PROGRAMS)
    assert (done.returncode, done.stdout) == (2, "")
    lines = done.stderr.splitlines()
    assert lines[0] == f"error: cannot draw {out}: Graphviz is not installed"
    assert lines[1] == "  cause: there is no program `dot` on the PATH"
    assert "apt install graphviz" in lines[2]
    assert lines[2].endswith(f"-o {out.with_suffix('.dot')}")
    assert not out.exists()


def test_a_graphviz_that_fails_is_quoted(recording: Path, tmp_path: Path) -> None:
    program = tmp_path / "dot"
    program.write_text("#!/bin/sh\ncat > /dev/null\necho 'Format: \"png\" not known' >&2\nexit 1\n")
    program.chmod(0o755)
    path = f"{tmp_path}:/bin:/usr/bin"
    done = memprobe("report", recording, "--graph", "df", "-o", tmp_path / "a.png", PATH=path)
    assert done.returncode == 2
    assert 'cause: Format: "png" not known' in done.stderr
    assert not (tmp_path / "a.png").exists()


@needs_dot
def test_pictures_are_drawn_where_graphviz_is(recording: Path, tmp_path: Path) -> None:
    for name, beginning in (("a.png", PNG), ("a.svg", b"<?xml"), ("a.pdf", b"%PDF")):
        done = memprobe("report", recording, "--graph", "store", "-o", tmp_path / name)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert (tmp_path / name).read_bytes().startswith(beginning)
