"""Having a process run a short text at its next safe point, and taking the request back.

The algorithm: everything is found out while the target runs; then all of its threads stand still
for a moment in which a text, one entry of its ring of pending calls and the
flags are written; then it goes on and runs the entry by itself, with the GIL, between two of its
own instructions.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from memprobe.targets.main_thread import MainThread
from memprobe.targets.pending import tracing
from memprobe.targets.pending.address_space import Memory, read_maps
from memprobe.targets.pending.bootstrap_text import author_of
from memprobe.targets.pending.layout import Layout
from memprobe.targets.pending.refusal import Queued, Refused
from memprobe.targets.pending.ring import Busy, Ring
from memprobe.targets.pending.runtime import Runtime, find_runtime
from memprobe.targets.pending.scratch import cache_folder, layout_of
from memprobe.targets.pending.text_area import TextArea, areas

BACK_OFF = (0.001, 0.25)  # seconds between two attempts: at first, at most
LOOK = 0.002  # seconds between two looks at whether it was taken
NUDGE = 0.1  # seconds after which we look whether the request was noticed
WAKE = 0.05  # seconds between the first two wake-ups of a main thread that waits for a lock
LONGEST_PAUSE = 2.0  # seconds between later ones
MOST_AREAS = 8  # places for a text that are looked for: there may be hundreds
TRACED = 1.0  # seconds for which another tracer may be there
GIVE_UP = 10.0  # seconds for withdrawing: longer, only a target that never stands still takes
_START_OF_HEAP = 44  # of /proc/PID/stat after the command's name


class Failed(Exception):
    """The target took the entry, and what that does was not seen in time."""


class Injector:
    """A way to run texts in process ``pid``. Raises Refused, before anything is written.

    Close it afterwards. ``kept_in``: where what was found out about Pythons is kept.
    """

    def __init__(self, pid: int, kept_in: Path | None = None) -> None:
        self.pid = pid
        self.stopped: list[float] = []  # seconds that the target stood still, each time
        self.memory = _opened(pid)
        try:
            self._maps = read_maps(pid)
            self.runtime: Runtime = find_runtime(self._maps, self.memory.read)
            self.layout: Layout = layout_of(pid, self.runtime, kept_in or cache_folder())
            self._ring = self._found_ring()
            heap = _start_of_heap(pid)
            found = filter(self._is_ours, areas(self._maps, self.memory, self.runtime, heap))
            self._areas: list[TextArea] = list(itertools.islice(found, MOST_AREAS))
        except OSError as error:
            self.memory.close()
            raise _unreadable(pid, error) from None
        except BaseException:
            self.memory.close()
            raise

    def close(self) -> None:
        """Close the target's memory."""
        self.memory.close()

    def run(
        self, text: bytes, seen: Callable[[], bool], timeout: float,
        waiting: Callable[[str], None] = lambda where: None,
    ) -> None:  # fmt: skip
        """Have the target run ``text``, until ``seen`` tells that it did.

        ``timeout`` in seconds. ``waiting`` is called with where the main thread is while the
        request waits; it may raise to give up. Raises Queued when it was not taken in time, Failed
        when it was and ``seen`` tells nothing, Refused where it could not be asked for. A request
        that was not taken is withdrawn, and the place of its text is free again.
        """
        deadline = time.monotonic() + timeout
        main = MainThread(self.pid)
        area = self._post(text, deadline, lambda: waiting(main.where()))
        try:
            self._await(area, seen, deadline, main, waiting)
        except BaseException:
            self._withdraw(area)
            raise
        with contextlib.suppress(OSError):
            self._clear(area)

    def _post(self, text: bytes, deadline: float, waiting: Callable[[], None]) -> TextArea:
        """Write the request as soon as the target allows it; return where its text is."""
        fitting = [area for area in self._areas if len(text) + 2 <= area.room]
        if not fitting:
            raise Refused("there is no room for a text in its memory")
        pause, traced_until = BACK_OFF[0], time.monotonic() + TRACED
        while True:
            try:
                return self._post_now(text, fitting)
            except (Busy, tracing.CannotStop) as reason:
                why = str(reason)
            except tracing.Denied as reason:
                why = str(reason.strerror)
                if time.monotonic() > traced_until:  # no other memprobe, which is quick
                    raise Refused(why, "end the debugger or tracer, then try again") from None
            if time.monotonic() > deadline:
                raise Queued(f"it could not be asked: {why}")
            waiting()
            time.sleep(pause)
            pause = min(pause * 2, BACK_OFF[1])

    def _post_now(self, text: bytes, fitting: list[TextArea]) -> TextArea:
        with self._stop():
            self._ring.check_still()
            for area in fitting:
                if not self._is_free(area):
                    continue
                self.memory.write(area.address, text + b"\0")
                try:
                    self._ring.add(self.runtime.run, area.address)
                except BaseException:
                    self.memory.write(area.address, bytes(len(text)))
                    raise
                return area
        raise Busy("another memprobe is just entering")

    def _is_ours(self, area: TextArea) -> bool:
        """Whether a place is empty, or holds what a memprobe wrote: only these are ever used."""
        found = self.memory.read(area.address, area.room)
        return not found.strip(b"\0") or author_of(found) is not None

    def _is_free(self, area: TextArea) -> bool:
        """Whether nobody uses a place; a text that was left by a memprobe that died is none."""
        found = self.memory.read(area.address, area.room)
        if not found.strip(b"\0"):
            return True
        author = author_of(found)
        if author is None or os.path.exists(f"/proc/{author}") or self._ring.holds(area.address):
            return False
        self._clear(area)
        return True

    def _await(
        self, area: TextArea, seen: Callable[[], bool], deadline: float, main: MainThread,
        waiting: Callable[[str], None],
    ) -> None:  # fmt: skip
        next_nudge = told = time.monotonic() + NUDGE
        pause = WAKE
        while not seen():
            now = time.monotonic()
            if now > deadline:
                raise Queued(main.where()) if self._is_waiting(area) else Failed(main.where())
            if now > next_nudge and self._is_waiting(area):
                self._nudge(area)
                next_nudge, pause = now + pause, min(pause * 2, LONGEST_PAUSE)
            if now > told:
                waiting(main.where())
                told = now + NUDGE
            time.sleep(LOOK)

    def _is_waiting(self, area: TextArea) -> bool:
        try:
            return self._ring.holds(area.address)
        except Busy:
            return True
        except OSError:
            raise _ended() from None

    def _nudge(self, area: TextArea) -> None:
        """Point at the request again where that got lost in a race of the target's own flags.

        A main thread that waits for a lock is woken up: it serves the ring before it waits on.
        Otherwise nothing helps but to wait, and every stop might disturb a call.
        """
        wakes = _waits_for_lock(self.pid)
        if not wakes and self._ring.has_attention():
            return
        with contextlib.suppress(Busy, tracing.CannotStop, tracing.Denied), self._stop() as stop:
            self._ring.check_still()
            if self._ring.holds(area.address):
                self._ring.call_attention()
                if wakes:
                    stop.interrupt_wait(self.pid)

    def _withdraw(self, area: TextArea) -> None:
        """Take the entry out of the ring and free its text; what has ended is let be.

        Where the entry has been taken already, the text stays: it may be read just now.
        """
        deadline = time.monotonic() + GIVE_UP
        while time.monotonic() < deadline:
            try:
                with self._stop():
                    self._ring.check_still()
                    if self._ring.withdraw(area.address, area.address + area.room - 1):
                        self._clear(area)
                return
            except (Busy, tracing.CannotStop, tracing.Denied):
                time.sleep(BACK_OFF[0])
            except (OSError, Refused):
                return  # it has ended

    def _clear(self, area: TextArea) -> None:
        """Zero the text, its first byte last: that one says whether the place is in use."""
        self.memory.write(area.address + 1, bytes(area.room - 1))
        self.memory.write(area.address, b"\0")

    def _found_ring(self) -> Ring:
        for _ in range(100):
            with contextlib.suppress(Busy):
                return Ring(self.memory, self._maps, self.runtime.state, self.layout)
        raise Refused("its ring of pending calls is not built as expected")

    @contextlib.contextmanager
    def _stop(self) -> Iterator[tracing.Stop]:
        stop = tracing.Stop(self.pid)
        collects = gc.isenabled()
        gc.disable()
        try:
            with stop:
                yield stop
        except tracing.Gone:
            raise _ended() from None
        finally:
            if collects:
                gc.enable()
            self.stopped.append(stop.seconds)


def _ended() -> Refused:
    return Refused(
        "it has ended, or runs another program now", "memprobe ps lists what can be attached to"
    )


def _opened(pid: int) -> Memory:
    try:
        return Memory(pid)
    except OSError as error:
        raise _unreadable(pid, error) from None


def _unreadable(pid: int, error: OSError) -> Refused:
    from memprobe.targets.rights import why_not

    return why_not(pid, error)


def _start_of_heap(pid: int) -> int | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[_START_OF_HEAP])
    except (OSError, IndexError, ValueError):
        return None


def _waits_for_lock(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/task/{pid}/syscall", encoding="ascii") as file:
            return file.read().split()[:1] == ["202"]
    except OSError:
        return False
