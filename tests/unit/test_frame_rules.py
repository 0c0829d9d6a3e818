"""MP203, MP205, MP301, MP302 and MP303 on recordings in a few words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from test_evidence import MB, Cell, Held, findings, idle, notebook, program, told

from memprobe.detectors.copying import copied
from memprobe.recording.reader import Recording
from memprobe.recording.schema import Step, Strings


def made(recording: Recording, *steps: str) -> Recording:
    """Write ``cell:name<source`` (``*`` in front of the name: recomputed) into the markers."""
    for step in steps:
        cell, _, rest = step.partition(":")
        name, _, source = rest.partition("<")
        for marker in recording.markers:
            if marker.cell == int(cell):
                marker.made[name.lstrip("*")] = source.split(",")
                marker.recomputed += [name[1:]] if name.startswith("*") else []
    return recording


def shaped(recording: Recording, **shapes: Any) -> Recording:
    """Give holders a shape (rows, columns), a length or other fields."""
    for holder in recording.snapshots[-1].holders:
        given = shapes.get(holder.expr, shapes.get("others"))
        if isinstance(given, tuple):
            holder.shape, holder.dtypes = list(given), {"float64": given[1]}
        elif isinstance(given, int):
            holder.length = given
    return recording


# --- MP203 ------------------------------------------------------------------------------------

STEPS = ("2:df2<df", "3:df3<df2")
THREE = [Held("df", 40), Held("df2", 38), Held("df3", 36)]
WORK = [Cell("df"), Cell("df2", used="df"), Cell("df3", used="df2")]


def chain(*cells: Cell, held: list[Held] = THREE, steps: Any = STEPS, **shapes: Any) -> Recording:
    shapes = {"others": (1000, 5), **shapes}
    return shaped(made(notebook(*cells, held=held), *steps), **shapes)


@pytest.mark.parametrize(("since", "fires"), [(0, False), (1, False), (2, True), (3, True)])
def test_superseded_frames_are_one_finding_two_cells_after_the_last(
    since: int, fires: bool
) -> None:
    found = told(chain(*WORK, *[Cell(used="df3")] * since))
    assert found == ([("MP203", "suspect", "df2 df", 78)] if fires else [])


def test_the_fix_deletes_the_superseded_names_only() -> None:
    [one] = findings(chain(*WORK, *idle(2)))
    assert one.fix.splitlines()[0] == "del df, df2"
    assert "`df` → `df2` → `df3`" in one.why


@pytest.mark.parametrize("used", ["df", "df2", "df2 df3"])
def test_a_frame_that_is_used_after_its_successor_is_no_shadow(used: str) -> None:
    assert told(chain(*WORK, Cell(used=used), *idle(2))) == []


def test_two_frames_are_no_chain() -> None:
    cells = [Cell("df"), Cell("df2", used="df"), *idle(3)]
    assert told(chain(*cells, held=THREE[:2], steps=STEPS[:1])) == []


@pytest.mark.parametrize(
    ("name", "shape", "fires"),
    [
        ("df2", (799, 5), False), ("df2", (801, 5), True), ("df3", (1000, 12), False),
        ("df3", (1000, 6), True), ("df3", (1300, 5), False),
    ],
)  # fmt: skip
def test_only_near_copies_make_a_chain(name: str, shape: tuple[int, int], fires: bool) -> None:
    assert bool(told(chain(*WORK, *idle(2), **{name: shape}))) is fires


def test_recomputed_values_count_only_under_names_that_say_so() -> None:
    again = ("2:*df2<df", "3:*df3<df2")
    assert told(chain(*WORK, *idle(2), steps=again))
    cells = [Cell("prices"), Cell("returns", used="prices"), Cell("risk", used="returns")]
    held = [Held("prices", 40), Held("returns", 40), Held("risk", 40)]
    for star, fires in (("*", False), ("", True)):
        steps = (f"2:{star}returns<prices", f"3:{star}risk<returns")
        assert bool(told(chain(*cells, *idle(2), held=held, steps=steps))) is fires


def test_frames_that_share_their_buffers_are_no_copies() -> None:
    held = [Held("df df2", 40), Held("df3", 36), Held("df2", 1)]
    assert told(chain(*WORK, *idle(2), held=held)) == []


def test_a_rebound_name_has_no_earlier_version() -> None:
    cells = [Cell("df"), Cell("df2", used="df"), Cell("df", used="df"), *idle(2)]
    held = [Held("df", 40), Held("df2", 40)]
    assert told(chain(*cells, held=held, steps=("2:df2<df", "3:df<df"))) == []


def test_a_name_bound_again_after_its_use_in_the_same_cell_is_another_frame() -> None:
    cells = [Cell("df"), Cell("df2 df", used="df"), Cell("df3", used="df2"), *idle(2)]
    recording = chain(*cells)
    for marker in recording.markers:
        if marker.cell == 2:
            marker.bound["df"] = 2  # df2 = df.dropna(); then df = load()
    assert told(recording) == []


def test_what_lies_between_two_frames_is_passed_through() -> None:
    cells = [Cell("df"), Cell("part df2", used="df"), Cell("df3", used="df2"), *idle(2)]
    assert told(chain(*cells, steps=("2:part<df", "2:df2<part", "3:df3<df2")))


def test_stale_frames_of_a_chain_stay_the_findings_of_their_rule() -> None:
    recording = chain(*WORK, *[Cell(used="df3")] * 4)
    assert [(one.code, one.also, one.exclusive_bytes // MB) for one in findings(recording)] == [
        ("MP202", ["MP203"], 40), ("MP203", [], 38),
    ]  # fmt: skip


def test_a_frame_that_a_callback_may_read_is_no_shadow() -> None:
    recording = chain(*WORK, *idle(2))
    recording.snapshots[-1].awaited = ["df"]
    assert told(recording) == []


# --- MP205 ------------------------------------------------------------------------------------


def figures(count: int, *cells: Cell, cell: int | None = 1, size: float = 1.0, names: str = "",
            script: bool = False) -> Recording:  # fmt: skip
    held = [Held(f"F{n} {names}" if n == count else f"F{n}", size) for n in range(1, count + 1)]
    recording = program(*held) if script else notebook(*cells, held=held)
    for holder in recording.snapshots[-1].holders:
        if holder.expr.startswith("F"):
            holder.root, holder.expr = "figure", f"plt.figure({holder.expr[1:]})"
            holder.cell = cell
    return recording


@pytest.mark.parametrize(
    ("count", "size", "fires"), [(30, 1.0, True), (21, 0.1, True), (20, 0.1, False), (5, 3.0, True)]
)
def test_many_or_large_figures_are_one_finding(count: int, size: float, fires: bool) -> None:
    found = findings(figures(count, Cell("x"), Cell("y"), size=size))
    assert [one.code for one in found] == (["MP205"] if fires else [])
    assert not fires or (len(found[0].holders), found[0].fix) == (count, 'plt.close("all")')


def test_figures_of_the_last_cell_are_in_use() -> None:
    assert findings(figures(30, Cell("x"))) == []
    assert findings(figures(30, Cell("x"), Cell("y"), cell=2)) == []


def test_names_of_a_figure_go_with_it_unless_a_later_cell_used_them() -> None:
    [one] = findings(figures(30, Cell("fig"), Cell("y"), names="fig"))
    assert "fig" in [held.expr for held in one.holders]
    assert one.fix == 'plt.close("all")\ndel fig'
    [one] = findings(figures(30, Cell("fig"), Cell(used="fig"), names="fig"))
    assert len(one.holders) == 29
    assert "plt.close(number)" in one.fix


def test_a_single_figure_may_be_drawn_on_by_every_cell_that_uses_pyplot() -> None:
    assert findings(figures(1, Cell("x"), Cell(used="plt"), Cell("y"), size=50)) == []
    assert findings(figures(1, Cell("x"), Cell("z"), Cell("y"), size=50))


def test_a_script_may_end_with_a_few_figures() -> None:
    assert findings(figures(4, size=50, script=True)) == []
    [one] = findings(figures(6, size=50, names="fig", script=True))
    assert one.code == "MP205"
    assert len(one.holders) == 7


# --- MP301 ------------------------------------------------------------------------------------


def pinning(pinned: float | None, *cells: Cell, held: list[Held], **types: str) -> Recording:
    recording = notebook(*cells, held=held, types=types)
    for group in recording.snapshots[-1].groups:
        group.pinned = None if pinned is None else int(pinned * MB)
    return recording


@pytest.mark.parametrize(("pinned", "fires"), [(None, False), (9.9, False), (10, True), (20, True)])
def test_a_view_in_use_pins_what_it_hides(pinned: float | None, fires: bool) -> None:
    found = findings(pinning(pinned, Cell("row"), Cell(used="row"), held=[Held("row", 20)]))
    assert [(one.code, one.status) for one in found] == ([("MP301", "leaking")] if fires else [])
    assert not fires or found[0].reclaim.bytes == int((pinned or 0) * MB)


def test_a_view_that_shows_most_of_its_buffer_is_none() -> None:
    assert findings(pinning(30, Cell("row"), held=[Held("row", 61)])) == []
    assert findings(pinning(30, Cell("row"), held=[Held("row", 60)]))


def test_views_of_one_buffer_are_one_finding_and_others_their_own() -> None:
    held = [Held("a b", 40), Held("c", 30)]
    found = told(pinning(30, Cell("a b c"), held=held))
    assert [(row[0], set(row[2].split())) for row in found] == [
        ("MP301", {"a", "b"}), ("MP301", {"c"}),
    ]  # fmt: skip


@pytest.mark.parametrize("other", ["?", "sys.last_value", "F"])
def test_what_no_copy_can_release_is_not_promised(other: str) -> None:
    recording = pinning(30, Cell("a"), held=[Held(f"a {other}", 40)])
    recording.snapshots[-1].holders[-1].root = {"F": "frame"}.get(
        other, recording.snapshots[-1].holders[-1].root
    )
    assert findings(recording) == []


def test_a_stale_view_stays_a_stale_name() -> None:
    [one] = findings(pinning(30, Cell("a"), *idle(5), held=[Held("a", 40)]))
    assert (one.code, one.also) == ("MP202", ["MP301"])


@pytest.mark.parametrize(
    ("kind", "inside", "fix"),
    [
        ("pandas.DataFrame", "", "v = v.copy()"), ("numpy.ndarray", "", "v = v.copy()"),
        ("pyarrow.Table", "", "v = v.take(list(range(len(v))))"),
        ("memoryview", "", "v = memoryview(bytes(v))"),
        ("list", "pandas.DataFrame", "v = [one.copy() for one in v]"),
        ("dict", "numpy.ndarray", "v = {key: one.copy() for key, one in v.items()}"),
        ("tuple", "pyarrow.Table", "v = tuple(one.take(list(range(len(one)))) for one in v)"),
        ("Store", "", "keep copies in `v` and not views: `.copy()` what is put into it"),
    ],
)  # fmt: skip
def test_the_fix_copies_by_type(kind: str, inside: str, fix: str) -> None:
    path = (Step(edge="[0]", type=inside),) if inside else ()
    [one] = findings(pinning(30, Cell("v"), held=[Held("v", 40, path=path)], v=kind))
    assert one.fix == fix


def test_arrow_strings_of_pandas_need_a_way_through_objects() -> None:
    assert copied("v", "pandas.DataFrame", strings=True) == "v.astype(object).astype(v.dtypes)"
    assert copied("v", "pandas.Series", strings=True) == "v.astype(object).astype(v.dtype)"


# --- MP302 ------------------------------------------------------------------------------------


def converted(*later: Cell, held: list[Held] | None = None, **shapes: Any) -> Recording:
    cells = [Cell("t"), Cell("df", used="t"), *later]
    recording = notebook(*cells, held=held or [Held("t", 30), Held("df", 40)])
    for marker in recording.markers:
        if marker.cell == 2:
            marker.collected["df"] = ["t", "to_pandas"]
    return shaped(recording, **{"t": (1000, 4), "df": (1000, 4), **shapes})


@pytest.mark.parametrize(
    ("later", "left"),
    [
        (["df", "df"], "t"), (["t", "t"], "df"), (["df"], ""), (["df", ""], ""),
        (["df", "t"], ""), (["df", "df", "t"], ""), (["", ""], ""), (["df", "", "df"], "t"),
    ],
)  # fmt: skip
def test_the_one_that_no_later_cell_used_was_left(later: list[str], left: str) -> None:
    found = [row[:3] for row in told(converted(*(Cell(f"x{n}", used=name) for n, name in
             enumerate(later))))]  # fmt: skip
    assert found == ([("MP302", "suspect", left)] if left else [])


def test_a_copy_that_shares_its_buffers_or_shows_a_part_is_none() -> None:
    work = [Cell(used="df"), Cell(used="df")]
    assert told(converted(*work))
    assert told(converted(*work, held=[Held("t df", 40), Held("t", 5)])) == []
    assert told(converted(*work, df=(400, 4))) == []


def test_a_source_bound_again_is_another_object() -> None:
    assert told(converted(Cell("t"), Cell(used="df"), Cell(used="df"))) == []


def test_a_copy_bound_again_is_another_object() -> None:
    assert told(converted(Cell("df"), Cell(used="df"), Cell(used="df"))) == []


def test_records_have_the_rows_as_their_length() -> None:
    recording = converted(Cell(used="t"), Cell(used="t"))
    copy = next(one for one in recording.snapshots[-1].holders if one.expr == "df")
    copy.shape, copy.length, copy.type = None, 1000, "list"
    assert [row[2] for row in told(recording)] == ["df"]
    copy.length = 999
    assert told(recording) == []


# --- MP303 ------------------------------------------------------------------------------------


def texts(now: float, typed: float, *, pandas: str = "3.1.0", objects: int = 2) -> Recording:
    recording = notebook(Cell("df"), Cell(used="df"), held=[Held("df", 100)])
    snapshot = recording.snapshots[-1]
    snapshot.libraries = {"pandas": pandas}
    [holder] = snapshot.holders
    holder.strings = Strings(columns=2, bytes=int(now * MB), typed=int(typed * MB))
    holder.dtypes = {"object": objects}
    return recording


@pytest.mark.parametrize(
    ("now", "typed", "fires"),
    [(20, 10, True), (19.9, 10, False), (50, 10, True), (12, 3, False), (30, 16, False)],
)
def test_texts_as_objects_are_advice_from_twice_the_size_on(
    now: float, typed: float, fires: bool
) -> None:
    found = findings(texts(now, typed))
    assert [(one.code, one.status) for one in found] == ([("MP303", "advice")] if fires else [])
    assert not fires or found[0].reclaim.bytes == int((now - typed) * MB)


def test_the_conversion_is_that_of_the_pandas_in_use() -> None:
    new, old = (findings(texts(50, 10, pandas=version))[0].fix for version in ("3.1.0", "2.2.3"))
    assert 'select_dtypes(object).columns, "str")' in new
    assert '"string[pyarrow]"' in old
    # Other objects among them must not become texts.
    mixed = findings(texts(50, 10, objects=3))[0].fix
    assert not any(line.startswith("df = ") for line in mixed.splitlines())


def test_advice_does_not_hide_what_fails_a_gate() -> None:
    recording = texts(50, 10)
    recording.markers += notebook(*idle(9), held=[], first=3).markers
    [one] = findings(replace(recording))
    assert (one.code, one.also) == ("MP202", ["MP303"])
