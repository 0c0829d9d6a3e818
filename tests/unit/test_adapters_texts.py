"""Texts kept as objects: what they take, and what a typed column would take."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from walked import allocated, tables

MANY = 200_000


def strings(held: dict[str, Any]) -> dict[str, int] | None:
    """Return the texts of the one holder."""
    (row,) = [row for row in tables(held)["holders"] if row["root"] == "module"]
    found: dict[str, int] | None = row.get("strings")
    return found


def typed(texts: list[Any]) -> int:
    return pa.array(texts, pa.large_string()).nbytes


@pytest.mark.parametrize("make", [pd.Series, lambda texts, dtype: np.array(texts, dtype)])
def test_distinct_texts(make: Any) -> None:
    texts = [f"customer {n}" for n in range(MANY)]
    now = sum(map(allocated, texts)) + 8 * MANY
    as_column = typed(texts)
    held = {"texts": make(texts, dtype=object)}
    del texts
    found = strings(held)
    assert found is not None
    assert found["columns"] == 1
    assert found["bytes"] == pytest.approx(now, rel=0.02)
    assert found["typed"] == pytest.approx(as_column, rel=0.02)


def test_shared_texts_take_little_more_than_their_pointers() -> None:
    texts = [f"a category with a long name: {n}" for n in range(50)] * (MANY // 50)
    held = {"frame": pd.DataFrame({"c": pd.Series(texts, dtype=object), "n": range(MANY)})}
    as_column = typed(texts)
    del texts
    found = strings(held)
    assert found is not None
    assert found["bytes"] == pytest.approx(8 * MANY, rel=0.01)
    assert found["typed"] == pytest.approx(as_column, rel=0.02)


def test_missing_values_and_other_scripts() -> None:
    texts = [None if n % 3 == 0 else f"größe 数据 {n}" for n in range(MANY)]
    as_column = typed(texts)  # first: Arrow leaves the UTF-8 form inside of each text
    now = sum(map(allocated, filter(None, texts))) + 8 * MANY
    held = {"texts": pd.Series(texts, dtype=object)}
    del texts
    found = strings(held)
    assert found is not None
    assert found["bytes"] == pytest.approx(now, rel=0.12)
    assert found["typed"] == pytest.approx(as_column, rel=0.12)


def test_only_columns_of_texts_count() -> None:
    frame = pd.DataFrame(
        {
            "text": pd.Series([f"t{n}" for n in range(MANY)], dtype=object),
            "list": pd.Series([[n] for n in range(MANY)], dtype=object),
            "mixed": pd.Series([n if n % 10 else str(n) for n in range(MANY)], dtype=object),
            "empty": pd.Series([None] * MANY, dtype=object),
        }
    )
    found = strings({"frame": frame})
    assert found is not None
    assert found["columns"] == 1


def test_a_subclass_of_str_is_no_text() -> None:
    class Mine(str):
        __slots__ = ()

        def isascii(self) -> bool:
            raise AssertionError("a method of the user's ran")

    held = {"texts": pd.Series([Mine(n) for n in range(MANY)], dtype=object)}
    assert strings(held) is None


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(lambda: pd.Series(["x"] * 1000, dtype=object), id="small"),
        pytest.param(lambda: np.arange(MANY * 2), id="numbers"),
        pytest.param(lambda: pd.Series(range(MANY)).astype("string[pyarrow]"), id="typed"),
    ],
)
def test_nothing_to_gain_is_not_reported(data: Any) -> None:
    held = {"data": data(), "_": bytes(100_000)}
    rows = {row["expr"]: row for row in tables(held)["holders"]}
    assert "strings" not in rows.get("data", {})
