"""``memprobe contrast --suggest --verify``: the edited copy really lets go, and shows the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest
from running import behave
from test_contrast_runs import environment, left_in, line
from test_run_notebook import notebook

pytest.importorskip("ipykernel")

# Two names that nobody uses again, one of them read by a function; a table that is displayed; two
# names that only one cell uses; two of which one is displayed in the end.
CELLS = (
    "import numpy as np\nraw = np.ones(6_000_000)  # 48 MB",
    "%matplotlib inline\ntotal = raw.sum()  # the last use\ntotal",
    "def count():\n    return len(other)\nother = bytearray(30_000_000)",
    "np.arange(5_000_000)  # shown",
    "print(count())",
    "import math\n# sums up\nrows = np.full(5_000_000, 2.0)\n"
    "parts = rows * 2\ntop = float(parts.max() + rows.min())",
    "print(math.floor(top))\nleft = np.ones(4_000_000)\nright = left + top\nright.sum()",
    *(f"step = {number}" for number in range(6)),
)


@pytest.fixture(scope="module")
def verified(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("edits")
    notebook(folder / "etl.ipynb", *CELLS)
    before = (folder / "etl.ipynb").read_bytes()
    seen = behave(
        line("--output-format", "json", "etl.ipynb", "--rounds", "1", "--verify", "--keep", "kept"),
        env=environment(folder), cwd=folder,
    )  # fmt: skip
    assert seen.stderr == ""
    return folder, before, json.loads(seen.stdout)["contrast"]["suggestions"]


def test_each_edit_is_the_smallest(verified: tuple[Path, bytes, dict[str, Any]]) -> None:
    _, _, told = verified
    edits = {one["cell"]: one["after"] for one in told["edits"]}
    assert edits == {
        2: "%matplotlib inline\ntotal = raw.sum()  # the last use\ndel raw\ntotal",
        4: "display(np.arange(5_000_000))  # shown",
        5: "print(count())\ndel other",
        6: "import math\n# sums up\ndef make_top():\n    rows = np.full(5_000_000, 2.0)\n"
        "    parts = rows * 2\n    return float(parts.max() + rows.min())\n\ntop = make_top()",
        7: "print(math.floor(top))\nleft = np.ones(4_000_000)\nright = left + top\n"
        "del left\ndisplay(right.sum())\ndel right",
    }
    assert told["left"] == []


def test_the_edited_copy_holds_less_and_shows_the_same(
    verified: tuple[Path, bytes, dict[str, Any]],
) -> None:
    found = verified[2]["verified"]
    assert found["failure"] is None
    assert found["held_before"] == pytest.approx(262e6, rel=0.02)
    assert found["held_after"] < 1e6
    assert (found["per_round_before"], found["per_round_after"]) == (
        pytest.approx(40e6, rel=0.02), pytest.approx(0, abs=1e6),
    )  # fmt: skip
    assert (found["changed"], found["varying"], found["remaining"]) == ([], [], [])
    assert found["cells_compared"] == len(CELLS)
    assert len(found["gone"]) == 7


def test_the_users_file_is_only_read(verified: tuple[Path, bytes, dict[str, Any]]) -> None:
    folder, before, told = verified
    assert (folder / "etl.ipynb").read_bytes() == before
    kept = nbformat.read(folder / "kept" / "etl-edited.ipynb", as_version=4)
    assert kept.cells[3].source == told["edits"][1]["after"]
    assert left_in(folder) == []


def test_recordings_hold_no_source_to_edit(tmp_path: Path) -> None:
    seen = behave(line("a.memprobe", "b.memprobe", "--suggest"), env=environment(tmp_path),
                  cwd=tmp_path)  # fmt: skip
    assert seen.status == 2
    assert "recordings cannot be edited" in seen.stderr
