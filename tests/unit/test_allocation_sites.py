"""Where objects of a snapshot were allocated, by tracemalloc in this very process."""

from __future__ import annotations

import os
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest
from walked import groups

from memprobe_probes import allocation_sites

HERE = Path(__file__).name


@pytest.fixture
def traced() -> Iterator[None]:
    assert not tracemalloc.is_tracing()
    tracemalloc.start(5)
    yield
    tracemalloc.stop()


@pytest.fixture
def places() -> Iterator[None]:
    allocation_sites.places_wanted = True
    yield
    allocation_sites.places_wanted = False


def line_of(mark: str) -> int:
    """Return the line of this file that ends in the comment ``mark``."""
    lines = Path(__file__).read_text().splitlines()
    return next(at for at, text in enumerate(lines, 1) if text.endswith(f"# {mark}"))


def largest(names: dict[str, Any]) -> dict[str, Any]:
    """Return the group with most of the bytes below ``names``."""
    return max(groups(names).values(), key=lambda group: int(group["bytes"]))


def fill(count: int) -> list[dict[str, int]]:
    rows = []
    for number in range(count):
        rows.append({"n": number, "double": 2 * number})  # filled here
    return rows


def test_an_object_knows_its_own_line(traced: None) -> None:
    made = numpy.ones(200_000)  # made here
    assert allocation_sites.sites_of(made, 7) == [
        {"file": HERE, "line": line_of("made here"), "function": None, "bytes": 7, "cell": None}
    ]


def test_nothing_is_known_while_nobody_traces() -> None:
    assert allocation_sites.sites_of([1]) == []
    assert allocation_sites.traced_frames() is None
    assert not allocation_sites.wanted()
    found = largest({"rows": fill(20_000)})
    assert found["bytes"] > 4_000_000
    assert "sites" not in found
    assert "places" not in found


def test_nothing_is_known_of_what_was_there_before() -> None:
    before = [object()]
    tracemalloc.start()
    try:
        assert allocation_sites.sites_of(before) == []
    finally:
        tracemalloc.stop()


def test_a_big_list_is_told_by_its_elements(traced: None) -> None:
    found = largest({"rows": fill(20_000)})
    assert found["bytes"] > 4_000_000
    first = found["sites"][0]
    assert (first["file"], first["line"]) == (HERE, line_of("filled here"))
    # An empty list may come from those that Python keeps at hand: older than the tracing.
    told = sum(site["bytes"] for site in found["sites"])
    assert 0.9 * found["bytes"] < told <= found["bytes"]


def test_arrays_in_a_list_are_told_by_their_owners(traced: None) -> None:
    kept = [numpy.ones(200_000) for _ in range(3)]  # first three
    kept += [numpy.ones(600_000)]  # the big one
    found = largest({"kept": kept})
    told = {site["line"]: site["bytes"] for site in found["sites"]}
    assert told[line_of("first three")] == pytest.approx(4_800_000, rel=0.01)
    assert told[line_of("the big one")] == pytest.approx(4_800_000, rel=0.01)


class Hostile:
    """A class of the user's in which everything that could run does something."""

    __slots__ = ("data",)  # of instances with a dict, Python 3.11 does not know the place
    ran: list[str] = []  # noqa: RUF012

    def __init__(self) -> None:
        object.__setattr__(self, "data", bytearray(3_000_000))

    def __getattribute__(self, name: str) -> Any:
        Hostile.ran.append(name)
        return object.__getattribute__(self, name)

    def __sizeof__(self) -> int:
        Hostile.ran.append("__sizeof__")
        return 1

    def __len__(self) -> int:
        Hostile.ran.append("__len__")
        return 1

    def __eq__(self, other: object) -> bool:
        Hostile.ran.append("__eq__")
        return True

    __hash__ = object.__hash__


def test_no_code_of_the_users_runs(traced: None, places: None) -> None:
    made = Hostile()
    Hostile.ran.clear()
    assert allocation_sites.sites_of(made)
    found = largest({"made": made})
    assert found["sites"]
    assert found["places"]
    assert Hostile.ran == []


def test_places_are_where_the_data_lies(places: None) -> None:
    array = numpy.ones(500_000)
    found = largest({"array": array})
    address = array.__array_interface__["data"][0]
    assert [address, array.nbytes, array.nbytes] in found["places"]


def test_the_table_of_a_list_is_known_by_its_exact_size(places: None) -> None:
    rows = fill(40_000)
    found = largest({"rows": rows})
    table = sys.getsizeof(rows) - sys.getsizeof([])
    assert [0, table] in [place[:2] for place in found["places"]]
    stands_for = sum(place[2] for place in found["places"])
    assert stands_for == pytest.approx(found["bytes"], rel=0.02)


def test_of_a_group_a_few_objects_stand_for_all(places: None) -> None:
    kept = [bytes(50_000) for _ in range(300)]
    found = largest({"kept": kept})
    assert len(found["places"]) <= allocation_sites.LARGEST + allocation_sites.DRAWN
    assert sum(place[2] for place in found["places"]) == pytest.approx(found["bytes"], rel=0.02)
    addresses = {id(one) for one in kept}
    assert sum(place[0] in addresses for place in found["places"]) > 20


def test_what_stands_for_others_is_drawn_by_its_bytes(traced: None) -> None:
    kept: list[Any] = [bytes(100) for _ in range(3000)]
    kept += [bytearray(400_000) for _ in range(20)]  # twenty
    kept += [bytearray(400_000) for _ in range(40)]  # forty
    told = {site["line"]: site["bytes"] for site in largest({"kept": kept})["sites"]}
    assert told[line_of("twenty")] == pytest.approx(8_000_000, rel=0.15)
    assert told[line_of("forty")] == pytest.approx(16_000_000, rel=0.15)
    assert len(told) == 2 or min(told.values()) < 500_000


def test_live_objects_alone_give_the_same(traced: None, places: None) -> None:
    rows = fill(20_000)
    found = allocation_sites.of_objects([(rows, 5_000_000)])
    assert found["sites"][0]["line"] == line_of("filled here")
    assert sum(place[2] for place in found["places"]) == pytest.approx(5_000_000, rel=0.02)


def test_the_tracer_is_not_imported_where_nobody_can_have_started_it() -> None:
    kept = {name: sys.modules.pop(name) for name in ("tracemalloc", "_tracemalloc")
            if name in sys.modules}  # fmt: skip
    try:
        assert "PYTHONTRACEMALLOC" not in os.environ
        assert allocation_sites.traced_frames() is None
        assert "_tracemalloc" not in sys.modules
    finally:
        sys.modules.update(kept)
