"""The probe's syntax trees: those of ``ast``, and no warning is heard of them."""

from __future__ import annotations

import ast
import random
import textwrap
import warnings
from pathlib import Path

import pytest

from memprobe_probes import names, syntax, usage

LIBRARY = sorted(Path(random.__file__).parent.glob("*.py"))
UNKNOWN = r"""
import re
found = re.findall("\d+\.\w", "a1")
kept = '\\d \' \n \x41 \N{BULLET}' + r"\d\'" + b"\d".decode() + f"{found}\d"
total = 1 + \
    2
"""


@pytest.mark.parametrize("path", random.Random(4).sample(LIBRARY, 25), ids=lambda path: path.name)
def test_a_source_has_the_tree_that_ast_gives_it(path: Path) -> None:
    source = path.read_bytes()
    assert _shape(syntax.parse(source)) == _shape(ast.parse(source))
    text = source.decode("utf-8", "replace")
    tree = syntax.parse(text)
    assert _shape(tree) == _shape(ast.parse(text))
    assert list(map(id, syntax.walk(tree))) == list(map(id, ast.walk(tree)))


def _shape(tree: ast.AST) -> str:
    """Return the tree as text without backslashes: raw texts may have more of them."""
    return ast.dump(tree).replace("\\", "")


@pytest.mark.parametrize("source", [UNKNOWN, UNKNOWN.encode()], ids=["text", "bytes"])
def test_unknown_escapes_are_heard_of_once_only(source: str | bytes) -> None:
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        ast.parse(source)
        aloud = len(heard)
        tree = syntax.parse(source)
        quiet = len(heard) - aloud
    assert aloud >= 3
    assert quiet == 0
    bound = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name)]
    assert {"found", "kept", "total"} <= set(bound)


def test_cells_and_programs_are_read_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert names.of_cell(UNKNOWN).bound.keys() == {"re", "found", "kept", "total"}
        used = usage.Usage()
        used.learn(textwrap.dedent(UNKNOWN) + "LOG = []\nLOG.append('\\d')\n")
    assert used.only_filled == {"LOG"}


@pytest.mark.parametrize("source", ["def", "x = '", "a\0b", "\\"])
def test_what_is_no_source_is_an_error(source: str) -> None:
    with pytest.raises((SyntaxError, ValueError)):
        syntax.parse(source)
