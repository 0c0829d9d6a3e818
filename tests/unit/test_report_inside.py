"""How what is inside of a holder is shown, from a recording that tells of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from recording_lines import header, line, ramp, write
from test_cli import memprobe

MIB = 1 << 20
UNNAMED = "a reference that memprobe cannot name"


def inner(parent: int | None, edges: str, name: str, mib: float, **more: Any) -> dict[str, Any]:
    """Return a row: ``edges`` are the steps, apart by blanks."""
    path = [{"edge": edge, "type": name} for edge in edges.split()]
    nbytes = int(mib * MIB)
    known = {"parent": parent, "path": path, "type": name, "bytes": nbytes, "own": 100}
    return {**known, "objects": 1, **more}


def holder(number: int, expr: str, at: int, **fields: Any) -> dict[str, Any]:
    known = {"root": "notebook-namespace", "expr": expr, "object": at, "type": "Store"}
    return {"id": number, **known, **fields}


def snapshot(at: float, *holders: dict[str, Any], groups: Any, **fields: Any) -> bytes:
    known = {"engine": "native", "pause_ns": 10**6, "cell": 7, "reason": "request"}
    return line("snapshot", at, holders=list(holders), groups=groups, **{**known, **fields})


STORE = [
    inner(None, "", "Store", 100, own=MIB, objects=1409),
    inner(0, "._mgr", "pandas.BlockManager", 60, objects=10),
    inner(1, ".blocks", "tuple", 59.9, objects=9),
    inner(2, "[0]", "pandas.NumpyBlock", 40, objects=3, columns=[0, 4]),
    inner(3, ".values", "numpy.ndarray", 40, objects=2, shape=[2, 10], dtypes={"float64": 2}),
    inner(4, "data", "native buffer", 40),
    inner(2, "[1]", "pandas.NumpyBlock", 19.8, objects=5, columns=[1]),
    inner(0, ".left [0]", "bytes", 20),
    inner(0, "[key]", "list", 1.5, length=9, own=800_000, objects=100),
    inner(8, "", "float", 0.7, count=99, objects=99, own=700_000),
    *[inner(0, "[key]", "bytes", 0.5) for _ in range(25)],
    inner(0, ".note", "Secret", 0.4),
    inner(0, "", "int", 4.5, count=1200, objects=1200),
]  # fmt: skip
GROUPS = [
    {"holders": [1, 2, 4], "bytes": 100 * MIB, "objects": 1409},
    {"holders": [1, 2, 3, 4, 5], "bytes": 30 * MIB, "objects": 3},
    {"holders": [3], "bytes": 9 * MIB, "objects": 3},
]
ALONE = [{"holders": [1], "bytes": 100 * MIB, "objects": 1409}]
HOLDERS = [
    holder(1, "store", 10, inside=STORE), holder(2, "alias", 10, inside=STORE),
    holder(3, "df", 11), holder(4, "frames", 12),
    {"id": 5, "root": "interpreter", "expr": UNNAMED, "object": -1, "type": ""},
]  # fmt: skip


def recorded(tmp_path: Path, *snapshots: bytes) -> Path:
    cells = [line("marker", cell, cell=cell, seconds=1.0) for cell in range(1, 8)]
    return write(tmp_path / "a.memprobe", header(program="etl.ipynb"), *ramp(30, 300 * MIB, 0),
                 *cells, *snapshots, line("end", 30, reason="detach"))  # fmt: skip


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return recorded(tmp_path, snapshot(29, *HOLDERS, groups=GROUPS))


def shaped(tmp_path: Path, *rows: dict[str, Any]) -> str:
    """Return what is shown of these rows, of a holder of 100 MiB."""
    groups = [{"holders": [1], "bytes": 100 * MIB, "objects": 99}]
    top = inner(None, "", "Store", 100, objects=99)
    one = snapshot(9, holder(1, "s", 10, inside=[top, *rows]), groups=groups)
    return told(recorded(tmp_path, one), "--inside", "s", COLUMNS="80")


def told(path: Path, *arguments: object, **changes: str) -> str:
    done = memprobe("report", path, *arguments, **changes)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


TREE = """\
Inside store   Store · 100.0 MiB in 1,409 objects
                      object                            keeps  share  objects
├─ ._mgr.blocks       tuple                          60.0 MiB   60 %       10
│  ├─ [0].values      ndarray columns 0, 4           40.0 MiB   40 %        3
│  ╰─ [1]             NumpyBlock column 1            19.8 MiB   20 %        5
├─ .left[0]           bytes (shared inside)          20.0 MiB   20 %        1
├─ [key] × 25         bytes                          12.5 MiB   12 %       25
├─ × 1,200            int                             4.5 MiB  4.5 %    1,200
├─ [key]              list 9 items (own 781.2 KiB)    1.5 MiB  1.5 %      100
╰─ … 72 more objects                                512.0 KiB  0.5 %
  one object under the names store and alias
  kept by frames as well: it comes back when all of them let go
  30.0 MiB more that it reaches are kept by df, frames and a reference that
  memprobe cannot name as well: not inside
"""


def test_a_tree_tells_the_large_parts_and_sums_up_the_others(recording: Path) -> None:
    shown = told(recording, "--inside", "store", COLUMNS="80")
    assert shown.endswith(TREE), shown
    assert max(map(len, shown.splitlines())) <= 80
    wide = told(recording, "--inside", COLUMNS="120")
    assert "numpy.ndarray float64 columns 0, 4 " in wide


def test_many_of_a_kind_are_one_row_with_the_largest_as_an_example(tmp_path: Path) -> None:
    pages = [inner(0, f"[{at}]", "dict", 10 + at / 10, objects=12, length=3) for at in range(8)]
    shown = shaped(tmp_path, *pages, inner(8, "[key]", "list", 9, objects=4),
                   inner(0, "[8]", "dict", 2), inner(0, ".a [9]", "dict", 3))  # fmt: skip
    assert "\n".join(shown.splitlines()[4:]) == KINDS


KINDS = """\
├─ [*] × 8                 dict                  82.8 MiB   83 %       96
│  ╰─ such as [7]          dict 3 items          10.7 MiB   11 %       12
│     ├─ [key]             list                   9.0 MiB  9.0 %        4
│     ╰─ … 7 more objects                         1.7 MiB  1.7 %
├─ .a[9]                   dict (shared inside)   3.0 MiB  3.0 %        1
├─ [8]                     dict                   2.0 MiB  2.0 %        1
╰─ … the rest                                    12.2 MiB   12 %"""
FRAME = """\
├─ .df                  DataFrame 5 × 2   90.0 MiB   90 %        1
│  ├─ …[0].values.base  ndarray column 0  50.0 MiB   50 %        1
│  ╰─ …[1]              Block column 1    40.0 MiB   40 %        1
╰─ … 97 more objects                      10.0 MiB   10 %"""


def test_a_frame_inside_is_a_row_and_its_manager_none(tmp_path: Path) -> None:
    shown = shaped(
        tmp_path, inner(0, ".df", "pandas.DataFrame", 90, shape=[5, 2]),
        inner(1, "._mgr", "pandas.BlockManager", 90), inner(2, ".blocks", "tuple", 90),
        inner(3, "[0]", "pandas.Block", 50, columns=[0]),
        inner(4, ".values", "numpy.ndarray", 50, shape=[1, 5]),
        inner(5, ".base", "numpy.ndarray", 50, shape=[5]),
        inner(3, "[1]", "pandas.Block", 40, columns=[1]),
    )  # fmt: skip
    assert "\n".join(shown.splitlines()[4:]) == FRAME


def test_a_whole_report_shows_it_too(recording: Path) -> None:
    assert TREE in told(recording, "--exit-zero", COLUMNS="80")


def test_markdown_has_a_nested_list(recording: Path) -> None:
    shown = told(recording, "--inside", "store", "--output-format", "markdown")
    assert "### Inside `store`" in shown
    assert (
        "- `._mgr.blocks` tuple: 60.0 MiB (60 %) in 10 objects\n"
        "  - `[0].values` numpy.ndarray float64 columns 0, 4: 40.0 MiB (40 %) in 3 objects\n"
    ) in shown
    assert "\n- … 72 more objects: 512.0 KiB (0.5 %)\n" in f"{shown}\n"
    assert "### Inside `store`" in told(recording, "--exit-zero", "--output-format", "markdown")


def test_json_has_every_row(recording: Path) -> None:
    found = json.loads(told(recording, "--inside", "store", "--output-format", "json"))
    (row,) = found["holders"]
    assert row["exprs"] == ["store", "alias"]
    assert row["inside"]["kept_with"] == ["frames"]
    assert row["inside"]["shared_bytes"] == 30 * MIB
    assert row["inside"]["shared_with"] == ["df", "frames", UNNAMED]

    def count(rows: list[Any]) -> int:
        return sum(1 + count(one["rows"]) for one in rows)

    assert count(row["inside"]["rows"]) == len(STORE) - 1
    manager, left, *_ = row["inside"]["rows"]
    assert (manager["edge"], manager["rows"][0]["edge"]) == ("._mgr", ".blocks")
    assert (left["edge"], left["shared_inside"], left["share"]) == (".left[0]", True, 0.2)
    whole = json.loads(told(recording, "--exit-zero", "--output-format", "json"))
    assert [one["inside"] for one in whole["holders"] if one["inside"]] == [row["inside"]]


def test_the_last_snapshot_that_looked_inside_is_shown_and_named(tmp_path: Path) -> None:
    early = snapshot(9, *HOLDERS, groups=GROUPS, cell=4)
    late = snapshot(20, holder(1, "store", 10), groups=ALONE)
    path = recorded(tmp_path, early, late)
    assert "earlier snapshot after cell 4" in told(path, "--inside", "store")
    assert "Inside store" not in told(path, "--exit-zero")


def refused(path: Path, *arguments: object) -> str:
    done = memprobe("report", path, "--inside", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    return done.stderr


def test_what_cannot_be_told_is_one_error_with_a_remedy(recording: Path, tmp_path: Path) -> None:
    assert "no holder stor in" in refused(recording, "stor")
    assert "did you mean store" in refused(recording, "store.left")
    unasked = refused(recording, "df")
    assert "nobody asked" in unasked
    assert "it tells of store, alias; or take it: memprobe snapshot TARGET --inside df" in unasked
    assert "not junit" in refused(recording, "store", "--output-format", "junit")
    assert "one recording" in refused(recording, "store", recording)
    why = {"engine": "fallback", "engine_note": "it was not built"}
    bare = recorded(tmp_path, snapshot(9, holder(1, "store", 10), groups=ALONE, **why))
    assert "only the native walker looks inside" in refused(bare)
    assert "it was not used: it was not built" in refused(bare, "store")


def test_names_cannot_act_and_broken_rows_do_no_harm(tmp_path: Path) -> None:
    rows = [inner(None, "", "Store", 100), inner(0, ".\x1b[31m", "[red]\n", 60),
            inner(2, ".self", "list", 50), inner(7, ".late", "list", 50),
            inner(-1, ".below", "list", 50)]  # fmt: skip
    path = recorded(tmp_path, snapshot(9, holder(1, "s", 10, inside=rows), groups=[]))
    shown = told(path, "--inside", "s")
    assert r".\x1b[31m" in shown
    assert r"[red]\n" in shown
    assert "\x1b" not in told(path, "--inside", "s", "--output-format", "markdown")


def test_a_holder_beyond_the_largest_is_listed_when_it_was_looked_into(tmp_path: Path) -> None:
    others = [holder(n, f"name{n}", n) for n in range(20, 50)]
    groups = [{"holders": [n], "bytes": 900 * MIB, "objects": 1} for n in range(20, 50)]
    path = recorded(tmp_path, snapshot(9, *others, *HOLDERS, groups=groups + GROUPS))
    assert "Inside store" in told(path, "--exit-zero")
