"""How long a copy would pause the process, and that one slow copy does not end all others."""

from __future__ import annotations

from typing import Any

import pytest

from memprobe_probes import engines, native
from memprobe_probes.engines import AWAITED, Engines
from memprobe_probes.native import NS_PER_GIB, Native

GIB = 2**30
SLOW = 8_000_000_000  # ns


@pytest.fixture
def slow() -> Native:
    """An engine whose last copy took eight seconds; it has no walker."""
    made = object.__new__(Native)
    made._learn_pause(SLOW, GIB)
    return made


def test_what_a_copy_took_is_expected_of_the_next(slow: Native) -> None:
    assert slow.pause_of_copy(GIB) == SLOW
    assert slow.pause_of_copy(GIB // 2) == SLOW // 2


def test_a_slow_one_is_forgotten_but_not_what_any_copy_takes(slow: Native) -> None:
    taken = []
    while slow.pause_of_copy(GIB) > NS_PER_GIB:
        slow.declined()
        taken.append(slow.pause_of_copy(GIB))
    assert 5 < len(taken) < 30
    slow.declined()
    assert slow.pause_of_copy(GIB) == NS_PER_GIB


def test_the_walker_is_tried_again(slow: Native, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Engines({})
    monkeypatch.setattr(Engines, "_loaded", lambda self: slow)
    monkeypatch.setattr(engines, "_slices_keep_parents", lambda: False)
    monkeypatch.delenv("MEMPROBE_ENGINE", raising=False)
    usable: list[Any] = []
    while not (usable and usable[-1]):
        usable.append(one._usable(AWAITED, 250_000_000, GIB))
        assert len(usable) < 30
    assert usable[0] is None
    assert one.note is not None
    assert "would pause it for about" in one.note


def test_the_time_is_the_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy that waits for a processor is no slower one."""
    import time

    made = object.__new__(Native)
    made.walker, made._ns_per_gib = None, NS_PER_GIB
    monkeypatch.setattr(Native, "_prepared", lambda *_: (Asked(), None))
    monkeypatch.setattr(Native, "_packed", lambda *_, **__: ())
    monkeypatch.setattr(native, "Child", lambda *_: time.sleep(0.3))
    made.start([], set(), (), 10**9, GIB)
    assert made.pause_of_copy(GIB) < 100_000_000


class Asked:
    """A request without anything in it."""

    owned = ()

    def forget(self) -> None:
        """Have nothing to forget."""
