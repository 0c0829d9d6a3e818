"""What is inside of a holder, as the native walk tells it: against known sizes and plain Python."""

from __future__ import annotations

import collections
import functools
import json
import random
import sys
import types
from typing import Any

import numpy as np
import pandas as pd
import pytest

from memprobe_probes import native_rows, native_walker, roots
from memprobe_probes.native import Native
from memprobe_probes.roots import Root

WALKER, WHY = native_walker.load()
pytestmark = pytest.mark.skipif(WALKER is None, reason=str(WHY))
MB = 1_000_000
NUMBER = 30  # lists of a random graph
OTHERS = 22  # from here on others may hold them
Rows = list[dict[str, Any]]


class Store:
    """An object with attributes."""


class Slots:
    """An object whose attributes have no dict."""

    __slots__ = ("left", "right")


def walk(names: dict[str, Any], *opened: str) -> dict[str, Any]:
    """Walk from the entries of ``names``, each one reference, and look into ``opened``."""
    native = Native(WALKER)
    native.opened = opened
    found = [Root("module", name, value) for name, value in names.items()]
    return native.here(found, roots.stop_ids() | {id(names)}, (), 10**10)


def inside(names: dict[str, Any], expr: str) -> Rows:
    (rows,) = (one.get("inside") for one in walk(names, expr)["holders"] if one["expr"] == expr)
    assert rows is not None
    return list(rows)


def edges(rows: Rows, parent: int = 0) -> dict[str, dict[str, Any]]:
    """Return edge → row of those that lie in the row ``parent``."""
    return {
        "".join(step["edge"] for step in row["path"]): row
        for row in rows
        if row["parent"] == parent
    }


def kept(row: dict[str, Any]) -> float:
    return round(row["bytes"] / MB, 2)


def store() -> Store:
    made = Store()
    made.large = np.ones(5 * MB)  # type: ignore[attr-defined]
    made.middle = bytes(20 * MB)  # type: ignore[attr-defined]
    made.pages = [bytes(MB) for _ in range(5)]  # type: ignore[attr-defined]
    return made


def test_attributes_are_told_by_name_and_keep_what_lies_in_them() -> None:
    names = {"store": store()}
    for _ in range(2):  # to ask for the names may have moved the attributes into a dict
        rows = inside(names, "store")
        found = edges(rows)
        assert {edge: kept(row) for edge, row in found.items()} == {
            ".large": 40.0, ".middle": 20.0, ".pages": 5.0
        }  # fmt: skip
        assert found[".large"]["shape"] == [5 * MB]
        assert found[".large"]["dtypes"] == {"float64": 1}
        assert found[".pages"]["length"] == 5
        pages = edges(rows, rows.index(found[".pages"]))
        assert sorted(pages) == [f"[{at}]" for at in range(5)]
        (memory,) = edges(rows, rows.index(found[".large"])).values()
        assert (memory["type"], memory["bytes"]) == ("native buffer", 40 * MB)
        assert rows[0]["bytes"] == sum(row["own"] for row in rows) + small(rows)


def small(rows: Rows) -> int:
    """Return the bytes that no row tells."""
    below = [0] * len(rows)
    for row in rows[1:]:
        below[row["parent"]] += row["bytes"]
    return sum(row["bytes"] - row["own"] - below[at] for at, row in enumerate(rows))


def test_the_dict_of_the_attributes_is_a_part_of_the_object() -> None:
    made = store()
    assert vars(made)  # now there is one, on every Python
    rows = inside({"store": made}, "store")
    assert sorted(edges(rows)) == [".large", ".middle", ".pages"]
    assert rows[0]["own"] >= sys.getsizeof(made) + sys.getsizeof(vars(made))


def test_a_frame_tells_its_blocks_by_the_numbers_of_their_columns() -> None:
    frame = pd.DataFrame({"secret": np.ones(MB), "b": np.arange(MB), "c": np.ones(MB)})
    rows = inside({"df": frame}, "df")
    blocks = {tuple(row["columns"]): kept(row) for row in rows if "columns" in row}
    assert sum(blocks.values()) == pytest.approx(24, abs=0.1)
    assert {at for numbers in blocks for at in numbers} == {0, 1, 2}
    assert "._mgr" in edges(rows)
    assert "secret" not in json.dumps(rows)


def test_keys_of_a_dict_are_never_told() -> None:
    table = {f"secret{at}": [float(n) for n in range(10_000 * at)] for at in range(1, 4)}
    rows = inside({"table": table}, "table")
    assert [step["edge"] for row in rows for step in row["path"]] == ["[key]"] * 3
    assert "secret" not in json.dumps(rows)
    sums = [row for row in rows if row["count"] > 1]
    assert sorted((row["type"], row["count"]) for row in sums) == [
        ("float", 10_000), ("float", 20_000), ("float", 30_000)
    ]  # fmt: skip


def generator() -> Any:
    local = bytes(MB)
    yield
    yield local


class Keyed(dict[str, Any]):
    """A dict whose items are its attributes: keys all the same."""

    def __init__(self, **items: Any) -> None:
        super().__init__(items)
        self.__dict__ = self


def kinds() -> dict[str, tuple[Any, list[str]]]:
    """Return name → object that keeps 1 MB, and the steps that lead there."""
    half = bytes(MB)
    sized = Slots()
    sized.left = bytes(MB)  # type: ignore[attr-defined]
    waits = generator()
    next(waits)
    numbers = np.empty(3, dtype=object)
    numbers[1] = bytes(MB)
    return {
        "slots": (sized, [".left"]),
        "deque": (collections.deque([1, bytes(MB)]), ["[1]"]),
        "set": ({bytes(MB)}, ["[*]"]),
        "namespace": (types.SimpleNamespace(attribute=bytes(MB)), [".attribute"]),
        "partial": (functools.partial(print, bytes(MB)), [".args", "[0]"]),
        "closure": ((lambda: half), ["closure", "[0]", "cell_contents"]),
        "generator": (waits, ["local"]),
        "key": ({(bytes(MB),): 1}, ["[key]", "[0]"]),
        "keyed": (Keyed(secret=bytes(MB)), ["[key]"]),
        "objects": (numbers, ["[1]"]),
    }


@pytest.mark.parametrize("kind", list(kinds()))
def test_steps_are_named_as_one_would_type_them(kind: str) -> None:
    names = {kind: kinds()[kind][0]}
    rows = inside(names, kind)
    told = [step["edge"] for row in rows for step in row["path"]]
    assert told == kinds()[kind][1]
    assert kept(rows[0]) == 1.0


def test_in_a_big_container_those_that_matter_are_found_again() -> None:
    many: list[Any] = [None] * 700_000
    many[650_000] = bytes(MB)
    (edge,) = edges(inside({"many": many}, "many"))
    assert edge == "[650000]"


def test_where_there_is_no_time_left_types_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native_rows, "NAMING_NS", 0)
    rows = inside({"store": store()}, "store")
    assert {kept(row) for row in edges(rows).values()} <= {40.0, 20.0, 5.0}
    assert {step["edge"] for row in rows for step in row["path"]} == {"·", "[*]", "data"}
    assert "shape" not in json.dumps(rows)


def test_what_two_parts_share_belongs_to_the_object_around_them() -> None:
    shared = bytes(10 * MB)
    made = Slots()
    made.left, made.right = [shared, bytes(3 * MB)], [shared, bytes(2 * MB)]
    del shared
    found = edges(inside({"made": made}, "made"))
    assert {kept(row) for row in found.values()} == {10.0, 3.0, 2.0}
    (both,) = (row for row in found.values() if kept(row) == 10.0)
    assert both["type"] == "bytes"
    assert len(both["path"]) == 2  # one of the two ways


def test_a_cycle_is_told_once() -> None:
    ring: list[Any] = [bytes(4 * MB)]
    ring.append([ring, bytes(MB)])
    rows = inside({"ring": ring}, "ring")
    assert kept(rows[0]) == 5.0
    assert {edge: kept(row) for edge, row in edges(rows).items()} == {"[0]": 4.0, "[1]": 1.0}
    ring.clear()


def test_two_names_of_one_object_tell_the_same() -> None:
    made = store()
    names = {"one": made, "other": made}
    del made
    tables = walk(names, "one", "other")
    one, other = (holder["inside"] for holder in tables["holders"])
    assert one == other
    assert kept(one[0]) == 65.0


def test_what_others_reach_too_is_not_inside() -> None:
    frame = np.ones(2 * MB)
    names = {"frame": frame, "pair": [frame, bytes(7 * MB)]}
    del frame
    rows = inside(names, "pair")
    assert kept(rows[0]) == 7.0
    assert list(edges(rows)) == ["[1]"]
    assert kept(inside(names, "frame")[0]) == 16.0


def test_a_long_chain_and_very_many_objects_still_get_rows() -> None:
    chain: Any = None
    for number in range(100_000):
        chain = (chain, number + 1000)
    rows = inside({"chain": chain}, "chain")
    assert 100 < len(rows) < 900
    assert rows[1]["bytes"] > 0.99 * rows[0]["bytes"]
    while chain:
        chain = chain[0]
    many = [[float(n) for n in range(3000)] for _ in range(1000)]
    ((at, row),) = edges(inside({"many": many}, "many")).items()
    assert (at, row["type"], row["count"]) == ("", "list", 1000)


def test_a_graph_that_takes_too_many_passes_is_given_up() -> None:
    size = 20_000
    chains: list[list[list[Any]]] = [[[] for _ in range(size)] for _ in range(4)]
    w, x, y, z = chains
    top = [w[0], x[0], z[-1]]
    for at in range(size - 1):
        for one in (w, x, y, z):
            one[at].append(one[at + 1])
        z[at + 1].append(z[at])
    for at in range(size):
        w[at] += [y[at], y[-1]]
    x[-1].append(y[0])
    y[-1].append(z[0])
    del w, x, y, z, chains
    names = {"top": top}
    del top, one
    (holder,) = walk(names, "top")["holders"]
    assert holder["expr"] == "top"
    assert "inside" not in holder


@pytest.mark.parametrize("seed", range(12))
def test_kept_bytes_agree_with_taking_each_object_out(seed: int) -> None:
    graph = Graph(random.Random(seed))
    rows = inside(graph.names(), "top")
    own = {row["own"]: at for at, row in enumerate(rows) if row["type"] == "bytes"}
    for number in graph.own:
        at = rows[own[allocated(number)]]["parent"]  # the list in which those bytes lie
        assert rows[at]["bytes"] == graph.kept(number)
        above = rows[at]["parent"]
        assert (None if above is None else rows[above]["bytes"]) == graph.kept_above(number)


def allocated(number: int) -> int:
    return sys.getsizeof(contents(number)) + 15 & ~15


def contents(number: int) -> bytes:
    """Return bytes of a size that tells the number."""
    return bytes(100_000 + 16 * number)


class Graph:
    """Lists that refer to each other at random, each with bytes of a size of its own.

    Others hold some of the last ones; the rest is the top's own.
    """

    def __init__(self, chance: random.Random) -> None:
        self.below: list[list[int]] = []
        for at in range(NUMBER):
            near = range(at + 1, min(at + 4, NUMBER))  # rather a tree than a tangle
            targets = chance.sample(near, min(len(near), 2))
            if chance.random() < 0.4:
                targets.append(chance.randrange(0 if at < OTHERS else OTHERS, NUMBER))
            self.below.append(targets)
        self.held = chance.sample(range(OTHERS, NUMBER), 2)
        self.own = self.reached([0]) - self.reached(self.held)

    def names(self) -> dict[str, Any]:
        """Return the lists that are held, by name; nobody else refers to any."""
        nodes: list[list[Any]] = [[None] * (1 + len(targets)) for targets in self.below]
        for number, node in enumerate(nodes):
            node[:] = [contents(number), *(nodes[target] for target in self.below[number])]
        return {"top": nodes[0], **{f"other{at}": nodes[at] for at in self.held}}

    def reached(self, starts: list[int], *, without: int = -1) -> set[int]:
        seen: set[int] = set()
        pending = list(starts)
        while pending:
            number = pending.pop()
            if number not in seen and number != without:
                seen.add(number)
                pending += self.below[number]
        return seen

    def dominated(self, number: int) -> set[int]:
        return self.own - self.reached([0], without=number)

    def kept(self, number: int) -> int:
        sizes = {one: sys.getsizeof([None] * (1 + len(self.below[one]))) for one in self.own}
        return sum(allocated(one) + (sizes[one] + 15 & ~15) for one in self.dominated(number))

    def kept_above(self, number: int) -> int | None:
        """Return what is kept by the nearest other that keeps ``number``."""
        above = [one for one in self.own if one != number and number in self.dominated(one)]
        return min((self.kept(one) for one in above), default=None)
