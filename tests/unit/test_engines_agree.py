"""Objects of the libraries that notebooks are full of: both engines say the same of each."""

from __future__ import annotations

import array
import collections
import ctypes
import gc
import io
import mmap
from collections.abc import Callable, Iterator
from typing import Any

import compared
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
from compared import Engine, here, in_a_copy, in_batches

from memprobe_probes import heap, native

N = 3000  # below the length from which on containers are sampled
SLACK = 1500  # bytes: shells of arrays, and dicts that naming an attribute has made


@pytest.fixture(autouse=True)
def told_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "LEAST_GROUP", 1)
    monkeypatch.setattr(heap, "LEAST_GROUP", 1)
    gc.collect()


def texts(length: int = N) -> list[str]:
    return [f"{number:08d}" * 12 for number in range(length)]


def records(dtype: list[Any], *, inside: str = "") -> Any:
    made = np.zeros(N, dtype)
    (made[inside] if inside else made)["text"] = np.array(texts(), object)
    return made


def looked_up() -> Any:
    index = pd.Index(np.arange(200_000)[::-1].copy())
    index.get_loc(5)
    return index


def started() -> Any:
    def values() -> Iterator[Any]:
        data = np.zeros(10_000)
        yield data

    made = values()
    next(made)
    return made


def failed() -> Any:
    error = ValueError("x")
    error.data = texts()  # type: ignore[attr-defined]
    return error


OBJECTS: dict[str, Callable[[], Any]] = {
    "objects": lambda: np.array(texts(), object).reshape(30, -1),
    "objects, transposed": lambda: np.array(texts(), object).reshape(30, -1).T,
    "objects, a view": lambda: np.array(texts(), object)[::2],
    "records": lambda: records([("number", "f8"), ("text", "O")]),
    "records, packed": lambda: records([("number", "u1"), ("text", "O")]),
    "records, titled": lambda: records([("number", "f8"), (("title", "text"), "O")]),
    "records, one field": lambda: records([("number", "f8"), ("text", "O")])["text"],
    "records of a frame": lambda: pd.DataFrame(
        {"a": pd.Series(texts(), dtype=object)}
    ).to_records(),
    "masked": lambda: np.ma.array(np.zeros(10 * N), mask=False),
    "fixed texts": lambda: np.array(texts(), dtype="U100"),
    "over bytes": lambda: np.frombuffer(bytes(100_000), "f8"),
    "over a bytearray": lambda: np.frombuffer(bytearray(100_000), "f8"),
    "over an array": lambda: np.frombuffer(array.array("d", bytes(80_000)), "f8"),
    "over ctypes": lambda: np.ctypeslib.as_array((ctypes.c_double * 10_000)()),
    "over a map": lambda: np.frombuffer(mmap.mmap(-1, 800_000), "f8"),
    "a view of an array": lambda: memoryview(np.zeros(10 * N)),
    "a cast view": lambda: memoryview(bytearray(80_000)).cast("d")[5:],
    "frame of objects": lambda: pd.DataFrame({"a": pd.Series(texts(), dtype=object)}),
    "frame of texts": lambda: pd.DataFrame({"a": texts()}),
    "categories": lambda: pd.Series(texts()).astype("category"),
    "many levels": lambda: pd.MultiIndex.from_arrays([texts(), range(N)]),
    "slice of a frame": lambda: pd.DataFrame(np.zeros((N, 20)))[5:10],
    "groups": lambda: pd.DataFrame({"a": [1, 2] * N, "b": np.zeros(2 * N)}).groupby("a"),
    "index with a table": looked_up,
    "nullable": lambda: pd.array([1, None] * N, dtype="Int64"),
    "sparse": lambda: pd.arrays.SparseArray(np.zeros(10 * N)),
    "table": lambda: pa.table({"a": texts(), "b": np.arange(N)}),
    "slice of a table": lambda: pa.table({"a": texts(), "b": np.arange(N)}).slice(5, 3),
    "chunks": lambda: pa.chunked_array([texts(), texts()]),
    "dictionary": lambda: pa.array(texts(100) * 100).dictionary_encode(),
    "buffer": lambda: pa.py_buffer(bytes(100_000)),
    "tables in a list": lambda: [pa.table({"a": texts(300)}) for _ in range(20)],
    "polars": lambda: pl.DataFrame({"a": texts(), "b": np.arange(N)}),
    "frames in a dict": lambda: {n: pd.DataFrame(np.zeros((500, 4))) for n in range(20)},
    "series deep inside": lambda: [[{"x": pd.Series(np.zeros(2000))}] for _ in range(20)],
    "rows": lambda: [{"id": n, "name": f"name {n}"} for n in range(N)],
    "document": lambda: {f"k{n}": {"a": [n, n + 1.5], "b": {"c": f"t{n}"}} for n in range(N)},
    "chain": lambda: collections.ChainMap({f"k{n}": n for n in range(N)}),
    "set of tuples": lambda: frozenset((n, f"a{n}") for n in range(N)),
    "file of bytes": lambda: io.BytesIO(bytes(100_000)),
    "generator": started,
    "exception": failed,
    "matrix": lambda: sp.random(1000, 1000, 0.01, "csr"),
}


def alone(engine: Engine, names: dict[str, Any]) -> int:
    """Return the bytes that ``it`` has for itself."""
    return engine(names)[frozenset({"it"})][0]


@pytest.mark.skipif(compared.FOUND is None, reason=str(compared.REASON))
@pytest.mark.parametrize("name", OBJECTS)
def test_both_engines_say_the_same(name: str) -> None:
    names = {"it": OBJECTS[name]()}
    batches = alone(in_batches, names)
    assert batches > 40_000
    assert alone(here, names) == pytest.approx(batches, rel=0.03, abs=SLACK)


@pytest.mark.skipif(compared.FOUND is None, reason=str(compared.REASON))
def test_objects_in_records_inside_of_records_are_met() -> None:
    names = {"it": records([("n", "f4"), ("inner", [("x", "u1"), ("text", "O")])], inside="inner")}
    expected = N * (13 + (96 + 49 + 15) // 16 * 16)
    assert alone(in_a_copy, names) == pytest.approx(expected, rel=0.01)
