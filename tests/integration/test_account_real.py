"""The account of a real process with real libraries, from inside and from outside."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from memprobe_probes import account_words, native_walker

PROGRAM = Path(__file__).parent / "programs" / "accounted.py"
BEHIND = PROGRAM.with_name("behind.py")
MIB = 2**20


@pytest.fixture(scope="module")
def accounts() -> Iterator[tuple[dict[str, Any], account_words.Balance]]:
    walker, why = native_walker.load()
    if walker is None:
        pytest.skip(str(why))
    target = subprocess.Popen(
        [sys.executable, str(PROGRAM)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert target.stdin is not None
    assert target.stdout is not None
    try:
        inside = json.loads(target.stdout.readline())
        known = account_words.packed((inside["arrow"],))
        words = memoryview(walker.account(target.pid, known)).cast("Q").tolist()
        yield inside, account_words.Balance(words)
    finally:
        target.stdin.close()
        target.wait(60)


Accounts = tuple[dict[str, Any], account_words.Balance]


def test_the_buckets_sum_up_to_what_the_kernel_counts(accounts: Accounts) -> None:
    inside, outside = accounts
    assert sum(inside["buckets"].values()) == inside["rss"]
    assert sum(outside.buckets.values()) == outside.rss
    assert outside.rss == pytest.approx(inside["rss"], rel=0.05)


def test_nineteen_in_twenty_bytes_have_an_owner(accounts: Accounts) -> None:
    inside, outside = accounts
    for buckets, rss in ((inside["buckets"], inside["rss"]), (outside.buckets, outside.rss)):
        assert buckets["unknown"] < 0.005 * rss
        assert buckets["unknown"] + buckets["malloc-other"] < 0.05 * rss


def test_each_library_has_what_it_says_it_has(accounts: Accounts) -> None:
    inside, _ = accounts
    buckets = inside["buckets"]
    assert buckets["array-buffers"] == pytest.approx(inside["nbytes"] + 1_600_000, rel=0.02)
    assert buckets["arrow-live"] == pytest.approx(inside["arrow"], rel=0.02, abs=MIB)
    assert buckets["polars-live"] == pytest.approx(inside["polars"], rel=0.05, abs=MIB)


def test_blocks_in_use_are_those_that_python_counts(accounts: Accounts) -> None:
    inside, _ = accounts
    # Python counts those that lie in malloc's memory as well: a few in a hundred.
    assert 0.9 * inside["python_blocks"] < inside["blocks"] <= inside["python_blocks"]


def test_what_was_freed_between_others_is_kept_by_malloc(accounts: Accounts) -> None:
    inside, _ = accounts
    freed = 20_000 * 49 // 50 * 3000
    assert inside["buckets"]["malloc-retained"] > 0.9 * freed
    assert 0.5 * freed < inside["trimmable"] <= inside["buckets"]["malloc-retained"]


def test_from_outside_it_is_the_same_account(accounts: Accounts) -> None:
    inside, outside = accounts
    for name in ("python-objects", "array-buffers", "malloc-retained", "arrow-live", "libraries"):
        told = outside.buckets[name]
        assert told == pytest.approx(inside["buckets"][name], rel=0.05, abs=4 * MIB), name


def test_the_process_is_as_it_was(accounts: Accounts) -> None:
    inside, _ = accounts
    assert inside["unchanged"]
    assert inside["unmeasured"] == []


def test_a_process_that_has_gone_is_an_error_and_no_account(accounts: Accounts) -> None:
    walker, _ = native_walker.load()
    assert walker is not None
    with pytest.raises(OSError, match="No such file"):
        walker.account(2**22 + 1, account_words.known())


@pytest.mark.parametrize(("kind", "low", "high"), [
    ("native", 38_000_000, 44_000_000), ("derived", 38_000_000, 44_000_000), ("plain", 0, 500_000),
])  # fmt: skip
def test_memory_behind_a_class_of_c_counts_also_where_python_derives(
    kind: str, low: int, high: int
) -> None:
    """Objects of classes that are Python's from top to bottom are not looked behind."""
    if native_walker.load()[0] is None:
        pytest.skip(str(native_walker.load()[1]))
    done = subprocess.run(
        [sys.executable, str(BEHIND), kind], capture_output=True, text=True, check=True, timeout=120
    )
    assert low <= json.loads(done.stdout) <= high
