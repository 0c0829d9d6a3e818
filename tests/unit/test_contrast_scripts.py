"""A script derived from cells does what they do; a script of one's own is aligned with them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from memprobe.targets.alignment import align
from memprobe.targets.derived_script import Script, cells_of, derive
from memprobe.targets.notebook_run import code_cells

pytest.importorskip("IPython")


def notebook(path: Path, *sources: str, raises: tuple[int, ...] = ()) -> list[Any]:
    cells = [
        {
            "cell_type": "code",
            "id": f"c{number}",
            "metadata": {"tags": ["raises-exception"] if number in raises else []},
            "execution_count": None,
            "outputs": [],
            "source": source,
        }
        for number, source in enumerate(sources, start=1)
    ]
    path.write_text(
        json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    )
    return code_cells(path)


def derived(tmp_path: Path, *sources: str, raises: tuple[int, ...] = ()) -> Script:
    path = tmp_path / "etl.ipynb"
    return derive(notebook(path, *sources, raises=raises), path)


def output(script: Script, tmp_path: Path) -> str:
    path = tmp_path / "derived.py"
    path.write_text(script.source)
    done = subprocess.run(
        [sys.executable, str(path)], capture_output=True, text=True, timeout=60, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_cell_is_a_block_below_its_number_and_a_step(tmp_path: Path) -> None:
    script = derived(tmp_path, "a = 1", "", "b = a + 1  # kept\nb", "print(b)")
    lines = script.source.splitlines()
    assert [lines[start.line - 1] for start in script.starts] == [
        "# cell 1",
        "# cell 2",
        "# cell 3",
    ]
    assert [start.name for start in script.starts] == ["cell 1", "cell 2", "cell 3"]
    assert "b = a + 1  # kept\nb\n" in script.source
    assert output(script, tmp_path) == "2\n"
    assert script.notes == []


@pytest.mark.parametrize(
    ("cells", "printed"),
    [
        (["%matplotlib inline\n%load_ext autoreload\nx = 3\nx?", "print(x)"], "3\n"),
        (["%time x = 4\nprint(x)"], "4\n"),
        (["%%time\ny = 5\nprint(y)"], "5\n"),
        (["%timeit -n 1 -r 1 z = 6", "print(7)"], "7\n"),
        (["%%capture\nw = 8", "print(w)"], "8\n"),
        (["%%capture out\nw = 8\nprint(1)", "print(w, out.stdout)"], "8 1\n\n"),
        (["if True:\n    %time q = 9\nprint(q)"], "9\n"),
        (["files = !echo one two", "print(files)"], "['one two']\n"),
        (["!echo from a shell"], "from a shell\n"),
        (
            ["%env SOME_NAME=some value", "import os; print(os.environ['SOME_NAME'])"],
            "some value\n",
        ),
        (["x = [1]\ndisplay(x)"], "[1]\n"),
        (["x = 1", "%xdel x\nprint('x' in globals())"], "False\n"),
        (["async def f():\n    return 2", "v = await f()", "print(v)"], "2\n"),
        (["a = 1", "from __future__ import annotations\ndef f(x: nowhere): ...\nprint(a)"], "1\n"),
        (['text = """a\n  b"""\n%time n = 1', "print(text)"], "a\n  b\n"),
        (["@str\ndef f(): ...\nprint(type(f).__name__)"], "str\n"),
    ],
    ids=lambda value: value[0][:20].strip() if isinstance(value, list) else "",
)
def test_what_ipython_adds_is_translated(tmp_path: Path, cells: list[str], printed: str) -> None:
    script = derived(tmp_path, *cells)
    assert output(script, tmp_path) == printed
    assert script.notes == []


def test_a_cell_that_is_meant_to_fail_does_not_end_the_script(tmp_path: Path) -> None:
    script = derived(tmp_path, "x = 1", "x = 2\n1/0", "print(x)", raises=(2,))
    assert output(script, tmp_path) == "2\n"


@pytest.mark.parametrize(
    ("cell", "what"),
    [
        ("%%bash\nls", "%%bash in cell 2"),
        ("%sql select 1", "%sql in cell 2"),
        ("rows = %sql select 1", "%sql in cell 2"),
        ("!pip install x", "!pip in cell 2"),
        ("!ls {folder}", "!command in cell 2"),
        ("shell = get_ipython()", "get_ipython() in cell 2"),
        ("x = _", "`_` in cell 2"),
        ("x = Out[1]", "`Out` in cell 2"),
    ],
)
def test_what_cannot_be_translated_is_told_with_its_cell(
    tmp_path: Path, cell: str, what: str
) -> None:
    script = derived(tmp_path, "1", cell, "print('end')")
    assert [note for note, _ in script.notes] == [what]
    assert all(why for _, why in script.notes)


def aligned(tmp_path: Path, script: str, *sources: str) -> Script:
    path = tmp_path / "etl.ipynb"
    return align(script.encode(), cells_of(notebook(path, *sources), path), "own.py")


def test_equal_statements_are_aligned_without_regard_to_layout(tmp_path: Path) -> None:
    script = aligned(
        tmp_path,
        '"""Doc."""\nimport os  # comment\n\na = load( 1 )\nb = a+1\nprint(b)\n',
        "import os",
        "a = load(1)",
        "b = a + 1\nprint(b)",
    )
    assert [(start.line, start.name) for start in script.starts] == [
        (2, "cell 1"),
        (4, "cell 2"),
        (5, "cell 3"),
    ]
    assert script.notes == []


def test_a_changed_statement_is_aligned_by_the_name_it_binds(tmp_path: Path) -> None:
    script = aligned(tmp_path, "a = 1\nb = fast(a)\nc = b\n", "a = 1", "b = slow(a)", "c = b")
    assert [(start.line, start.name) for start in script.starts] == [
        (1, "cell 1"),
        (2, "cell 2"),
        (3, "cell 3"),
    ]


def test_statements_and_cells_without_a_counterpart_are_told(tmp_path: Path) -> None:
    script = aligned(tmp_path, "a = 1\nonly_here()\nc = 3\n", "a = 1", "only_there()", "c = 3")
    assert [what for what, _ in script.notes] == [
        "which cell own.py does in line 2",
        "cell 2 in own.py",
    ]
    nothing = aligned(tmp_path, "def main(): ...\nmain()\n", "a = 1")
    assert nothing.starts == []
    assert nothing.notes == [("the steps of own.py", "none of its statements is one of the cells'")]
