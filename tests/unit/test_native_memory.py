"""How much memory the walker's tables may take, and when blocks are counted for that."""

from __future__ import annotations

import sys

import pytest

from memprobe_probes import limits, native
from memprobe_probes.native_answer import Tight

GIB = 2**30


class Host:
    """Sets what the limits and Python's allocator say; counts how often the latter was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked = 0
        self.blocks = 1_000_000
        self._patch = monkeypatch
        monkeypatch.setattr(sys, "getallocatedblocks", self._count)
        self.spare(None)

    def spare(self, spare: int | None) -> None:
        bound = None if spare is None else 10 * GIB + spare
        self._patch.setattr(limits, "effective", lambda: {"effective": bound})
        self._patch.setattr(limits, "used", lambda: 10 * GIB)

    def _count(self) -> int:
        self.asked += 1
        return self.blocks


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(monkeypatch)


def test_where_there_is_room_for_any_heap_nothing_is_counted(host: Host) -> None:
    host.spare(20 * GIB)
    allowed = native._memory(True, GIB)
    assert host.asked == 0
    assert GIB // 24 * native.BYTES_PER_OBJECT < allowed <= 10 * GIB


def test_where_it_could_be_tight_the_blocks_decide(host: Host) -> None:
    host.spare(6 * GIB)
    need = host.blocks * native.BYTES_PER_OBJECT + native.SPARE
    assert native._memory(True, 2 * GIB) == 2 * need
    assert host.asked == 1
    host.blocks = 100_000_000
    with pytest.raises(Tight, match="MiB are free"):
        native._memory(True, 2 * GIB)


@pytest.mark.parametrize(("spare", "rss"), [(None, GIB), (20 * GIB, None)])
def test_what_is_not_known_is_counted(host: Host, spare: int | None, rss: int | None) -> None:
    host.spare(spare)
    need = host.blocks * native.BYTES_PER_OBJECT + native.SPARE
    assert native._memory(True, rss) == 2 * need
    assert host.asked == 1
