"""Which readings of Spark are worth a record."""

from __future__ import annotations

from typing import Any

import pytest

from memprobe_probes import spark_news
from memprobe_probes.spark_news import News

MB = 10**6


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(spark_news.time, "monotonic", lambda: now[0])
    return now


def reading(jvm: int | None = 500 * MB, python: int | None = 80 * MB, **more: Any) -> Any:
    row = {"id": "0", "active": True, "jvm_rss": jvm, "python_rss": python, "used": 5}
    return {"caches": [], "executors": [row], **more}


def news(*readings: Any) -> list[bool]:
    told = News()
    return [told.worth_writing(one, forced=False, after=60.0) for one in readings]


def test_the_same_again_is_none(clock: list[float]) -> None:
    assert news(reading(), reading(jobs=7), reading()) == [True, False, False]


def test_what_is_cached_and_who_executes_is_news(clock: list[float]) -> None:
    gone = reading()
    gone["executors"][0]["active"] = False
    assert news(reading(), reading(caches=[{"id": 1}]), gone) == [True, True, True]


def test_a_process_that_is_found_is_news(clock: list[float]) -> None:
    """A new executor's first reading comes before its process is found."""
    assert news(reading(None, None), reading(), reading()) == [True, True, False]


@pytest.mark.parametrize(("jvm", "python"), [(600 * MB, 80 * MB), (500 * MB, 110 * MB)])
def test_processes_that_grow_are_news(clock: list[float], jvm: int, python: int) -> None:
    assert news(reading(), reading(jvm, python)) == [True, True]


def test_slow_growth_adds_up(clock: list[float]) -> None:
    sizes = range(500 * MB, 1000 * MB, 20 * MB)
    assert 5 < sum(news(*map(reading, sizes))) < 12


def test_small_changes_are_none(clock: list[float]) -> None:
    assert news(reading(), reading(520 * MB, 90 * MB)) == [True, False]


def test_an_old_one_is_written_again(clock: list[float]) -> None:
    told = News()
    for at, new in ((0.0, True), (59.0, False), (61.0, True), (62.0, False)):
        clock[0] = 1000.0 + at
        assert told.worth_writing(reading(), forced=False, after=60.0) is new
    assert told.worth_writing(reading(), forced=True, after=60.0)
