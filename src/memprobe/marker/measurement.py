"""The looks at memory around the rounds of one test, and what they say together."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import memprobe
from memprobe_probes import held, roots
from memprobe_probes.sampler import Counters
from memprobe_probes.walk import TooLong

LONGEST_LOOK = 20.0  # seconds of CPU time; nobody waits as in a notebook
MOST_COLLECTIONS = 5
_OWN = os.path.dirname(memprobe.__file__) + os.sep


@dataclass
class Measurement:
    """One test's looks: before it, and after each of its rounds.

    What fixtures of a wider scope bring along while the test runs is not the test's: ``brought``
    is left out of what it retained. ``trouble`` says why there is nothing to judge.
    """

    own: frozenset[int] = frozenset()  # ids of objects that the framework writes to, not the test
    before: held.Held | None = None
    after: list[held.Held] = field(default_factory=list)
    brought: dict[held.Key, float] = field(default_factory=dict)
    rss: list[int | None] = field(default_factory=list)
    trouble: str = ""

    def begin(self) -> None:
        """Take the look before the test, once."""
        if self.before is None and not self.trouble:
            self.before = self._look(None)

    def end_round(self) -> None:
        """Take the look after a round."""
        found = self._look(self.after[-1] if self.after else self.before)
        if found is not None:
            self.after.append(found)

    @contextmanager
    def not_its_own(self) -> Iterator[None]:
        """Remember what the block brings: a wider fixture that is made while the test runs."""
        before = self._look(None)
        try:
            yield
        finally:
            after = self._look(None)
            if before is not None and after is not None:
                for key, grown in held.increase(before.shares, after.shares).items():
                    self.brought[key] = self.brought.get(key, 0.0) + grown

    @property
    def retained(self) -> dict[held.Key, float]:
        """Bytes by holders that the first run left behind."""
        assert self.before is not None
        found = held.increase(self.before.shares, self.after[0].shares)
        own = {key: grown - self.brought.get(key, 0.0) for key, grown in found.items()}
        return {key: grown for key, grown in own.items() if grown >= 1}

    def growth(self) -> tuple[float, dict[held.Key, float]]:
        """Return the bytes that every round added at least, and the last round's by holders.

        A cache with a bound is left out: it fills up, and then it grows no more.
        """
        rounds = [self._added(number) for number in range(1, len(self.after))]
        steady = set.intersection(*(set(added) for added in rounds))
        by_holder = min(sum(added[key] for key in steady) for added in rounds)
        in_all = min(self._net(number) for number in range(1, len(self.after)))
        grown = max(by_holder, in_all, 0.0)
        last = rounds[-1] if grown else {}
        return grown, {key: last[key] for key in last if key in steady or in_all > by_holder}

    def _added(self, number: int) -> dict[held.Key, float]:
        before, after = self.after[number - 1], self.after[number]
        found = held.increase(before.shares, after.shares)
        return {key: grown for key, grown in found.items() if not after.is_bounded(key)}

    def _net(self, number: int) -> float:
        before, after = self.after[number - 1], self.after[number]
        found = held.changes(before.shares, after.shares)
        return sum(change for key, change in found.items() if not after.is_bounded(key))

    def _look(self, since: held.Held | None) -> held.Held | None:
        if self.trouble:
            return None
        try:
            _collect()
            self.rss.append(_resident())
            found = [root for root in roots.script_roots() if not self._is_ours(root)]
            return held.look(found, roots.stop_ids(), int(LONGEST_LOOK * 1e9), since)
        except TooLong as reason:
            self.trouble = str(reason)
        except Exception as error:  # the test is not to blame for what fails in here
            self.trouble = f"memprobe failed: {type(error).__name__}: {error}"
        return None

    def _is_ours(self, root: roots.Root) -> bool:
        place = str(root.facts.get("file", ""))
        return id(root.obj) in self.own or place.startswith(_OWN)


def _collect() -> None:
    """Collect until nothing more comes: a finaliser may have made new garbage."""
    for _ in range(MOST_COLLECTIONS):
        if not gc.collect():
            return


def _resident() -> int | None:
    counters = Counters()
    try:
        return counters.rss()
    finally:
        counters.close()
