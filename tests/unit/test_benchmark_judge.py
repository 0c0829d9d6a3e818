"""The judge of the comparison: what counts as naming a holder, a size, a cell."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def judge() -> Iterator[Any]:
    folders = [str(ROOT / "benchmarks"), str(ROOT / "scenarios")]
    sys.path[:0] = folders
    try:
        from comparison import judge

        yield judge
    finally:
        for folder in folders:
            sys.path.remove(folder)


@pytest.fixture
def case() -> Any:
    from comparison.cases import Case

    return Case(
        name="a",
        about="",
        program=Path("a.ipynb"),
        type="pandas.DataFrame",
        holders=("Out[4]", "_4"),
        bytes=120_000_000,
        cells=(2, 4),
    )


@pytest.mark.parametrize(
    ("text", "holder", "named"),
    [
        ("hp.Root.i0_modules['__main__'].__dict__['raw']", "raw", True),
        ("the raws of them are drawn", "raw", False),
        ("IPython keeps Out[4]", "Out[4]", True),
        ("dict['_oh'][4]", "Out[4]", True),
        ("Out[42] and Out[14]", "Out[4]", False),
        ("_4 in <module>", "_4", True),
        ("user_4 and _42", "_4", False),
        ("i0_sysdict['last_traceback'].tb_next", "sys.last_traceback", True),
        ("pandas.core.frame.DataFrame of Source", "Source.frame", False),
        ("types.FrameType: <frame at 0x7f>", "Source.frame", False),
        ("Source.__dict__['frame']", "Source.frame", True),
        ("├─ Loader.CACHE   dict", "Loader.CACHE", True),
        ("class Loader, and a CACHE", "Loader.CACHE", True),
        ("Loader alone", "Loader.CACHE", False),
        ("matplotlib._pylab_helpers.Gcf.figs", "plt.figure(*)", True),
        ("matplotlib.figure.Figure", "plt.figure(*)", False),
        ("the tb of another", "get_ipython().InteractiveTB.tb", False),
        ("InteractiveTB -> tb", "get_ipython().InteractiveTB.tb", True),
    ],
)
def test_a_holder_is_named_where_its_own_name_stands(
    judge: Any, text: str, holder: str, named: bool
) -> None:
    assert judge.names(text, holder) is named


@pytest.mark.parametrize(
    "text",
    [
        "Total size = 120000128 bytes.",
        "exclusive 114.4 MiB",
        "~114.44 MB",  # of 2**20
        "115 M",
        "105 MiB",  # and 12.5 % away if read as decimal
        "122,880,000",
        'label="DataFrame\\n120000164 bytes"',
        "MALLOC,6,120000256,1,0x1",
        "0.12 GB",
    ],
)
def test_a_size_within_ten_per_cent_counts_in_any_unit(judge: Any, case: Any, text: str) -> None:
    assert judge.said(text, case).bytes


@pytest.mark.parametrize(
    "text",
    [
        "Total size = 263381705 bytes.",
        "100 MB",
        "135 MB",
        "id o120000164",
        "0x120000000",
        "version 114.44",
        "1,120,000,000",
        "",
    ],
)
def test_another_size_does_not(judge: Any, case: Any, text: str) -> None:
    assert not judge.said(text, case).bytes


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("made in cell 2", True),
        ("In [4]", True),
        ("/tmp/ipykernel_77/3445638006.py;2", True),
        ("made in cell 22", False),
        ("/tmp/ipykernel_77/1111111111.py;2", False),
        ("made in cell 3", False),
    ],
)
def test_a_cell_is_named_by_its_number_or_by_its_codes_file(
    judge: Any, case: Any, text: str, named: bool
) -> None:
    files = {2: "3445638006.py", 3: "1111111111.py"}
    assert judge.said(text, case, files=files).cell is named


def test_a_quoted_line_of_the_program_names_no_holder(judge: Any, case: Any) -> None:
    source = ["    total = _4.cost.sum()", "x"]
    assert judge.said("12 %  total = _4.cost.sum()", case, source).named == ()
    assert judge.said("│ 4 % │ _4 = 1", case, ["_4 = 1"]).named == ()
    assert judge.said("held by _4", case, ["_4", "Out[4]"]).named == ("_4",)
    assert judge.said("held by _4: total = _4.cost.sum()", case, source).named == ("_4",)


def test_a_program_without_cells_is_not_judged_by_them(judge: Any, case: Any) -> None:
    from dataclasses import replace

    assert judge.said("cell 4", replace(case, cells=())).cell is None
