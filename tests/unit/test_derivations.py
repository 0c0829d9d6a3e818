"""What a cell's assignments compute from what, and what they convert."""

from __future__ import annotations

import ast

import pytest

from memprobe_probes import derivations, names

# cell, made ("target<source,source")
MADE = [
    ("df2 = df.dropna()", "df2<df"),
    ("df2 = df.dropna().assign(x=other.y, z=lambda d: d.a)", "df2<df,other"),
    ("df2: Frame = clean(df)", "df2<df"),
    ("df2 = df[df.a > limit]", "df2<df"),
    ("df2 = df.loc[mask, cols].copy()", "df2<df"),
    ("df2 = pd.DataFrame(x)", "df2<pd,x"),
    ("table = pa.Table.from_pandas(df)", "table<pa,df"),
    ("rows = list(x)", "rows<x"),
    ("both = pd.concat([a, *more])", "both<pd,a,more"),
    ("a, b = x, f(y)", "a<x b<y"),
    ("train, test = split(df, size=share)", "train<df,share test<df,share"),
    ("first, *rest = rows", "first<rows rest<rows"),
    ("a = b = c", "a<c b<c"),
    ("if (n := load(p)): m = n", "n<p m<n"),
    ("with open(p) as f:\n df = read(f)\n for x in y:\n  z = df", "df<f z<df"),
    ("try:\n a = b\nexcept E:\n a = c\nelse:\n d = a\nfinally:\n e = d", "a<c d<a e<d"),
    ("match k:\n case 1: a = b", "a<b"),
    ("while True:\n a = b", "a<b"),
    ("df = df.dropna()", "df<df"),
    ("df2 = df.copy()\ndf2 = df2.dropna()", "df2<df2,df"),
    ("df2 = df.copy()\ndf2 = load()", ""),
    ("df2 = df * 2", "df2<df"),
    ("rows += more", "rows<rows,more"),
    ("rows[0] = more\ndf['a'] = b\nx.y = b", ""),
    ("def f():\n a = b\nclass C:\n a = b", ""),
    ("parts = [clean(p) for p in frames if p.a > low]", "parts<frames"),
    ("x = 1\ny = 'df'\nz = f'{df}'\nw = lambda: df", ""),
    ("a = b if ready else c", "a<b,c"),
    ("a = await b", "a<b"),
    ("x: int", ""),
]  # fmt: skip


@pytest.mark.parametrize(("cell", "made"), MADE, ids=[row[0] for row in MADE])
def test_what_values_are_computed_from(cell: str, made: str) -> None:
    expected = dict(one.split("<") for one in made.split())
    found = names.of_cell(cell).derived.made
    assert {name: ",".join(sources) for name, sources in found.items()} == expected


COLLECTED = [
    ("df = table.to_pandas()", "df<table.to_pandas"),
    ("df = table.to_pandas(types_mapper=m).reset_index()", "df<table.to_pandas"),
    ("rows = df.to_dict('records')", "rows<df.to_dict"),
    ("rows = df.values.tolist()", "rows<df.tolist"),
    ("arr = df.values", "arr<df.values"),
    ("arr = df.astype(float).to_numpy()", "arr<df.to_numpy"),
    ("table = pa.Table.from_pandas(df, nthreads=1)", "table<df.from_pandas"),
    ("a, b = t.to_pylist(), t.to_pydict()", "a<t.to_pylist b<t.to_pydict"),
    ("pdf = sdf.filter(sdf.a > 1).select('a').toPandas()", "pdf<sdf.toPandas"),
    # A part of the source is no copy of it.
    ("x = df['a'].tolist()", ""),
    ("x = df.head().to_dict()", ""),
    ("x = df[cols].to_numpy()", ""),
    ("x = load().to_pandas()", ""),
    ("df = df.to_pandas()", ""),
    ("x = df.to_dict", ""),
    ("x = df.to_pandas()\nx = 1", ""),
]


@pytest.mark.parametrize(("cell", "collected"), COLLECTED, ids=[row[0] for row in COLLECTED])
def test_what_is_a_source_in_another_form(cell: str, collected: str) -> None:
    expected = dict(one.split("<") for one in collected.split())
    found = names.of_cell(cell).derived.collected
    assert {name: ".".join(pair) for name, pair in found.items()} == expected


@pytest.mark.parametrize(
    ("value", "anew"),
    [
        ("df * 2", True), ("-df", True), ("df.a > 1", True), ("df.pct_change()", True),
        ("df.rolling(5).mean().dropna()", True), ("(df - df.mean()).copy()", True),
        ("df.fillna(df.mean())", False), ("df[df.a > 1]", False), ("df.assign(x=df.a * 2)", False),
        ("clean(df)", False), ("pd.concat([a, b])", False),
    ],
)  # fmt: skip
def test_values_computed_anew_are_no_near_copy(value: str, anew: bool) -> None:
    assert derivations.recomputes(ast.parse(value, mode="eval").body) is anew
    assert names.of_cell(f"x = {value}").derived.recomputed == ({"x"} if anew else set())


def test_a_later_plain_copy_is_not_called_recomputed() -> None:
    assert names.of_cell("x = df * 2\nx = df.copy()").derived.recomputed == set()
    assert names.of_cell("x = df * 2\nx = x.copy()").derived.recomputed == {"x"}


def test_no_text_of_the_user_leaves_the_pass() -> None:
    found = names.of_cell("df2 = df.my_secret_method('value')['key']").derived
    assert (found.made, found.collected) == ({"df2": ["df"]}, {})


def test_a_very_deep_value_is_survived() -> None:
    assert names.of_cell("x = " + "a" + ".a" * 900 + "\ny = x").bound["x"] == 1
