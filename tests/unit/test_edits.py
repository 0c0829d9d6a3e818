"""Edits of cells: right where magics, comments, brackets and displays stand in the way."""

from __future__ import annotations

import ast
from typing import Any

import pytest

from memprobe.edits.cell_source import CellSource
from memprobe.edits.edited_cell import Editing
from memprobe.edits.suggest import Notebook, suggest
from memprobe.findings import Created, Finding, Growth, HeldObject, Holding, Reclaim
from memprobe.targets.magics import transformed

pytest.importorskip("IPython")
MB = 1_000_000


def finding(
    *holders: str,
    fix: str,
    code: str = "MP202",
    made: int | None = None,
    where: Any = "driver-python",
    grows: int | None = None,
    kind: str = "list",
) -> Finding:
    """Return a finding; a holder is ``Out[3]``, ``df``, or ``root:expr``."""
    held = [Holding(root=_root(one), expr=one.rpartition(":")[2]) for one in holders]
    return Finding(
        code=code, name="x", status="suspect", title="t", context="notebook",
        object=HeldObject(type=kind), holders=held, exclusive_bytes=40 * MB, shared_bytes=0,
        reclaim=Reclaim(bytes=40 * MB, low=0, high=40 * MB, where=where), fix=fix,
        created=Created(cell=made), fingerprint="f" * 12,
        growth=Growth(bytes_per_round=grows, rounds=3) if grows else None,
    )  # fmt: skip


def _root(holder: str) -> str:
    if ":" in holder:
        return holder.partition(":")[0]
    return "ipython-output" if holder.startswith(("Out[", "_")) else "notebook-namespace"


def edited(finding_: Finding, *cells: str, **more: Any) -> dict[int, str]:
    """Return cell → text of each edited cell."""
    found = suggest([finding_], Notebook(list(cells), **more))
    return {one.cell: one.after for one in found.edits}


def refused(finding_: Finding, *cells: str, **more: Any) -> str:
    found = suggest([finding_], Notebook(list(cells), **more))
    assert found.edits == []
    return found.left[0].why


@pytest.mark.parametrize(
    ("cell", "after"),
    [
        ("df", "display(df)"),
        ("df  # the table", "display(df)  # the table"),
        ("x = 1\ndf.head()\n# end\n", "x = 1\ndisplay(df.head())\n# end\n"),
        ("(df\n  .head()  # some\n)", "display((df\n  .head()  # some\n))"),
        ("df \\\n  .head()", "display(df \\\n  .head())"),
        ("x = 1; df", "x = 1; display(df)"),
        ("f(';'); df['a;b']", "f(';'); display(df['a;b'])"),
        ("a, b", "display((a, b))"),
        ("(a), (b)", "display(((a), (b)))"),
        ("(a, b)", "display((a, b))"),
        ("%time df", "%time display(df)"),
        ("%matplotlib inline\ndf", "%matplotlib inline\ndisplay(df)"),
        ("!ls \\\n -l\ndf", "!ls \\\n -l\ndisplay(df)"),
        ("%%time\ndf", "%%time\ndisplay(df)"),
        ("\n%%capture out\nx = 1\ndf\n", "\n%%capture out\nx = 1\ndisplay(df)\n"),
        ("'ü' + name", "display('ü' + name)"),
        ("await job()", "display(await job())"),
        ("[one\n for one in df]", "display([one\n for one in df])"),
        ('"""a\n# b\n"""', 'display("""a\n# b\n""")'),
    ],
)
def test_what_is_displayed_is_shown_and_not_kept(cell: str, after: str) -> None:
    found = edited(finding("Out[1]", "_1", fix="%xdel _1", code="MP201", made=1), cell)
    assert found == {1: after}
    assert CellSource.of(after).groups is not None


def test_a_by_product_of_a_picture_is_silenced() -> None:
    axes = finding("Out[1]", fix="%xdel _1", made=1, kind="matplotlib.axes._axes.Axes")
    assert edited(axes, "df.plot()  # a line") == {1: "df.plot();  # a line"}


def test_where_display_is_a_name_of_the_notebook_a_semicolon_lets_go() -> None:
    shown = finding("Out[2]", fix="%xdel _2", made=2)
    assert edited(shown, "def display(x): pass", "df") == {2: "df;"}


@pytest.mark.parametrize("reader", ["Out[1]", "_1.sum()", "x = _oh[1]", "y = _"])
def test_an_output_that_a_cell_reads_again_is_left(reader: str) -> None:
    why = refused(finding("Out[1]", fix="%xdel _1", made=1), "df", reader)
    assert why == "cell 2 reads it from the history of outputs"


def test_a_loops_own_underscore_reads_no_output() -> None:
    assert edited(finding("Out[1]", fix="%xdel _1", made=1), "df", "for _ in x: print(_)")


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (("x = 1", "print(x)", "y = 2"), {2: "print(x)\ndel x"}),
        (("x = 1", "s = sum(x)  # all\ns"), {2: "s = sum(x)  # all\ndel x\ns"}),
        (("x = 1", "sum(x)"), {2: "display(sum(x))\ndel x"}),
        (("x = 1", "sum(x);"), {2: "sum(x);\ndel x"}),
        (("x = 1", "y = sum(x); y"), {2: "y = sum(x); display(y)\ndel x"}),
        (
            ("x = 1", "s = sum(\n  x,  # these\n)\nz = 3"),
            {2: "s = sum(\n  x,  # these\n)\ndel x\nz = 3"},
        ),
        (("x = 1", "s = x \\\n  + 1\nz = 3"), {2: "s = x \\\n  + 1\ndel x\nz = 3"}),
        (
            ("x = 1", "for i in y:\n    use(x)\n\n# then\nz = 3"),
            {2: "for i in y:\n    use(x)\ndel x\n\n# then\nz = 3"},
        ),
        (
            ("x = 1", "if a:\n    b = x\nelse:\n    c = 1"),
            {2: "if a:\n    b = x\nelse:\n    c = 1\ndel x"},
        ),
        (("x = 1", "@wraps(x)\ndef f(): pass"), {2: "@wraps(x)\ndef f(): pass\ndel x"}),
        (("def f(): return x", "x = 1", "f()", "z = 1"), {3: "display(f())\ndel x"}),
        (("x = 1", "g = (a for a in y if a in x)", "list(g)\nz = 1"), {3: "list(g)\ndel x\nz = 1"}),
        (("x = 1", "f = lambda: x", "z = f()", "q = 1"), {3: "z = f()\ndel x"}),
        (("x = 1", "df.query('a > @x')\nz = 1"), {2: "df.query('a > @x')\ndel x\nz = 1"}),
        (("x = 1", "!echo {x}\nz = 1"), {2: "!echo {x}\ndel x\nz = 1"}),
        (("x = 1", "%time y = x.sum()\nz = 1"), {2: "%time y = x.sum()\ndel x\nz = 1"}),
        (("x = 1", "%%time\ny = x.sum()\nz = 1"), {2: "%%time\ny = x.sum()\ndel x\nz = 1"}),
        (("def f(): return x", "x = 1", "y = f()", "y;"), {3: "y = f()\ndel x"}),
        (("def f():\n    yield x", "x = 1", "y = f()", "list(y);"), {4: "list(y);\ndel x"}),
        (("def f(): return x", "x = 1", "g = partial(f, 1)", "g();"), {4: "g();\ndel x"}),
        (("x = 1", "y = x\n\n\n"), {2: "y = x\ndel x\n\n\n"}),
        (
            ("class A:\n    def go(self): return x", "x = 1", "a = A()", "a.go();"),
            {4: "a.go();\ndel x"},
        ),
    ],
)
def test_a_name_goes_behind_its_last_use(cells: tuple[str, ...], expected: dict[int, str]) -> None:
    assert edited(finding("x", fix="del x"), *cells) == expected
    for text in expected.values():
        ast.parse(transformed(text.replace("%%time\n", "")))


def test_what_was_seen_to_use_it_counts_though_its_text_does_not_tell() -> None:
    seen = [{"x"}, set(), {"x"}, set()]
    found = edited(
        finding("x", fix="del x"), "x = 1", "a = 1", "b = module.run()", "c = 1", seen=seen
    )
    assert found == {3: "b = module.run()\ndel x"}


def test_a_cell_of_comments_alone_uses_nothing() -> None:
    assert edited(finding("x", fix="del x"), "x = 1", "# x is done") == {1: "x = 1\ndel x"}


def test_a_cell_that_displayed_nothing_needs_no_display() -> None:
    found = edited(finding("x", fix="del x"), "x = 1", "print(x)", shows=[False, False])
    assert found == {2: "print(x)\ndel x"}


def test_names_of_one_place_are_deleted_together() -> None:
    found = edited(finding("a", "b", fix="del a, b"), "a = b = load()", "use(a, b)\nz = 1")
    assert found == {2: "use(a, b)\ndel a, b\nz = 1"}


@pytest.mark.parametrize(
    ("one", "cells", "why"),
    [
        (finding("x", fix="del x"), ("x = 1", "%%bash\necho x"), "no plain Python"),
        (finding("x", fix="del x"), ("y = 1",), "no cell mentions"),
        (finding("x", "lru-cache:f", fix="del x"), ("x = 1",), "lru-cache"),
        (finding("rows", fix="del rows", code="MP101", grows=MB), ("rows = []",), "round begins"),
        (finding("cfg", fix="del cfg['a']"), ("cfg = {}",), "still in use"),
        (finding("Out[1]", fix="%xdel _1", made=1), ("x = 1",), "does not end in an expression"),
        (finding("x", fix="keep the text only"), ("x = 1",), "keep the text only"),
    ],
)
def test_what_no_edit_lets_go_of_says_why(one: Finding, cells: tuple[str, ...], why: str) -> None:
    assert why in refused(one, *cells)


def test_a_name_that_a_callback_may_read_stays() -> None:
    why = refused(finding("x", fix="del x"), "x = 1", awaited=frozenset({"x"}))
    assert "callback" in why


def test_a_finding_is_edited_whole_or_not_at_all() -> None:
    both = finding("Out[1]", "x", fix="%xdel _1\ndel x", made=1)
    assert "history" in refused(both, "x", "_1")


def test_an_exception_is_forgotten_where_the_next_cell_begins() -> None:
    fix = "import sys; sys.last_value = sys.last_traceback = None"
    one = finding("traceback:sys.last_value", fix=fix, code="MP104", made=1)
    cells = ("1 / 0", "# go on\nfrom __future__ import annotations\nx = 1")
    assert edited(one, *cells) == {2: f"# go on\nfrom __future__ import annotations\n{fix}\nx = 1"}
    assert "the last one" in refused(one, "1 / 0")
    assert edited(one, "1 / 0", "%%time\nx = 1") == {2: f"%%time\n{fix}\nx = 1"}


SPARK = {"code": "MP402", "where": "executors"}


def test_a_cache_is_let_go_behind_the_last_frame_that_may_read_it() -> None:
    one = finding("df", fix="df.unpersist()", **SPARK)
    cells = ("df = load().cache()", "agg = df.groupBy('k').sum()", "agg.show()\nz = 1", "y = 1")
    assert edited(one, *cells) == {3: "agg.show()\ndf.unpersist()\nz = 1"}


def test_what_was_collected_reads_no_cache_any_more() -> None:
    one = finding("df", fix="df.unpersist()", **SPARK)
    cells = ("df = load().cache()", "table = df.toPandas()", "print(table)")
    assert edited(one, *cells) == {2: "table = df.toPandas()\ndf.unpersist();"}


ORPHAN = "spark.sparkContext._jsc.getPersistentRDDs()[12].unpersist()"


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (
            ("df = load().cache()\nn = df.count()", "del df"),
            {1: "df = load().cache()\nn = df.count()\ndf.unpersist();"},
        ),
        (
            ("df = load().persist(LEVEL)", "n = df.count()\ndf = other()"),
            {2: "n = df.count()\ndf.unpersist()\ndf = other()"},
        ),
        (
            ("df = load()\ndf.cache()\ndf.count();\ndel df",),
            {1: "df = load()\ndf.cache()\ndf.count();\ndf.unpersist()\ndel df"},
        ),
    ],
)
def test_a_cache_whose_name_went_is_let_go_before_that(
    cells: tuple[str, ...], expected: dict[int, str]
) -> None:
    one = finding("spark-executor:x", fix=ORPHAN, made=1, code="MP401", where="executors")
    assert edited(one, *cells) == expected


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        (("load().cache().count()",), "give each a name"),
        (("df = load().cache()\nagg = df.groupBy('k')", "del df", "agg.show()"), "may still read"),
        (("df = df.withColumn('a').cache()\ndf = df.cache()",), "several frames"),
    ],
)
def test_a_cache_that_cannot_be_reached_by_name_says_why(cells: tuple[str, ...], why: str) -> None:
    one = finding("spark-executor:x", fix=ORPHAN, made=1, code="MP401", where="executors")
    assert why in refused(one, *cells)


def test_edits_of_one_cell_by_several_findings_come_together() -> None:
    cells = ("a = load()", "b = a + 1\nb")
    second = finding("Out[2]", "b", fix="%xdel _2\ndel b", made=2)
    second.fingerprint = "second"
    found = suggest(
        [finding("a", fix="del a"), second],
        Notebook(list(cells)),
    )
    (edit,) = found.edits
    assert edit.after == "b = a + 1\ndel a\ndisplay(b)\ndel b"
    assert len(edit.reasons) == 2
    assert edit.diff.splitlines()[:2] == ["--- cell 2", "+++ cell 2, edited"]


def test_a_cell_without_an_edit_stays_as_it_is() -> None:
    for text in ("", "x = (", "%%bash\nls", "   ", "x\n\n"):
        cell = CellSource.of(text)
        if cell.groups is not None:
            assert Editing(cell).text() == text


def gone(*names: str) -> list[Finding]:
    found = [finding(name, fix=f"del {name}") for name in names]
    for one in found:
        one.fingerprint = one.holders[0].expr
    return found


def functions(names: str, *cells: str, **more: Any) -> str:
    """Return what becomes of the first cell when these names are to go."""
    edits = suggest(gone(*names.split()), Notebook(list(cells), **more)).edits
    return next(one.after for one in edits if one.cell == 1)


STEPS = "raw = load()\nclean = raw + 1\ntotal = clean.sum()"


@pytest.mark.parametrize(
    ("cell", "after"),
    [
        (
            STEPS,
            "def make_total():\n    raw = load()\n    clean = raw + 1\n"
            "    return clean.sum()\n\ntotal = make_total()",
        ),
        (
            f"import numpy as np\n# first\n{STEPS}  # all\n\nn = 1\ntotal",
            "import numpy as np\n# first\ndef make_total():\n    raw = load()\n"
            "    clean = raw + 1\n    return clean.sum()  # all\n\ntotal = make_total()\n\n"
            "n = 1\ntotal",
        ),
        (
            "parts = [1]\nraw = []\nfor one in parts:\n    # each\n\n    raw.append(one)\n"
            "total = sum(raw)\nif total:\n    print(raw)",
            "def make_total():\n    parts = [1]\n    raw = []\n    for one in parts:\n"
            "        # each\n\n        raw.append(one)\n    total = sum(raw)\n    if total:\n"
            "        print(raw)\n    return total\n\ntotal = make_total()",
        ),
        (
            "raw = load(\n    1,\n)\nparts = [x for x in raw]\nprint(parts)",
            "def run_cell_1():\n    raw = load(\n        1,\n    )\n"
            "    parts = [x for x in raw]\n    print(parts)\n\nrun_cell_1()",
        ),
        (
            "raw = load(); parts = list(raw)\ntotal = len(parts)\nwrite(parts);",
            "def make_total():\n    raw = load(); parts = list(raw)\n    total = len(parts)\n"
            "    write(parts);\n    return total\n\ntotal = make_total()",
        ),
    ],
)
def test_several_names_of_one_cell_become_a_function(cell: str, after: str) -> None:
    names = "raw clean" if "clean" in cell else "raw parts"
    assert functions(names, cell, "print(total)") == after
    ast.parse(after)


@pytest.mark.parametrize(
    ("cell", "others"),
    [
        (STEPS, ("# raw\nraw.sum()",)),
        (STEPS, ("%%bash\necho raw",)),
        (STEPS, ("%%html\n<a href=x#raw>",)),
        (STEPS, ("!echo x#raw",)),
        (STEPS, ("f('raw')",)),
        (STEPS, ("globals()",)),
        (STEPS, ("%who",)),
        (STEPS, ("%store total",)),
        (STEPS, ("run('x') if NameError else 1",)),
        (STEPS, ("def make_total(): return 1",)),
        (f"%time x = 1\n{STEPS}", ()),
        (f"%%time\n{STEPS}", ()),
        (STEPS.replace("load()", "!ls"), ()),
        (STEPS.replace("load()", "await load()"), ()),
        (STEPS.replace("load()", "load('raw')"), ()),
        (STEPS.replace("load()", 'load("""a\nb""")'), ()),
        (STEPS.replace("load()", 'load(f"""a\n{1}""")'), ()),
        (STEPS.replace("load()", "raw"), ("raw = 1",)),
        (STEPS.replace("total =", "total +="), ()),
        (STEPS.replace("clean.sum()", "clean + total"), ()),
        (STEPS.replace("total =", "count = len(raw)\ntotal ="), ("print(count)",)),
        (STEPS.replace("total =", "count = len(raw)\ntotal ="), ()),  # nobody reads it: a result
        (STEPS.replace("clean =", "import numpy\nclean ="), ()),
        (STEPS.replace("clean =", "def f(): return raw\nclean ="), ()),
        (STEPS.replace("clean =", "f = lambda: raw\nclean ="), ()),
        (STEPS.replace("clean =", "raw.shape\nclean ="), ()),
        (STEPS.replace("clean =", "for _ in raw: pass\nclean ="), ()),
        (STEPS.replace("clean =", "del other\nclean ="), ()),
        (f"{STEPS}\nclean", ()),
        (f"{STEPS}\nclean.head()", ()),
        (f"if ready:\n    {STEPS.replace(chr(10), chr(10) + '    ')}", ()),
    ],
)
def test_where_a_function_might_change_something_names_are_deleted(
    cell: str, others: tuple[str, ...]
) -> None:
    found = suggest(gone("raw", "clean"), Notebook([cell, *others, "print(total)"]))
    for edit in found.edits:
        assert "def make_total():\n    " not in edit.after
    assert found.edits or found.left


def test_a_name_that_another_cell_was_seen_to_use_is_no_local() -> None:
    assert "def " in functions("raw clean", STEPS, "print(total)")
    assert "def " not in functions("raw clean", STEPS, "print(total)", seen=[set(), {"clean"}])
    found = suggest(gone("raw", "clean"), Notebook([STEPS], awaited=frozenset({"raw"})))
    assert all("def " not in one.after for one in found.edits)


def test_one_name_is_deleted_and_no_function_made() -> None:
    assert functions("raw", STEPS, "print(total)").endswith(
        "clean = raw + 1\ndel raw\ntotal = clean.sum()"
    )
