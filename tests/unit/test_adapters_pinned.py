"""Memory that only smaller views keep, of sizes known by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from walked import MB, groups, only


def pinned(names: dict[str, Any], *holders: str) -> int | None:
    """Return what the group of exactly these holders pins."""
    found: int | None = groups(names)[only(*holders or names)]["pinned"]
    return found


def test_a_row_pins_the_rest_of_its_array() -> None:
    names = {"row": np.ones((1000, 1000))[0]}
    assert pinned(names) == 8 * MB - 8000


def test_rows_of_one_array_together_pin_what_none_of_them_shows() -> None:
    big = np.ones((1000, 1000))
    names = {"rows": [big[0], big[1], big[1], big[500]]}
    del big
    assert pinned(names) == 8 * MB - 3 * 8000


def test_halves_that_overlap_pin_nothing_between_them() -> None:
    big = np.ones(MB)
    names = {"halves": [big[: 6 * MB // 10], big[4 * MB // 10 :]]}
    del big
    assert pinned(names) is None


def test_a_strided_view_pins_what_lies_between() -> None:
    names = {"column": np.ones((MB // 10, 10))[:, 3]}
    assert pinned(names) == 8 * MB - 8 * MB // 10


def test_a_reversed_view_shows_all() -> None:
    names = {"back": np.ones(MB)[::-1]}
    assert pinned(names) is None


def test_a_view_of_a_view_pins_what_the_last_one_does_not_show() -> None:
    class Mine(np.ndarray):
        pass

    middle = np.ones(MB).view(Mine)[1000:]
    last = middle.view(np.ndarray)[:500]
    assert type(last.base.base) is Mine
    names = {"last": last}
    del middle, last
    assert pinned(names) == 8 * MB - 4000


@pytest.mark.parametrize("whole", [lambda big: big, lambda big: big.reshape(-1), lambda big: big.T])
def test_beside_the_whole_array_a_view_pins_nothing(whole: Any) -> None:
    big = np.ones((1000, 1000))
    names = {"row": big[0], "whole": whole(big)}
    del big
    found = groups(names)
    assert found[only("row", "whole")]["bytes"] == pytest.approx(8 * MB, rel=0.01)
    assert all(group["pinned"] is None for group in found.values())


def test_what_something_unnamed_holds_is_not_pinned() -> None:
    big = np.ones((1000, 1000))
    names = {"row": big[0]}
    assert pinned(names, "row", "?") is None


def test_a_memoryview_pins_the_rest_of_its_bytes() -> None:
    names = {"part": memoryview(bytes(MB))[:1000]}
    assert pinned(names) == pytest.approx(MB - 1000, abs=100)


def test_an_array_over_a_part_of_bytes_pins_the_rest() -> None:
    names = {"part": np.frombuffer(bytes(MB), "u1")[:1000]}
    assert pinned(names) == pytest.approx(MB - 1000, abs=100)
    names = {"part": np.frombuffer(bytearray(MB), "u1")[:1000]}
    assert pinned(names) == pytest.approx(MB - 1000, abs=200)


def test_two_slices_of_bytes_beside_the_bytes_pin_nothing() -> None:
    data = bytes(MB)
    names = {"a": memoryview(data)[:10], "b": memoryview(data)[10:20], "data": data}
    del data
    assert all(group["pinned"] is None for group in groups(names).values())


@pytest.mark.parametrize("cut", [lambda frame: frame.head(5), lambda frame: frame.iloc[:5]])
def test_five_row_slices_of_deleted_frames_pin_the_frames(cut: Any) -> None:
    frames = [pd.DataFrame(np.ones((MB // 10, 10))) for _ in range(5)]
    names = {"heads": [cut(frame) for frame in frames]}
    copied = names["heads"][0]._mgr.blocks[0].values.base is None
    del frames
    if copied:
        assert groups(names) == {}
        return
    assert pinned(names) == 5 * (8 * MB - 5 * 10 * 8)


def test_a_slice_beside_its_frame_pins_nothing() -> None:
    frame = pd.DataFrame({"a": np.ones(MB), "b": np.arange(MB)})
    names = {"frame": frame, "slice": frame.iloc[:5]}
    del frame
    assert all(group["pinned"] is None for group in groups(names).values())


def test_a_frame_over_the_users_own_array_pins_nothing() -> None:
    data = np.ones((MB // 10, 10))
    names: dict[str, Any] = {"frame": pd.DataFrame(data, copy=False), "data": data}
    del data
    assert all(group["pinned"] is None for group in groups(names).values())
    del names["data"]
    assert pinned(names) is None


def test_a_column_pins_the_rest_of_its_block() -> None:
    frame = pd.DataFrame(np.ones((MB // 10, 10)), columns=list("abcdefghij"))
    names = {"column": frame["a"]}
    del frame
    assert pinned(names) == pytest.approx(8 * MB * 9 // 10, rel=0.001)


def test_chosen_columns_pin_the_rest_where_they_are_views() -> None:
    frame = pd.DataFrame(np.ones((MB // 10, 10)), columns=list("abcdefghij"))
    names = {"chosen": frame[["a"]]}
    copied = not np.shares_memory(names["chosen"].to_numpy(), frame.to_numpy())
    del frame
    expected = None if copied else pytest.approx(8 * MB * 9 // 10, rel=0.001)
    assert pinned(names) == expected


def test_a_slice_of_objects_pins_the_texts_too() -> None:
    column = pd.Series([f"text number {n:06d}" for n in range(100_000)], dtype=object)
    names = {"slice": column.iloc[:5]}
    del column
    assert pinned(names) == pytest.approx(100_000 * (8 + 80), rel=0.02)


def test_a_slice_of_a_table_pins_the_rest() -> None:
    table = pa.table({"a": np.arange(MB), "b": pa.array(range(MB), pa.int32())})
    names = {"slice": table.slice(0, 5)}
    del table
    assert pinned(names) == pytest.approx(12 * MB, rel=0.02)


def test_slices_of_a_table_count_each_row_once() -> None:
    table = pa.table({"a": pa.array(range(MB))})
    half = table.slice(0, MB // 2)
    names = {"slices": [half, half.slice(0, MB // 2), table.slice(10, MB // 4)]}
    del table, half
    found = pinned(names)
    assert found is not None
    assert 2 * MB - 200_000 <= found <= 4 * MB + 200_000


def test_a_slice_beside_its_table_pins_nothing() -> None:
    table = pa.table({"a": pa.array(range(MB))})
    names = {"table": table, "slice": table.slice(0, 5)}
    del table
    assert all(group["pinned"] is None for group in groups(names).values())


def test_a_slice_of_nested_and_encoded_columns_pins_the_rest() -> None:
    rows = [["some text", "more"]] * 100_000
    table = pa.table(
        {"list": rows, "code": pa.array(["x" * 100, "y"] * 50_000).dictionary_encode()}
    )
    names = {"slice": table.slice(0, 5), "chunk": table.column("list").chunk(0).slice(7, 5)}
    whole = table.get_total_buffer_size()
    del table
    found = groups(names)
    assert sum(group["pinned"] or 0 for group in found.values()) == pytest.approx(whole, rel=0.02)


def test_a_slice_of_texts_pins_the_whole_column() -> None:
    values = pa.array([f"text number {n:06d}" for n in range(200_000)], pa.large_string())
    frame = pd.DataFrame({"s": pd.array(values, dtype=pd.ArrowDtype(values.type))})
    whole = values.get_total_buffer_size()
    names = {"head": frame.head(5)}
    del frame, values
    assert pinned(names) == pytest.approx(whole, rel=0.01)


def test_one_column_pins_the_message_it_was_read_from() -> None:
    sink = pa.BufferOutputStream()
    table = pa.table({"a": np.arange(MB // 4), "b": np.arange(MB // 4)})
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    read = pa.ipc.open_stream(sink.getvalue()).read_all()
    names = {"column": read.column("a")}
    del sink, table, read
    assert pinned(names) == pytest.approx(2 * MB, rel=0.01)


def test_rows_in_a_big_container_pin_their_arrays() -> None:
    names = {"rows": [np.ones((10, 100))[0] for _ in range(5000)]}
    assert pinned(names) == pytest.approx(5000 * 9 * 800, rel=0.01)
    names = {"rows": [np.ones((10, 100)).reshape(-1) for _ in range(5000)]}
    assert pinned(names) is None
