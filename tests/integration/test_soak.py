"""A short soak without Spark; the long one is ``make soak``."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from memprobe_probes import native_walker

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

from soaking import page, piece

SNAPSHOTS = 24  # as fast as the machine is
LONGEST = 5  # minutes
DESCRIPTORS = "more descriptors, last quarter against first"
UNSURE = ("snapshots", "memory, second half against first", DESCRIPTORS)  # too few to judge by


@pytest.mark.skipif(native_walker.load()[0] is None, reason=str(native_walker.load()[1]))
def test_a_kernel_hard_at_work_is_as_before_after_many_snapshots(tmp_path: Path) -> None:
    found = piece.soak(
        Path(sys.executable), tmp_path, minutes=LONGEST, snapshots=SNAPSHOTS, spark=False
    )
    assert found["snapshots"] == SNAPSHOTS
    assert {"BLAS", "Arrow", "memory", "compression"} <= found["work"].keys()
    assert all(work["done"] for work in found["work"].values()), found["work"]
    text, _ = page.page([found])
    failed = [row for row in page._checks([found]) if not row[3] and row[0] not in UNSURE]
    assert failed == [], text
    # The work opens files too; a snapshot that left one open would do so every time.
    assert page._more_open(found) < found["snapshots"] // 4
