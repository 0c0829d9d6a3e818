"""What a cell binds, uses, deletes and shows, and what the code it calls may read."""

from __future__ import annotations

import ast
import functools
import sys
import types
from typing import Any

import pytest
from IPython.core.inputtransformer2 import TransformerManager

from memprobe_probes import names

transform = TransformerManager().transform_cell

# cell, names bound, names used
BINDING = [
    ("import a, b.c, d.e as f", "a b f", ""),
    ("from x import y, z as w", "y w", ""),
    ("from x import *", "", ""),
    ("with connect(p) as (a, [b, *c]): pass", "a b c", "connect p"),
    ("with connect(p): pass", "", "connect p"),
    ("async with a as b: pass\nasync for c in d: pass", "b c", "a d"),
    ("for i, (j, *k) in rows: pass\nelse: z", "i j k", "rows z"),
    ("if (n := len(a)) > 3: pass", "n", "len a"),
    ("[y := x for x in data]", "y", "data x"),
    ("[x for x in data for z in x]", "", "data x"),
    ("{k: v for k, v in pairs}", "", "pairs k v"),
    ("match m:\n case {'k': v, **rest}: pass", "v rest", "m"),
    ("match m:\n case [a, *others]: pass", "a others", "m"),
    ("match m:\n case [*_] | (1 | 2 as a): pass", "a", "m"),
    ("match m:\n case Point(x=0, y=y) as whole: pass", "y whole", "m Point"),
    ("match m:\n case colours.RED if ready: pass\n case _: pass", "", "m colours ready"),
    ("total += 1", "total", "total"),
    ("table[0] += s", "", "table s"),
    ("table.column += s", "", "table s"),
    ("table['new'] = s", "", "table s"),
    ("a, *b = c", "a b", "c"),
    ("x: int = big", "x", "int big"),
    ("def f(a=big, *, k=other): return inner", "f", "big other"),
    ("async def f(): return inner", "f", ""),
    ("await f(big)", "", "f big"),
    ("def outer():\n def inner():\n  global deep\n  deep = 1", "outer", ""),
    ("@dec(arg)\ndef f(): return inner", "f", "dec arg"),
    ("@dec\nclass C(Base, metaclass=M):\n x = big\n import q\n def m(self): return inner",
     "C", "dec Base M big"),
    ("class C:\n for i in rows: pass", "C", "rows"),
    ("g = lambda x=a: x + big", "g", "a x big"),
    ("f'{big:{width}}'", "", "big width"),
    ("try:\n a\nexcept Oops as e:\n b", "e", "a Oops b"),
    ("global q\nq = 1", "q", ""),
    ("first = second = third", "first second", "third"),
    ("big.loc[rows, 'a'].sum()", "", "big rows"),
]  # fmt: skip


@pytest.mark.parametrize(("cell", "bound", "used"), BINDING, ids=[row[0] for row in BINDING])
def test_what_a_cell_binds_and_uses(cell: str, bound: str, used: str) -> None:
    found = names.of_cell(cell)
    assert set(found.bound) == set(bound.split())
    assert found.used == set(used.split())
    assert not found.deleted


@pytest.mark.skipif(sys.version_info < (3, 11), reason="except* came with Python 3.11")
def test_except_star_binds() -> None:
    found = names.of_cell("try:\n a\nexcept* Oops as group:\n b")
    assert (set(found.bound), found.used) == ({"group"}, {"a", "Oops", "b"})


def test_bound_names_have_the_line_that_bound_them_last() -> None:
    found = names.of_cell("a = 1\n\nb = 2\na = 3\ndef f():\n    c = 1\n")
    assert found.bound == {"a": 4, "b": 3, "f": 5}


def test_deleting_a_name_is_no_use_of_it_and_deleting_inside_an_object_is() -> None:
    found = names.of_cell("del a, (b), c[i], d.e")
    assert found.deleted == {"a", "b"}
    assert found.used == {"c", "i", "d"}


@pytest.mark.parametrize("cell", ["nonsense (", "", "# only this", "a = '\0'", "return 1 +"])
def test_a_cell_that_cannot_be_parsed_or_is_empty_has_no_names(cell: str) -> None:
    found = names.of_cell(cell)
    assert [found.bound, found.used, found.deleted] == [{}, set(), set()]
    assert not found.shows


def test_a_very_deep_cell_is_survived() -> None:
    names.of_cell("x = " + "-" * 20_000 + "1")
    # The parser copes with this one, a walk through its tree does not.
    assert names.of_cell("x = big" + ".a" * 900).bound == {"x": 1}


SHOWING = [
    ("big", True), ("(big)", True), ("big,", True), ("x = 1\nbig", True), ("await f()", True),
    ("big\n# said", True), ("big;", False), ("big ;\n\n", False), ("x = big", False),
    ("big\nx = 1", False), ("for x in y: x", False), ("del big", False), ("def f(): big", False),
]  # fmt: skip


@pytest.mark.parametrize(("cell", "shows"), SHOWING)
def test_which_cells_end_in_an_expression(cell: str, shows: bool) -> None:
    assert names.of_cell(cell).shows is shows


TEXTS = [
    "%%time\nbig.sum()",
    "%%timeit -n 1\nbig.sum()",
    "%%capture out\nbig.sum()",
    "%timeit big.sum()",
    "%time y = big.sum()",
    "!ls {big}",
    "!echo $big",
    "files = !ls {big}",
    "%env PLACE={big}",
    "%%bash\necho $big",
    "big?",
    "big.sum??",
    "globals()['big']",
    "globals().get('big')",
    "__main__.big.sum()",
    "import __main__\n__main__.big",
    "sys.modules['__main__'].big",
    "importlib.import_module('__main__').big",
    "locals()['big']",
    "vars().get('big', None)",
    "get_ipython().user_ns['big']",
    "get_ipython().user_ns.get('big')",
    "get_ipython().ev('big')",
    "eval('big + 1')",
    "exec('x = big')",
    "exec(compile('x = big', 'f', 'exec'))",
    "other.query('a > @big')",
    "other.query(expr='a > @big')",
    "other.eval('a + @big')",
    "duckdb.sql('select * from big')",
    "duckdb.execute('select * from big')",
    "eval(f'{other} + big')",
    "'{big}'.format(**globals())",
    "'%(big)s' % locals()",
    "timeit.timeit('big.sum()', globals=globals())",
    "for name in ('big', 'small'):\n    globals()[name].sum()",
]


@pytest.mark.parametrize("cell", TEXTS)
def test_names_in_texts_that_are_run_are_used(cell: str) -> None:
    assert "big" in names.of_cell(transform(cell)).used


@pytest.mark.parametrize("cell", ["print('big')", "'big'", "x = 'big'", "other['big']", "# big"])
def test_names_in_other_texts_are_not_used(cell: str) -> None:
    assert "big" not in names.of_cell(transform(cell)).used


@pytest.mark.parametrize("cell", ["other.big", "import __main__\nother.small"])
def test_attributes_of_anything_else_are_not_used(cell: str) -> None:
    assert "big" not in names.of_cell(transform(cell)).used


@pytest.mark.parametrize(("cell", "uses"), [("here.big", True), ("other.big", False)])
def test_attributes_of_the_module_that_cells_run_in_are_used(cell: str, uses: bool) -> None:
    here = types.ModuleType("__main__")
    here.__dict__.update(here=here, other=types.ModuleType("other"), big=[1])
    assert ("big" in names.with_called(names.of_cell(cell), here.__dict__)) is uses


def used_by(cell: str, *before: str) -> set[str]:
    """Return what ``cell`` uses of ``big`` and ``small`` after the cells ``before`` have run."""
    namespace: dict[str, Any] = {"__name__": "__main__", "functools": functools}
    for source in ("big = [1]\nsmall = [2]", *before):
        exec(compile(transform(source), "cell", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), namespace)
    found = names.of_cell(transform(cell))
    return names.with_called(found, namespace) & {"big", "small"}


# What earlier cells define, and the cell that may read `big` through it.
READERS = {
    "function": ("def f(): return big", "f()"),
    "function-of-function": ("def g(): return big\ndef f(): return g()", "f()"),
    "recursive": ("def f(n): return g(n)\ndef g(n): return f(n) if n else big", "f(1)"),
    "nested-function": ("def f():\n def g(): return big\n return g()", "f()"),
    "lambda": ("f = lambda: big", "f()"),
    "comprehension-in-function": ("def f(): return [x for x in big]", "f()"),
    "handed-on": ("def f(x): return big", "list(map(f, [1]))"),
    "async": ("async def f(): return big", "await f()"),
    "method": ("class C:\n def m(self): return big\nc = C()", "c.m()"),
    "inherited": ("class B:\n def m(self): return big\nclass C(B): pass\nc = C()", "c.m()"),
    "property": ("class C:\n @property\n def p(self): return big\nc = C()", "c.p"),
    "cached-property": ("class C:\n @functools.cached_property\n def p(s): return big\nc = C()",
                        "c.p"),
    "static": ("class C:\n @staticmethod\n def m(): return big", "C.m()"),
    "class-method": ("class C:\n @classmethod\n def m(cls): return big", "C.m()"),
    "constructor": ("class C:\n def __init__(self): self.x = big", "C()"),
    "operator": ("class C:\n def __add__(self, o): return big\nc = C()", "c + 1"),
    "bound-method": ("class C:\n def m(self): return big\nm = C().m", "m()"),
    "attribute": ("class C: pass\nc = C()\nc.f = lambda: big", "c.f()"),
    "class-attribute": ("class C:\n table = {'f': lambda: big}", "C.table['f']()"),
    "partial": ("def g(x): return big\nf = functools.partial(g, 1)", "f()"),
    "partial-argument": ("def g(): return big\nf = functools.partial(map, g)", "f([])"),
    "closure": ("def make():\n def g(): return big\n def f(): return g()\n return f\nf = make()",
                "f()"),
    "wrapped": ("def d(g):\n @functools.wraps(g)\n def f(*a): return g(*a)\n return f\n"
                "@d\ndef f(): return big", "f()"),
    "marked-as-wrapped": ("f = lambda: 1\ndef g(): return big\nf.__wrapped__ = g", "f()"),
    "cached": ("@functools.lru_cache\ndef f(): return big", "f()"),
    "single-dispatch": ("@functools.singledispatch\ndef f(x): return big", "f(1)"),
    "default": ("def g(): return big\ndef f(h=g): return h()", "f()"),
    "keyword-default": ("def g(): return big\ndef f(*, h=g): return h()", "f()"),
    "list-of-functions": ("def g(): return big\nsteps = [g]", "for s in steps: s()"),
    "dict-of-functions": ("steps = {'g': lambda: big}", "steps['g']()"),
    "generator": ("def f():\n yield 1\n yield big\ng = f()\nnext(g)", "next(g)"),
    "generator-expression": ("g = (x in big for x in small)", "next(g)"),
    "compiled": ("code = compile('big', 'f', 'eval')", "eval(code)"),
    "text-variable": ("text = 'big + small'", "eval(text)"),
    "text-variable-by-name": ("key = 'big'", "globals()[key]"),
    "function-with-text": ("def f(): return eval('big')", "f()"),
    "function-with-text-variable": ("text = 'big'\ndef f(): return eval(text)", "f()"),
    "text-handed-to-function": ("def run(text): return eval(text)", "run('big + 1')"),
    "text-variable-handed": ("text = 'big'\ndef run(text): return eval(text)", "run(text)"),
    "query-helper": ("def sql(q): return duckdb.sql(q).df()", "sql('select * from big')"),
    "global-statement": ("def f():\n global big\n big = 2", "f()"),
    "magic-with-function": ("def f(): return big", "%timeit f()"),
}  # fmt: skip


@pytest.mark.parametrize(("before", "cell"), READERS.values(), ids=READERS)
def test_code_that_a_cell_may_run_uses_what_it_mentions(before: str, cell: str) -> None:
    assert "big" in used_by(cell, before)


UNUSED = {
    "defined-not-called": ("", "def f(): return big"),
    "redefined-not-called": ("def f(): return big", "def f(): return small"),
    "class-defined": ("", "class C:\n def m(self): return big"),
    "another-function": ("def f(): return big\ndef g(): return small", "g()"),
    "only-bound": ("", "big = 1"),
    "only-deleted": ("", "del big"),
    "local-of-the-same-name": ("def f(other): return other", "f(1)"),
    "text-not-run": ("def f(text): return len(text)", "f('big')"),
    "ended-generator": ("def f():\n yield big\ng = f()\nlist(g)", "list(g)"),
    "function-of-another-namespace": ("there = {}\nexec('def f(): return big', there)\n"
                                      "f = there.pop('f')", "f()"),
    "generator-of-another-namespace": ("g = eval('(x in big for x in [1])', {'big': [1]})",
                                       "next(g)"),
}  # fmt: skip


@pytest.mark.parametrize(("before", "cell"), UNUSED.values(), ids=UNUSED)
def test_code_that_is_not_run_uses_nothing(before: str, cell: str) -> None:
    assert "big" not in used_by(cell, before)


def test_no_code_of_the_user_runs() -> None:
    hostile = (
        "class Meta(type):\n"
        "    def __getattribute__(cls, name): raise SystemExit\n"
        "    def __instancecheck__(cls, one): raise SystemExit\n"
        "class Trap(metaclass=Meta):\n"
        "    def __getattribute__(self, name): raise SystemExit\n"
        "    def __hash__(self): raise SystemExit\n"
        "    def __eq__(self, other): raise SystemExit\n"
        "    def m(self): return big\n"
        "trap = Trap()"
    )
    assert used_by("trap", hostile) == {"big"}


def test_the_search_ends_in_a_large_or_cyclic_namespace() -> None:
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec("def f0(): return f0", namespace)
    chain = "\n".join(f"def f{n}(): return f{n + 1}" for n in range(5000))
    exec(chain, namespace)
    used = names.with_called(names.of_cell("f0()"), namespace)
    assert {"f0", "f100"} <= used
    assert "f4999" not in used
    assert used_by("knot", "knot = []\nknot.append(knot)\nknot.append(lambda: big)") == {"big"}


def test_the_hash_of_a_source_is_short_and_ignores_blanks_around_it() -> None:
    assert names.source_hash("a = 1\n") == names.source_hash("\n a = 1")
    assert names.source_hash("a = 1") != names.source_hash("a = 2")
    assert len(names.source_hash("\udc80")) == 12
