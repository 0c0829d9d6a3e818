"""What big containers keep, from a random sample: right where it can be, honest where it cannot."""

from __future__ import annotations

import random
import sys
from collections import deque
from typing import Any

import numpy as np
import pandas as pd
import pytest
from walked import MB, allocated, groups, only

MANY = 100_000


def group(held: Any) -> dict[str, Any]:
    """Return the group of the one reference in ``held``, which is emptied."""
    names = {"held": held.pop()}
    return groups(names)[only("held")]


def true_size(items: Any) -> int:
    """Return the bytes of the distinct objects in ``items``."""
    return sum(map(allocated, {id(one): one for one in items}.values()))


CONTAINERS: dict[str, Any] = {
    "list": list,
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "deque": deque,
    "keys": dict.fromkeys,
    "array": lambda texts: np.array(texts, object),
    "column": lambda texts: pd.Series(texts, dtype=object),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_distinct_texts_in_any_container(name: str) -> None:
    texts = [f"customer {n:07d}" for n in range(MANY)]
    truth = true_size(texts)
    container = CONTAINERS[name](texts)
    own = 8 * MANY if name in ("array", "column") else allocated(container)
    held = [container]
    del texts, container
    found = group(held)
    assert found["bytes"] == pytest.approx(truth + own, rel=0.01)
    shell = 4000  # of a series, with its index
    assert found["low"] - shell <= truth + own <= found["high"] + shell


SHARED: dict[str, Any] = {
    "one-text": lambda: ["x" * 1000] * MANY,
    "interned": lambda: [sys.intern("a word that everybody uses")] * MANY,
    "categories": lambda: [f"category {n}" * 5 for n in range(1000)] * (MANY // 1000),
    "sorted-categories": lambda: sorted([f"category {n}" * 5 for n in range(50)] * (MANY // 50)),
    "small-numbers": lambda: [n % 100 for n in range(MANY)],
    "one-list": lambda: [[1.5] * 1000] * MANY,
}


@pytest.mark.parametrize("name", SHARED)
@pytest.mark.parametrize("container", ["list", "column"])
def test_what_elements_share_counts_once(name: str, container: str) -> None:
    items = SHARED[name]()
    truth = 8 * MANY + true_size(items)
    held = [CONTAINERS[container](items)]
    del items
    found = group(held)
    assert found["bytes"] == pytest.approx(truth, rel=0.05)


def texts_of(lengths: Any) -> list[str]:
    return [f"{n:06d}" + "x" * int(length) for n, length in enumerate(lengths)]


UNEVEN: dict[str, Any] = {
    "sorted": lambda: texts_of(np.linspace(0, 400, MANY)),
    "periodic": lambda: texts_of(np.arange(MANY) % 100 * 4),
    "period-of-the-sample": lambda: texts_of(np.arange(MANY) % (MANY // 400) == 0) * 1,
    "skewed": lambda: texts_of(np.random.default_rng(3).lognormal(3, 1, MANY)),
}


@pytest.mark.parametrize("name", UNEVEN)
def test_uneven_data_lies_inside_of_the_range(name: str) -> None:
    items = UNEVEN[name]()
    truth = allocated(items) + true_size(items)
    held = [items]
    del items
    found = group(held)
    assert found["low"] <= truth <= found["high"]
    assert found["high"] - found["low"] < truth


def test_rare_giants_widen_the_range() -> None:
    rng = random.Random(1)
    items: list[Any] = [f"{n:06d}" for n in range(MANY)]
    for at in rng.sample(range(MANY), 500):
        items[at] = "y" * 20_000 + str(at)
    truth = allocated(items) + true_size(items)
    held = [items]
    del items
    found = group(held)
    assert found["low"] <= truth <= found["high"]


@pytest.mark.parametrize("giants", [1, 5, 20])
def test_a_few_giants_do_not_escape_the_range(giants: int) -> None:
    items: list[Any] = [f"{n:06d}" for n in range(MANY)]
    for at in range(giants):
        items[at * 997 + 13] = "z" * (20 * MB // giants + at)
    truth = allocated(items) + true_size(items)
    held = [items]
    del items
    found = group(held)
    assert found["low"] <= truth <= found["high"]


def test_frames_in_a_big_dict_are_walked_into() -> None:
    held: list[Any] = [{n: {"rows": np.ones(100), "name": f"frame {n}"} for n in range(10_000)}]
    truth = 10_000 * (800 + 112 + 184 + 60) + allocated(held[0])
    found = group(held)
    assert found["bytes"] == pytest.approx(truth, rel=0.15)
