"""Where an object lies in a list or tuple: by the native walker, and from Python."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from memprobe_probes import native_walker, places


class Row(list[Any]):
    def __getitem__(self, _: Any) -> Any:
        raise AssertionError("code of the user's was run")

    __iter__ = __getitem__


class Pair(NamedTuple):
    one: object
    other: object


@pytest.fixture(params=["native", "python"])
def engine(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each way to look in turn; what was there before is put back."""
    before = list(places._walker)
    module, reason = native_walker.load()
    if request.param == "native" and module is None:
        pytest.skip(f"no native walker here: {reason}")
    places.use(module if request.param == "native" else None)
    yield request.param
    places._walker[:] = before


def test_the_first_of_equal_objects_is_told_apart_by_its_address(engine: str) -> None:
    wanted, same = ["a"], ["a"]
    assert places.position([same, wanted, wanted], id(wanted)) == 1
    assert places.position((same, wanted), id(wanted)) == 1
    assert places.position(Pair(same, wanted), id(wanted)) == 1


def test_what_is_not_there_has_no_place(engine: str) -> None:
    assert places.position([], id(places)) is None
    assert places.position([None, 1], id(places)) is None


def test_classes_of_the_users_own_do_not_take_part(engine: str) -> None:
    wanted = object()
    assert places.position(Row([None, wanted]), id(wanted)) == 1


def test_a_long_list_is_read_to_its_end_by_the_walker_only(engine: str) -> None:
    wanted = object()
    long = [None] * places.MOST_LOOKED_AT + [wanted]
    expected = places.MOST_LOOKED_AT if engine == "native" else None
    assert places.position(long, id(wanted)) == expected
