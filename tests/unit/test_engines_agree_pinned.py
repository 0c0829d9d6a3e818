"""Memory that only smaller views keep: every engine says the same, whoever lends the memory."""

from __future__ import annotations

import array
import collections
import ctypes
import gc
import io
import mmap
import pickle
import tempfile
from collections.abc import Callable
from typing import Any

import compared
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

N = 1_000_000  # bytes
SHELL = 3000  # bytes of objects around the memory
FEW = 10  # bytes, or elements of 8


class Bytes(bytes):
    pass


class ByteArray(bytearray):
    pass


class Numbers(array.array):  # type: ignore[type-arg]
    pass


class Map(mmap.mmap):
    pass


class File(io.BytesIO):
    pass


def floats() -> Any:
    return array.array("d", bytes(N))


def written() -> Any:
    file = io.BytesIO()
    file.write(bytes(N))
    return file.getbuffer()


def doubles() -> Any:
    return (ctypes.c_double * (N // 8))()


def parts(whole: Any, *slices: slice) -> list[Any]:
    return [whole[one] for one in slices]


HEAD = slice(0, FEW)

# Made → bytes that none of the views shows.
PINNED: dict[str, tuple[Callable[[], Any], int]] = {
    "bytes": (lambda: memoryview(bytes(N))[:FEW], N - FEW),
    "bytearray": (lambda: memoryview(bytearray(N))[:FEW], N - FEW),
    "array": (lambda: memoryview(floats())[:FEW], N - FEW * 8),
    "anonymous map": (lambda: memoryview(mmap.mmap(-1, N))[:FEW], N - FEW),
    "BytesIO": (lambda: io.BytesIO(bytes(N)).getbuffer()[:FEW], N - FEW),
    "BytesIO that was written": (lambda: written()[:FEW], N - FEW),
    "ctypes": (lambda: memoryview(doubles())[:FEW], N - FEW * 8),
    "ctypes text": (lambda: memoryview(ctypes.create_string_buffer(N))[:FEW], N - FEW),
    "kind of bytes": (lambda: memoryview(Bytes(N))[:FEW], N - FEW),
    "kind of bytearray": (lambda: memoryview(ByteArray(N))[:FEW], N - FEW),
    "kind of array": (lambda: memoryview(Numbers("d", bytes(N)))[:FEW], N - FEW * 8),
    "kind of map": (lambda: memoryview(Map(-1, N))[:FEW], N - FEW),
    "view of a view": (lambda: memoryview(memoryview(bytearray(N)))[:FEW], N - FEW),
    "sliced twice": (lambda: memoryview(bytearray(N))[:1000][:FEW], N - FEW),
    "cast": (lambda: memoryview(bytearray(N)).cast("d")[:FEW], N - FEW * 8),
    "cast there and back": (
        lambda: memoryview(bytearray(N))[: FEW * 8].cast("d").cast("B"), N - FEW * 8,
    ),
    "read-only": (lambda: memoryview(bytearray(N)).toreadonly()[:FEW], N - FEW),
    "every hundredth": (lambda: memoryview(bytearray(N))[::100], N - N // 100),
    "pickle's buffer": (lambda: memoryview(pickle.PickleBuffer(bytearray(N)))[:FEW], N - FEW),
    "an array's view": (lambda: memoryview(np.zeros(N // 8))[:FEW], N - FEW * 8),
    "a slice's view": (lambda: memoryview(np.zeros(N // 8)[:500])[:FEW], N - FEW * 8),
    "array over a view": (
        lambda: np.asarray(memoryview(np.zeros(N // 8)))[:FEW], N - FEW * 8,
    ),
    "array over bytes": (lambda: np.frombuffer(bytes(N), "u1")[:FEW], N - FEW),
    "array over a part": (lambda: np.frombuffer(bytes(N), "u1", FEW, 500), N - FEW),
    "array over a bytearray": (lambda: np.frombuffer(bytearray(N), "u1")[:FEW], N - FEW),
    "array over an array": (lambda: np.frombuffer(floats(), "d")[:FEW], N - FEW * 8),
    "array over a map": (lambda: np.frombuffer(mmap.mmap(-1, N), "u1")[:FEW], N - FEW),
    "array over a BytesIO": (
        lambda: np.frombuffer(io.BytesIO(bytes(N)).getbuffer(), "u1")[:FEW], N - FEW,
    ),
    "array over ctypes": (lambda: np.ctypeslib.as_array(doubles())[:FEW], N - FEW * 8),
    "array made over a bytearray": (
        lambda: np.ndarray(FEW, "u1", buffer=bytearray(N)), N - FEW,
    ),
    "array made over kinds": (lambda: np.ndarray(FEW, "u1", buffer=ByteArray(N)), N - FEW),
    "array made over ctypes": (lambda: np.ndarray(FEW, "f8", buffer=doubles()), N - FEW * 8),
    "view of an array over bytes": (
        lambda: memoryview(np.frombuffer(bytearray(N), "u1"))[:FEW], N - FEW,
    ),
    "column": (lambda: pd.Series(np.frombuffer(bytearray(N), "f8"))[:FEW], N - FEW * 8),
    "two parts": (
        lambda: parts(memoryview(bytearray(N)), HEAD, slice(20, 20 + FEW)), N - 2 * FEW,
    ),
    "in a dict": (lambda: {"head": memoryview(bytearray(N))[:FEW]}, N - FEW),
    "in a deque": (lambda: collections.deque([memoryview(bytearray(N))[:FEW]]), N - FEW),
    "slice of a table": (
        lambda: pa.table({"a": np.arange(N // 8)}).slice(0, FEW), N - FEW * 8,
    ),
    "slice of a buffer": (lambda: pa.py_buffer(bytes(N)).slice(0, FEW), N - FEW),
}  # fmt: skip


def mapped() -> Any:
    with tempfile.TemporaryFile() as file:
        file.truncate(N)
        return mmap.mmap(file.fileno(), N)


def table() -> Any:
    return pa.table({"a": np.arange(N // 8)})


def with_numbers() -> Any:
    numbers = np.arange(N // 8)
    return [pa.table({"a": numbers}).slice(0, FEW), numbers]


def with_a_part_of_numbers() -> Any:
    numbers = np.arange(N // 8)
    return [pa.table({"a": numbers[1000:]}).slice(0, FEW), numbers]


def with_its_buffer(cut: Callable[[Any], Any]) -> Any:
    made = table()
    return [cut(made.column(0).chunk(0).buffers()[1]), made]


def with_its_frame() -> Any:
    made = pa.table({"a": np.arange(N // 8) + 0.5, "b": np.arange(N // 8) + 0.5})
    return [made.slice(0, FEW), made.to_pandas(split_blocks=True)]


def with_its_array() -> Any:
    made = table()
    return [made.slice(0, FEW), made.column(0).chunk(0).slice(1000).to_numpy()]


def with_polars() -> Any:
    frame = pl.DataFrame({"a": np.arange(N // 8)})
    return [frame, frame["a"].to_numpy()[:FEW]]


def with_its_file() -> Any:
    file = io.BytesIO(bytes(N))
    return [file, file.getbuffer()[:FEW]]


def with_its_bytes() -> Any:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table().schema) as writer:
        writer.write_table(table())
    data = sink.getvalue().to_pybytes()
    return [data, pa.ipc.open_stream(data).read_all().slice(0, FEW)]


def iterated() -> Any:
    import struct

    data = bytearray(N)
    return [struct.iter_unpack("d", data), memoryview(data)[:FEW]]


def beside(make: Callable[[], Any]) -> Callable[[], Any]:
    def both() -> Any:
        whole = make()
        return [memoryview(whole)[:FEW], whole]

    return both


# Somebody else can still reach all of it, or it is none of the process's own.
WHOLE: dict[str, Callable[[], Any]] = {
    "bytes": beside(lambda: bytes(N)),
    "bytearray": beside(lambda: bytearray(N)),
    "array": beside(floats),
    "map": beside(lambda: mmap.mmap(-1, N)),
    "ctypes": beside(doubles),
    "kind of bytes": beside(lambda: Bytes(N)),
    "kind of bytearray": beside(lambda: ByteArray(N)),
    "view": beside(lambda: memoryview(bytearray(N))),
    "whole view": lambda: memoryview(bytearray(N)),
    "BytesIO": with_its_file,
    "whole BytesIO": lambda: io.BytesIO(bytes(N)).getbuffer(),
    "BytesIO alone": lambda: io.BytesIO(bytes(N)),
    "kind of BytesIO alone": lambda: File(bytes(N)),
    "file": lambda: memoryview(mapped())[:FEW],
    "reader": lambda: io.BufferedReader(io.BytesIO(bytes(N))),  # type: ignore[arg-type]
    "reader of records": iterated,
    "table over an array": with_numbers,
    "table over a part of an array": with_a_part_of_numbers,
    "table over bytes": with_its_bytes,
    "table and a view of its buffer": lambda: with_its_buffer(lambda one: memoryview(one)[:FEW]),
    "table and an array over its buffer": lambda: with_its_buffer(
        lambda one: np.frombuffer(one, "u1")[:FEW]
    ),
    "slice beside the frame": with_its_frame,
    "slice beside the array": with_its_array,
    "polars and an array": with_polars,
}

ENGINES = [compared.tables_in_batches]
if compared.FOUND is not None:
    ENGINES += [compared.tables_here, compared.tables_in_a_copy]


def pinned(tables: dict[str, Any]) -> list[int]:
    """Return what each group pins, of those that pin anything."""
    return [group["pinned"] for group in tables["groups"] if group["pinned"]]


@pytest.fixture(autouse=True)
def nothing_waits() -> None:
    gc.collect()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", PINNED)
def test_a_small_view_pins_what_nobody_else_shows(name: str, engine: Any) -> None:
    make, expected = PINNED[name]
    assert sum(pinned(engine({"it": make()}))) == pytest.approx(expected, abs=SHELL, rel=0.07)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", WHOLE)
def test_nothing_is_pinned_where_the_whole_can_be_reached(name: str, engine: Any) -> None:
    assert pinned(engine({"it": WHOLE[name]()})) == []


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "make",
    [
        lambda: memoryview(bytearray(20_000))[:FEW],
        lambda: np.frombuffer(bytearray(20_000), "u1")[:FEW],
        lambda: io.BytesIO(bytes(20_000)).getbuffer()[:FEW],
        lambda: np.zeros(20_000, "u1")[:FEW],
    ],
    ids=["views", "arrays over bytes", "files", "slices"],
)
def test_small_buffers_are_many(make: Callable[[], Any], engine: Any) -> None:
    made = [make() for _ in range(5000)]
    assert sum(pinned(engine({"it": made}))) == pytest.approx(5000 * 20_000, rel=0.02)


@pytest.mark.parametrize("engine", ENGINES)
def test_small_buffers_that_are_reached_are_not_pinned(engine: Any) -> None:
    made = [(data, memoryview(data)[:FEW]) for data in (bytearray(20_000) for _ in range(5000))]
    assert pinned(engine({"it": made})) == []
    assert pinned(engine({"it": [memoryview(bytearray(20_000)) for _ in range(5000)]})) == []
