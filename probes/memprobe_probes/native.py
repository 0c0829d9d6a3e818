"""Snapshots by the native walker: exact bytes for every holder, nobody waits for the walk.

What Python has to be asked is asked first (``native_request``); then a copy of the process is made
whose memory stands still, and the copy walks it.
"""

from __future__ import annotations

import gc
import sys
import time

from . import account_words, cycles, limits, places
from .native_answer import Answer, Incomplete, Tight
from .native_child import Child, Crashed, Hung
from .native_kinds import BYTEARRAY, DICT, INT, LIST, SET, STR, Classes, first
from .native_request import Request
from .native_rows import LEAST_GROUP, Rows, still_there
from .walk import TooLong, Walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from .roots import Root

SECONDS = 20  # that a copy gets
MOST_NODES = 400_000_000
BYTES_PER_OBJECT = 110  # of the walker's tables, at most
LEAST_OBJECT = 24  # bytes of the smallest one with the reference to it
SPARE = 64 << 20  # bytes of tables that are always allowed for
NS_PER_GIB = 60_000_000  # of a copy's page tables: first guess, replaced by what was measured
_FORGETTING = 0.8  # what is left of that time whenever it has kept a copy from being made
DESCRIBING_NS = 100_000_000  # for samples of texts, after the walk


class Native:
    """The native engine of one probe: what it knows of classes, and how long a copy takes."""

    def __init__(self, walker: Any) -> None:
        self.walker = walker
        places.use(walker)
        self.classes = Classes()
        self.classes.mistaken = _mistaken(walker)
        self.classes.learn(first())
        self.no_cycles, self.no_returned = walker.abilities(Native)
        self.opened: Sequence[str] = ()  # holders whose inside is asked for, by expression
        self._ns_per_gib: float = NS_PER_GIB
        self._copies_ns = 0

    def pause_of_copy(self, rss: int | None) -> int:
        """Return about how many ns a copy of a process of ``rss`` bytes takes."""
        return int((rss or 0) / 2**30 * self._ns_per_gib)

    def declined(self) -> None:
        """Note that no copy was made for what the last one took: the next may be quicker."""
        self._ns_per_gib = max(NS_PER_GIB, self._ns_per_gib * _FORGETTING)

    def at_rest(
        self, found: list[Root], stops: set[int], asked: Sequence[str], budget_ns: int
    ) -> dict[str, Any]:
        """Return the tables where nothing goes on meanwhile, as at a script's end.

        The roots' objects are kept until then. Even here a copy walks: should a library's type
        crash it, the program ends as it would have. Raises ``Incomplete``, ``TooLong``, OSError.
        """
        request, walk = self._prepared(found, stops, asked, budget_ns)
        try:
            collects = cycles.is_idle() or gc.get_freeze_count() > 0
            packed = self._packed(request, True, collect=collects)
            child = Child(self.walker, packed, SECONDS, account_words.known(request.owned))
            try:
                child.wait(SECONDS + 2.0)
                answer = child.answer()
            finally:
                child.close()
                self.account(child)
            walk.deadline = time.thread_time_ns() + DESCRIBING_NS
            return self._tables(answer, request, walk, found, list(request.objects))
        finally:
            request.forget()

    def here(
        self, found: list[Root], stops: set[int], asked: Sequence[str], budget_ns: int
    ) -> dict[str, Any]:
        """Walk in this process itself, for comparison. Raises ``Incomplete`` or ``TooLong``."""
        request, walk = self._prepared(found, stops, asked, budget_ns)
        try:
            answer = Answer(self.walker.here(self._packed(request, False)))
            walk.deadline = time.thread_time_ns() + DESCRIBING_NS
            return self._tables(answer, request, walk, found, list(request.objects))
        finally:
            request.forget()

    def start(
        self, found: list[Root], stops: set[int], asked: Sequence[str], budget_ns: int,
        rss: int | None,
    ) -> Job:  # fmt: skip
        """Make the copy that walks. Raises ``Incomplete``, ``TooLong`` or OSError."""
        request, walk = self._prepared(found, stops, asked, budget_ns)
        try:
            packed = self._packed(request, True, rss=rss)  # its lists are emptied below
            # Its CPU time: on a busy machine, or a starved process, whatever one does takes longer.
            began = time.thread_time_ns()
            child = Child(self.walker, packed, SECONDS, account_words.known(request.owned))
            self._learn_pause(time.thread_time_ns() - began, rss)
        finally:
            request.forget()
        return Job(self, child, request, walk, found)

    def account(self, child: Child) -> None:
        """Add what a copy has cost, once."""
        self._copies_ns += child.cpu_ns
        child.cpu_ns = 0

    def copies_ns(self) -> int:
        """Return the CPU time (ns) of the copies that have ended since this was last asked."""
        spent, self._copies_ns = self._copies_ns, 0
        return spent

    def _prepared(
        self, found: list[Root], stops: set[int], asked: Sequence[str], budget_ns: int
    ) -> tuple[Request, Walk]:
        walk = Walk(stops, time.thread_time_ns() + budget_ns)
        objects = [root.take() for root in found]
        request = Request(self.walker, walk, self.classes, objects, stops)
        request.look_around(SPARE)
        request.ask_for_parts(found, asked)
        request.open(found, self.opened)
        return request, walk

    def _packed(
        self, request: Request, copied: bool, *, collect: bool = True, rss: int | None = None
    ) -> tuple[Any, ...]:
        return request.packed(
            most_nodes=MOST_NODES, memory=_memory(copied, rss), milliseconds=SECONDS * 800,
            least_group=LEAST_GROUP, collect=copied or cycles.may_stay(), simulate=True,
        )  # fmt: skip

    def _learn_pause(self, took: int, rss: int | None) -> None:
        if rss and rss > 2**28:
            self._ns_per_gib = max(10_000_000.0, took / (rss / 2**30))

    def _tables(
        self, answer: Answer, request: Request, walk: Walk, found: list[Root], live: list[Any]
    ) -> dict[str, Any]:
        self._learn_names(answer)
        for number, parts in request.parts_of(answer.asked).items():
            found[number].facts["parts"] = parts
        tables: dict[str, Any] = Rows(answer, request, walk, found, live).tables()
        tables["account"] = answer.account
        return tables

    def _learn_names(self, answer: Answer) -> None:
        """Look up the classes that only the walk has met: in the list of all, never by address."""
        wanted = {row[0] for row in answer.unknown}
        if wanted:
            self.classes.learn([cls for cls in _all_classes() if id(cls) in wanted])


class Job:
    """A snapshot on its way."""

    def __init__(
        self, native: Native, child: Child, request: Request, walk: Walk, found: list[Root]
    ) -> None:
        self._native = native
        self._child = child
        self._request = request
        self._walk = walk
        self._found = found

    def wait(self, seconds: float) -> bool:
        """Wait up to so long; return whether it is done."""
        return self._child.wait(seconds)

    def tables(self, again: Callable[[], list[Root]]) -> dict[str, Any]:
        """Return the tables. ``again`` lists the roots as they are now. Raises ``Incomplete``."""
        try:
            answer = self._child.answer()
        finally:
            self._native.account(self._child)
        live = still_there(answer, self._found, again())
        self._walk.deadline = time.thread_time_ns() + DESCRIBING_NS
        return self._native._tables(answer, self._request, self._walk, self._found, live)

    def close(self) -> None:
        """Give it up."""
        self._child.close()
        self._native.account(self._child)


def _memory(copied: bool, rss: int | None = None) -> int:
    """Return how many bytes the tables may take. Raises ``Tight`` where that is too few.

    The copy's tables, and the pages that the program writes to meanwhile, must not drive the
    process over its limit: where it is tight there is no copy. ``rss``: of this process in bytes;
    where even that many bytes of small objects would do, nobody waits until they are counted.
    """
    bound, used = limits.effective()["effective"], limits.used()
    spare = None if bound is None or used is None else bound - used
    need = (rss or 0) // LEAST_OBJECT * BYTES_PER_OBJECT + SPARE
    if not rss or spare is None or need > spare // (2 if copied else 1):
        need = sys.getallocatedblocks() * BYTES_PER_OBJECT + SPARE
    if spare is None:
        return 2 * need
    if need > spare // (2 if copied else 1):
        raise Tight(f"its tables may take {need >> 20} MiB, and {max(0, spare) >> 20} MiB are free")
    return int(min(2 * need, spare // 2))


def _mistaken(walker: Any) -> set[int]:
    """Return the sizers that do not agree with Python itself."""
    samples: tuple[tuple[int, Any], ...] = (
        (INT, 5), (INT, 1 << 200), (STR, "text"), (STR, "tëxt"), (STR, "テキスト"),
        (LIST, [1, 2, 3]), (DICT, {"a": 1}), (DICT, {1: 1, 2: 2}),
        (DICT, dict.fromkeys(range(500))), (SET, {1, 2}), (SET, set(range(500))),
        (BYTEARRAY, bytearray(300)),
    )  # fmt: skip
    return {sizer for sizer, one in samples if walker.size(one, sizer) != sys.getsizeof(one)}


def _all_classes() -> list[type]:
    below = type.__dict__["__subclasses__"].__get__
    found: list[type] = [object]
    seen = {id(object)}
    for cls in found:
        for one in type.__subclasses__(cls) if cls is type else below(cls)():
            if id(one) not in seen:
                seen.add(id(one))
                found.append(one)
    return found


__all__ = ["Crashed", "Hung", "Incomplete", "Job", "Native", "Tight", "TooLong"]
