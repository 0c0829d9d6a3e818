"""Snapshots of two threads: one at a time, the youngest last, and nobody waits for itself."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from memprobe_probes import bootstrap, measure
from memprobe_probes.measure import Probe

PATIENCE = 20.0  # seconds


@pytest.fixture
def probe(tmp_path: Path) -> Iterator[Probe]:
    spool = str(tmp_path / "a.memprobe")
    made = Probe({**bootstrap._DEFAULTS, "session": "s", "folder": "", "spool": spool})
    yield made
    made.abandon()


class Slow:
    """Stands for the engines: the first snapshot takes until ``go`` is set."""

    def __init__(self, probe: Probe, meanwhile: Callable[[], object] | None = None) -> None:
        self.begun, self.go = threading.Event(), threading.Event()
        self._take = probe._engines.take
        self._meanwhile = meanwhile
        probe._engines.take = self  # type: ignore[method-assign,assignment]

    def __call__(self, *args: Any) -> dict[str, Any] | None:
        if not self.begun.is_set():
            self.begun.set()
            if self._meanwhile is not None:
                self._meanwhile()
            else:
                assert self.go.wait(PATIENCE)
        return self._take(*args)


class Late:
    """A copy that never comes to its end."""

    closed = False

    def wait(self, seconds: float) -> bool:
        return False

    def close(self) -> None:
        self.closed = True


def recorded(probe: Probe) -> list[str]:
    """Return the reasons of the snapshots and the events, as they stand in the recording."""
    records = [json.loads(line) for line in Path(probe.recorder.path).read_bytes().splitlines()]
    told = [one for one in records if one["kind"] in ("snapshot", "event")]
    return [str(one.get("reason") or one["event"]) for one in told]


def beside(probe: Probe, slow: Slow) -> threading.Thread:
    """Start a snapshot in a thread of its own; return when it is under way."""
    older = threading.Thread(target=probe.snapshot, args=("marker",), daemon=True)
    older.start()
    assert slow.begun.wait(PATIENCE)
    return older


def test_the_one_that_is_asked_for_last_is_the_last_in_the_recording(probe: Probe) -> None:
    slow = Slow(probe)
    older = beside(probe, slow)
    asked = threading.Thread(target=probe.snapshot, args=("request",), daemon=True)
    asked.start()
    asked.join(0.2)  # without a turn it would be through by then
    slow.go.set()
    older.join(PATIENCE)
    asked.join(PATIENCE)
    assert recorded(probe) == ["marker", "request"]


def test_the_programs_own_work_does_not_wait(probe: Probe) -> None:
    slow = Slow(probe)
    older = beside(probe, slow)
    assert not probe.snapshot("interval", on_user_thread=True)
    slow.go.set()
    older.join(PATIENCE)
    assert recorded(probe) == ["marker"]


def test_a_wait_in_vain_is_recorded(probe: Probe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "LONGEST_TURN", 0.05)
    slow = Slow(probe)
    older = beside(probe, slow)
    assert not probe.snapshot("request")
    slow.go.set()
    older.join(PATIENCE)
    assert recorded(probe) == ["snapshot-missed", "marker"]


def test_a_collection_in_the_midst_of_a_snapshot_does_not_wait_for_it(probe: Probe) -> None:
    answers: list[bool] = []
    Slow(probe, lambda: answers.append(probe.snapshot("threshold")))
    assert probe.snapshot("request")
    assert answers == [False]
    assert [one for one in recorded(probe) if one != "snapshot-missed"] == ["request"]


def test_after_a_snapshot_it_is_anybodys_turn(probe: Probe) -> None:
    def fails(*args: Any) -> None:
        raise KeyboardInterrupt

    probe._engines.take, take = fails, probe._engines.take  # type: ignore[method-assign,assignment]
    with pytest.raises(KeyboardInterrupt):
        probe.snapshot("request")
    probe._engines.take = take  # type: ignore[method-assign]
    assert probe.snapshot("request")
    assert recorded(probe) == ["request"]


def test_what_cannot_wait_takes_the_place_of_one_on_its_way(
    probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = Late()
    probe._engines.job = late  # type: ignore[assignment]
    probe._late = ({"reason": "interval"}, 0)
    assert not probe.snapshot("threshold", on_user_thread=True)
    assert probe.snapshot("exit", on_user_thread=True, unhurried=True)
    assert recorded(probe) == ["exit"]
    assert late.closed
