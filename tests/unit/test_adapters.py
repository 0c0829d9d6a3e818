"""Sizes of data that libraries keep outside of Python's own memory, against sizes known by hand."""

from __future__ import annotations

import array
import io
import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from walked import MB, allocated, groups, only, tables


def kept(**names: Any) -> float:
    """Return the bytes of all groups below the names, each counted once."""
    return float(sum(group["bytes"] for group in groups(names).values()))


def exactly(expected: float) -> Any:
    """One percent, and the shells of a few objects."""
    return pytest.approx(expected, rel=0.01, abs=4000)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: np.zeros(MB, [("a", "f8"), ("b", "i4")]), id="structured"),
        pytest.param(lambda: np.rec.array(np.zeros(MB, [("a", "f8")])), id="recarray"),
        pytest.param(lambda: np.ma.masked_array(np.ones(MB), np.zeros(MB, bool)), id="masked"),
        pytest.param(lambda: np.ones(MB).view(type("Mine", (np.ndarray,), {})), id="subclass"),
        pytest.param(lambda: np.ones(MB).astype("M8[ns]"), id="datetime"),
        pytest.param(lambda: np.full(MB, "text", "U4"), id="fixed-text"),
    ],
)
def test_arrays(make: Any) -> None:
    expected = make().nbytes + (MB if type(make()) is np.ma.MaskedArray else 0)
    assert kept(data=make()) == exactly(expected)


def test_an_array_of_records_with_objects_counts_the_objects() -> None:
    data = np.empty(50_000, [("n", "i8"), ("text", "O")])
    data["text"] = [f"text number {n}" for n in range(50_000)]
    expected = data.nbytes + sum(map(allocated, data["text"]))
    assert kept(data=data) == exactly(expected)


def test_a_few_records_with_objects_are_walked() -> None:
    data = np.empty(10, [("n", "i8"), ("held", "O")])
    data["held"] = [bytes(100_000 + n) for n in range(10)]
    assert kept(data=data) == exactly(MB)


def test_a_mapped_file_is_the_systems_and_an_anonymous_map_is_not(tmp_path: Path) -> None:
    mapped = np.memmap(tmp_path / "data", "f8", "w+", shape=(MB,))
    assert kept(mapped=mapped, view=mapped[:10], other=bytes(100_000)) == exactly(100_000)
    assert kept(anonymous=mmap.mmap(-1, MB)) == exactly(MB)


@pytest.mark.parametrize(
    "make",
    [
        lambda: bytes(MB),
        lambda: bytearray(MB),
        lambda: array.array("d", [0.0]) * (MB // 8),
        lambda: memoryview(bytearray(MB))[:10],
        lambda: memoryview(array.array("b", [0]) * MB),
        lambda: io.BytesIO(bytearray(MB)),
        lambda: io.BytesIO(bytearray(MB)).getbuffer()[:5],
        lambda: np.frombuffer(bytes(MB), "u1"),
        lambda: [memoryview(bytes(MB))[5:]] * 20,
    ],
)
def test_memory_of_the_standard_library(make: Any) -> None:
    assert kept(data=make()) == exactly(MB)


def test_a_released_memoryview_is_nothing() -> None:
    view = memoryview(bytes(10))
    view.release()
    assert kept(view=view, data=bytes(100_000)) == exactly(100_000)


FRAMES = {
    "categorical": (lambda: pd.Series(pd.Categorical.from_codes(np.zeros(MB, "i1"), ["x"])), MB),
    "masked": (lambda: pd.Series(np.ones(MB, "i8")).astype("Int64"), 9 * MB),
    "boolean": (lambda: pd.Series(np.ones(MB, bool)).astype("boolean"), 2 * MB),
    "zoned": (lambda: pd.Series(pd.date_range("2020", periods=MB, freq="s", tz="UTC")), 8 * MB),
    "interval": (
        lambda: pd.Series(pd.arrays.IntervalArray.from_breaks(np.arange(MB + 1.0))), 16 * MB,
    ),
    "interval-index": (lambda: pd.IntervalIndex.from_breaks(np.arange(MB + 1.0)), 16 * MB),
    "period": (lambda: pd.Series(pd.period_range("2020", periods=MB, freq="s")), 8 * MB),
    "sparse": (
        lambda: pd.Series(pd.arrays.SparseArray(np.arange(MB) % 2)), MB // 2 * (8 + 4),
    ),
    "arrow": (lambda: pd.Series(np.arange(MB)).astype("int64[pyarrow]"), 8 * MB),
    "multi-index": (
        lambda: pd.MultiIndex.from_arrays([np.arange(MB) % 7, np.arange(MB) % 3]), 2 * MB,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FRAMES)
def test_frames_of_extension_types(name: str) -> None:
    make, expected = FRAMES[name]
    made = make()
    del made  # what libraries build once is built by now
    assert kept(data=make()) == exactly(expected)


def test_a_column_of_typed_texts() -> None:
    size = pa.array([f"text number {n:06d}" for n in range(200_000)]).get_total_buffer_size()
    texts = pd.Series([f"text number {n:06d}" for n in range(200_000)]).astype("string[pyarrow]")
    assert kept(data=texts) == pytest.approx(size, rel=0.2)  # wider offsets in newer versions


def test_the_lookup_table_of_an_index_counts() -> None:
    index = pd.Index(np.arange(MB // 10)[::-1] * 7 % 100_003)
    before = kept(index=index)
    index.get_loc(7)
    assert kept(index=index) - before > MB // 10 * (8 + 8)


def test_columns_that_frames_share_count_once() -> None:
    series = pa.array([f"text number {n:06d}" for n in range(200_000)], pa.large_string())
    frame = pd.DataFrame({"s": pd.array(series, dtype=pd.ArrowDtype(series.type))})
    names = {"one": frame, "two": frame.assign(n=1), "three": frame.copy()}
    size = series.get_total_buffer_size()
    del series, frame
    (together,) = [group for holders, group in groups(names).items() if len(holders) == 3]
    assert together["bytes"] == exactly(size)


ROWS = 50_000


def encoded() -> Any:
    return pa.array(["some long category", "another"] * (ROWS // 2)).dictionary_encode()


ARROW = {
    "list": lambda: pa.array([[n, n + 1] for n in range(ROWS)]),
    "struct": lambda: pa.array([{"a": n, "b": str(n)} for n in range(ROWS)]),
    "map": lambda: pa.array([[("k", n)] for n in range(ROWS)], pa.map_(pa.string(), pa.int64())),
    "dictionary": encoded,
    "struct-of-dictionary": lambda: pa.StructArray.from_arrays([encoded()], ["code"]),
    "fixed-list": lambda: pa.array([[1.0, 2.0]] * ROWS, pa.list_(pa.float64(), 2)),
    "null": lambda: pa.array([None, 1] * ROWS),
    "decimal": lambda: pa.array([1, 2] * ROWS).cast(pa.decimal128(30, 2)),
}


def cuts(values: Any) -> dict[str, Any]:
    table = pa.table({"column": values})
    batch = table.to_batches()[0]
    return {"values": values, "column": table.column(0), "batch": batch, "slice": table.slice(5, 7)}


@pytest.mark.parametrize("name", ARROW)
def test_arrow_types(name: str) -> None:
    size = ARROW[name]().get_total_buffer_size()
    assert kept(**cuts(ARROW[name]())) == exactly(size)
    assert kept(part=cuts(ARROW[name]())["slice"]) == exactly(size)


def test_an_arrow_scalar_of_a_list_keeps_the_column() -> None:
    values = pa.array([[n, n + 1] for n in range(100_000)])
    scalar = values[5]
    size = values.values.get_total_buffer_size()
    del values
    assert kept(scalar=scalar) == exactly(size)


def test_a_buffer_and_its_slices_count_once() -> None:
    whole = pa.allocate_buffer(MB)
    assert kept(part=whole.slice(1000, 10)) == exactly(MB)
    assert kept(part=whole.slice(1000, 10), whole=whole) == exactly(MB)


def test_an_array_without_a_copy_from_arrow_counts_once() -> None:
    column = pa.array(np.arange(MB) + 0)
    names = {"array": column.to_numpy(), "column": column, "tail": column.slice(1000).to_numpy()}
    del column
    assert kept(**names) == exactly(8 * MB)
    frame = pa.table({"a": pa.array(range(MB))}).to_pandas()
    assert kept(frame=frame) == exactly(8 * MB)


def test_a_table_over_arrays_is_no_unnamed_holder_of_them() -> None:
    names: dict[str, Any] = {"array": np.arange(MB)}
    names["table"] = pa.table({"a": names["array"], "b": np.ones(MB, "i1")})
    found = groups(names)
    assert found[only("array", "table")]["bytes"] == exactly(8 * MB)
    assert set(found) == {only("array", "table"), only("table")}


def test_a_table_read_from_bytes_counts_them_once() -> None:
    sink = pa.BufferOutputStream()
    table = pa.table({"a": np.arange(MB)})
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    names: dict[str, Any] = {"data": sink.getvalue().to_pybytes()}
    del sink, table, writer
    names["table"] = pa.ipc.open_stream(names["data"]).read_all()
    found = groups(names)
    assert found[only("data", "table")]["bytes"] == exactly(8 * MB)


def test_an_adapter_that_fails_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from memprobe_probes import arrow_buffers

    def fail(obj: Any) -> Any:
        raise ValueError(obj.type)

    monkeypatch.setattr(arrow_buffers, "_memory", fail)
    result = tables({"column": pa.array([1])})
    assert [row["what"] for row in result["unmeasured"]] == ["pyarrow.Int64Array"]


def test_a_dtype_of_the_users_own_is_not_asked_for_its_name() -> None:
    from pandas.api.extensions import ExtensionArray, ExtensionDtype

    from memprobe_probes.describe import describe

    calls: list[str] = []

    class Mine(ExtensionDtype):  # type: ignore[misc]
        type = str
        name = property(lambda self: calls.append("name") or "mine")

        def __str__(self) -> str:
            calls.append("str")
            return "mine"

    class Values(ExtensionArray):  # type: ignore[misc]
        dtype = property(lambda self: calls.append("dtype") or Mine())

        def __len__(self) -> int:
            return 3

        def copy(self) -> Any:
            return self

    series = pd.Series(Values(), copy=False)
    calls.clear()
    assert describe(series)["shape"] == [3]
    assert calls == []


@pytest.fixture
def figure() -> Iterator[Any]:
    pytest.importorskip("matplotlib").use("Agg")
    import matplotlib.pyplot as plt

    yield plt.figure(figsize=(10, 5), dpi=100)
    plt.close("all")


def test_a_figure_holds_its_canvas_and_its_data(figure: Any) -> None:
    axes = figure.subplots()
    axes.plot(np.arange(MB // 10))
    axes.imshow(np.ones((1000, 1000)))
    before = kept(figure=figure.canvas.manager)
    assert before > 8 * MB
    figure.canvas.draw()
    assert kept(figure=figure.canvas.manager) - before > 1000 * 500 * 4


def test_an_image_holds_its_pixels() -> None:
    image = pytest.importorskip("PIL.Image").new("RGB", (1000, 500))
    assert kept(image=image) == exactly(1000 * 500 * 4)
    assert kept(image=image.convert("L")) == exactly(1000 * 500)
