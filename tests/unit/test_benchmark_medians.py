"""The interval of a median that the benchmarks print."""

from __future__ import annotations

import importlib.util
import random
from pathlib import Path
from statistics import median
from types import ModuleType

import pytest

FILE = Path(__file__).resolve().parents[2] / "benchmarks" / "medians.py"


@pytest.fixture(scope="module")
def medians() -> ModuleType:
    spec = importlib.util.spec_from_file_location("medians", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# Of the sign test's table: the ranks that bound the median with at least 95 %.
@pytest.mark.parametrize(
    ("count", "low", "high"), [(6, 1, 6), (8, 1, 8), (9, 2, 8), (20, 6, 15), (60, 22, 39)]
)
def test_the_interval_is_that_of_the_sign_test(
    medians: ModuleType, count: int, low: int, high: int
) -> None:
    values = [float(rank) for rank in range(1, count + 1)]
    random.Random(1).shuffle(values)
    assert medians.interval(values) == (low, high)


def test_five_values_bound_nothing(medians: ModuleType) -> None:
    with pytest.raises(ValueError, match="5 values"):
        medians.interval([1.0] * 5)
    assert medians.cell([1.0] * 5) == "1.000"


def test_the_interval_misses_the_true_median_no_more_often_than_it_says(
    medians: ModuleType,
) -> None:
    chance = random.Random(5)
    missed = 0
    for _ in range(1_000):
        low, high = medians.interval([chance.expovariate(1.0) for _ in range(20)])
        missed += not low <= median_of_exponential() <= high
    assert 20 < missed < 66  # 41 are expected; more than four deviations away is no chance


def median_of_exponential() -> float:
    return 0.6931471805599453


def test_a_cell_shows_the_median_and_its_bounds(medians: ModuleType) -> None:
    values = [1.0, 1.1, 1.2, 1.3, 1.4, 1.5]
    assert medians.cell(values) == f"{median(values):.3f} (1.000 to 1.500)"
