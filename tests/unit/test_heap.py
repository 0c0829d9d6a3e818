"""Sizes and holders of graphs with known sizes, by the in-process walk."""

from __future__ import annotations

import gc
import sys
import threading
import types
import weakref
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from walked import MB, allocated, groups, only, tables

from memprobe_probes import heap, roots
from memprobe_probes.walk import TooLong


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: np.ones(MB), id="array"),
        pytest.param(lambda: np.asfortranarray(np.ones((1000, 1000))), id="2d"),
        pytest.param(lambda: np.ones(2 * MB)[::2].base, id="base"),
        pytest.param(lambda: pd.DataFrame(np.ones((MB // 10, 10))), id="numeric-frame"),
        pytest.param(
            lambda: pd.DataFrame({"a": np.arange(MB), "b": np.ones(MB), "c": np.ones(MB, "f4")}),
            id="mixed-frame",
        ),
        pytest.param(lambda: pd.Series(np.ones(MB)), id="series"),
    ],
)
def test_numeric_data_is_counted_to_the_byte(make: Any) -> None:
    data = make()
    expected = data.nbytes if hasattr(data, "nbytes") else int(data.memory_usage(index=False).sum())
    names = {"data": data}
    del data
    group = groups(names)[only("data")]
    assert group["bytes"] == pytest.approx(expected, rel=0.01)
    assert group["low"] is None


def test_object_strings_are_within_one_percent() -> None:
    strings = ["customer " + str(n) * (n % 7) for n in range(300_000)]
    distinct = {id(text): text for text in strings}  # every seventh is one and the same text
    truth = sum(map(allocated, distinct.values())) + 8 * len(strings)
    del distinct
    names = {"frame": pd.Series(strings, dtype=object)}
    del strings
    group = groups(names)[only("frame")]
    assert group["bytes"] == pytest.approx(truth, rel=0.01)
    assert group["low"] <= truth <= group["high"]


def test_strings_that_rows_share_count_once() -> None:
    text = "x" * 1000
    names = {"frame": pd.Series([text] * 200_000, dtype=object)}
    del text
    assert groups(names)[only("frame")]["bytes"] == pytest.approx(200_000 * 8, rel=0.01)


def test_arrow_columns_are_seen() -> None:
    values = pa.array([f"row {n:08d}" for n in range(200_000)], pa.large_string())
    truth = values.nbytes
    names = {"frame": pd.DataFrame({"s": pd.array(values, dtype=pd.ArrowDtype(values.type))})}
    del values
    assert groups(names)[only("frame")]["bytes"] == pytest.approx(truth, rel=0.01)


def test_an_arrow_table_is_seen() -> None:
    names = {"table": pa.table({"a": np.arange(MB), "b": [f"{n}" for n in range(MB)]})}
    truth = names["table"].nbytes
    assert groups(names)[only("table")]["bytes"] == pytest.approx(truth, rel=0.01)


def test_a_list_of_records_is_estimated_with_an_honest_range() -> None:
    rows = [{"id": n, "name": f"name {n}"} for n in range(100_000)]
    truth = allocated(rows) + sum(
        allocated(row) + allocated(row["id"]) + allocated(row["name"]) for row in rows
    )
    names = {"rows": rows}
    del rows
    group = groups(names)[only("rows")]
    assert group["bytes"] == pytest.approx(truth, rel=0.02)
    assert group["low"] <= group["bytes"] <= group["high"]
    assert group["objects"] == pytest.approx(300_000, rel=0.02)


def test_a_big_container_of_slices_counts_their_base_once() -> None:
    base = np.ones(MB)
    names = {"parts": [base[n : n + 10] for n in range(10_000)]}
    del base
    assert groups(names)[only("parts")]["bytes"] == pytest.approx(8 * MB, rel=0.25)


def test_a_view_keeps_the_whole_buffer_together_with_its_owner() -> None:
    frame = pd.DataFrame(np.ones((MB // 10, 10)))
    names = {"frame": frame, "head": frame[:5]}
    del frame
    found = groups(names)
    assert found[only("frame", "head")]["bytes"] == pytest.approx(8 * MB, rel=0.01)
    del names["frame"], found
    assert groups(names)[only("head")]["bytes"] == pytest.approx(8 * MB, rel=0.01)


def test_two_names_of_one_object_keep_it_together() -> None:
    data = np.ones(MB)
    names = {"one": data, "two": data}
    del data
    found = groups(names)
    assert set(found) == {only("one", "two")}


def test_what_something_unnamed_holds_too_is_promised_to_nobody() -> None:
    data = np.ones(MB)
    names = {"data": data}
    assert only("data", "?") in groups(names)  # this frame's own local
    del data
    assert only("data") in groups(names)


def test_waiting_garbage_is_no_holder() -> None:
    gc.disable()
    try:
        names = {"data": {"inner": np.ones(MB)}}
        cycle: list[Any] = [names["data"]["inner"]]
        cycle.append(cycle)
        del cycle
        assert only("data") in groups(names)
    finally:
        gc.enable()


def test_an_exception_keeps_the_locals_of_its_frames() -> None:
    def fail() -> None:
        held = np.ones(MB)
        raise ValueError(held.shape)

    names: dict[str, Any] = {}
    try:
        fail()
    except ValueError as error:
        names["error"] = error.with_traceback(error.__traceback__.tb_next)  # type: ignore[union-attr]
    group = groups(names)[only("error")]
    assert group["bytes"] == pytest.approx(8 * MB, rel=0.01)
    assert "traceback" in group["via"]
    assert [step["edge"] for step in group["path"]][-2:] == ["held", "data"]


class Failed(Exception):
    rows: Any = None


def test_what_a_caught_exception_complains_of_counts_as_kept_by_its_traceback() -> None:
    data = np.ones(MB)
    names: dict[str, Any] = {}
    try:
        data.nothing  # noqa: B018
    except AttributeError as error:
        names["error"] = error.with_traceback(None)
    del data
    assert groups(names)[only("error")]["via"] == []  # nobody's frames: an object like others
    try:
        raise names.pop("error")
    except AttributeError as error:
        names["error"] = error
    group = groups(names)[only("error")]
    assert (group["path"][0]["edge"], group["via"]) == (".obj", ["traceback"])


def test_what_the_code_stored_in_an_exception_is_not() -> None:
    names: dict[str, Any] = {}
    try:
        raise Failed(np.ones(MB))
    except Failed as error:
        error.rows = np.ones(2 * MB)
        names["error"] = error
    assert groups(names)[only("error")]["via"] == []


def test_the_path_names_attributes_and_hides_keys() -> None:
    class Store:
        def __init__(self) -> None:
            self.frames = {"secret key": np.ones(MB)}

    group = groups({"store": Store()})[only("store")]
    edges = [step["edge"] for step in group["path"]]
    assert edges == [".frames", "[key]", "data"]


def test_the_path_of_what_two_keep_begins_at_the_holder_named_first() -> None:
    shared = np.ones(500_000)
    names = {"far": [[[[shared]]]], "near": [shared]}
    del shared
    result = tables(names)
    (group,) = (one for one in result["groups"] if len(one["holders"]) == 2)
    first = next(one for one in result["holders"] if one["id"] == group["holders"][0])
    assert (first["expr"], group["path"][0]["type"]) == ("near", "numpy.ndarray")


def test_no_user_code_runs() -> None:
    calls: list[str] = []

    class Meta(type):
        @property
        def __module__(cls) -> str:
            calls.append("module")
            return "evil"

        def __getattribute__(cls, name: str) -> Any:
            calls.append(f"class {name}")
            return type.__getattribute__(cls, name)

    class Hostile(metaclass=Meta):
        def __init__(self) -> None:
            self.data = np.ones(MB)

        def __sizeof__(self) -> int:
            calls.append("sizeof")
            raise RuntimeError

        def __len__(self) -> int:
            calls.append("len")
            raise RuntimeError

        def __iter__(self) -> Any:
            calls.append("iter")
            raise RuntimeError

        def __getattribute__(self, name: str) -> Any:
            calls.append(name)
            return object.__getattribute__(self, name)

        def __eq__(self, other: object) -> bool:
            calls.append("eq")
            return True

        def __hash__(self) -> int:
            calls.append("hash")
            return 1

        @property
        def __class__(self) -> type:
            calls.append("class")
            return dict

        def __del__(self) -> None: ...

    class Listlike(list):  # type: ignore[type-arg]
        def __len__(self) -> int:
            calls.append("list len")
            return 0

        def __iter__(self) -> Any:
            calls.append("list iter")
            return iter(())

        def __getitem__(self, at: Any) -> Any:
            calls.append("list item")
            raise IndexError

    names = {"hostile": Hostile(), "many": Listlike([np.ones(10) for _ in range(5000)])}
    calls.clear()
    result = tables(names)
    assert calls == []
    sizes = {row["type"].rpartition(".")[2]: row for row in result["types"]}
    assert "ndarray" in sizes


def test_references_are_as_before() -> None:
    data = np.ones(10)
    names = {"data": data, "frame": pd.DataFrame({"s": ["a", "b"] * 5000})}
    watched = [data, names["frame"], names["frame"]._mgr]
    before = list(map(sys.getrefcount, watched))
    for _ in range(3):
        tables(names)
    assert list(map(sys.getrefcount, watched)) == before


def test_a_walk_that_would_be_too_long_is_refused_beforehand() -> None:
    names = {"rows": [[n] for n in range(4000)]}
    with pytest.raises(TooLong, match="would pause for about"):
        tables(names, max_pause=0.001)


def test_a_walk_stops_at_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "estimate_objects", lambda _: 0)
    names = {"rows": [[[n], [n]] for n in range(4000)]}
    with pytest.raises(TooLong, match="longer than"):
        tables(names, max_pause=0.0005)


def test_containers_may_change_while_they_are_read() -> None:
    names: dict[str, Any] = {"grows": {n: [n] for n in range(6000)}, "list": list(range(6000))}
    stop = threading.Event()

    def churn() -> None:
        turn = 0
        while not stop.is_set():
            turn += 1
            names["grows"][turn + 10_000] = [turn]
            names["grows"].pop(turn, None)
            names["list"].append([turn])
            if len(names["list"]) > 7000:
                del names["list"][5000:]

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for _ in range(30):
            assert tables(names)["objects"] > 0
    finally:
        stop.set()
        thread.join()


def test_nothing_is_kept_after_a_walk() -> None:
    class Mine:
        def __init__(self) -> None:
            self.data = np.ones(MB)

    def running(held: Mine) -> None:
        tables({"held": held, **{root.expr: root.take() for root in roots.running_locals()}})

    gc.collect()
    gc.disable()
    try:
        names = {"mine": Mine()}
        gone = weakref.ref(names["mine"])
        running(names["mine"])
        groups(names)
        names.clear()
        assert gone() is None
    finally:
        gc.enable()


def test_suspended_frames_are_walked() -> None:
    def produce() -> Any:
        held = np.ones(MB)
        yield
        yield held

    names = {"it": produce()}
    next(names["it"])
    group = groups(names)[only("it")]
    assert group["bytes"] == pytest.approx(8 * MB, rel=0.01)
    assert "suspended-frame" in group["via"]


def test_modules_and_functions_do_not_lead_into_the_interpreter() -> None:
    module = types.ModuleType("mine")
    names = {"use": lambda: (np, pd, sys, module), "module": module}
    result = tables(names)
    assert result["objects"] < 100
