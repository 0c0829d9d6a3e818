"""The ring of pending calls in a process: looking at it, adding an entry, taking it out again.

Writing is allowed only while all threads stand still. What is looked at before: the lock is free,
the numbers fit, there is room, and nobody else has an entry of ours there.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from memprobe.targets.pending.address_space import Mapping, Memory, mapping_of
from memprobe.targets.pending.layout import Layout
from memprobe.targets.pending.refusal import Refused

_MOST, _MOST_LOOP = 300, 100  # 3.13: max and maxloop
_CALLS_TO_DO = 1 << 2  # 3.13: the bit in a thread's eval breaker
_LARGEST_RECURSION = 1 << 31


class Busy(Exception):
    """It cannot be written now; in a moment it can."""


@dataclass(frozen=True)
class State:
    """What is in the ring: numbers of slots, the waiting entries, and their count (3.13)."""

    first: int
    next: int
    waiting: tuple[tuple[int, int], ...]  # function, argument
    count: int | None


class Ring:
    """The ring of the main interpreter of a process. Raises Refused where anything is in doubt."""

    def __init__(self, memory: Memory, maps: list[Mapping], runtime: int, layout: Layout) -> None:
        self._memory = memory
        self._layout = layout
        self._runtime = runtime
        self._maps = maps
        self._interpreter = self._main_interpreter()
        self.state()

    def state(self) -> State:
        """Return what is in it. Raises Refused where the numbers do not fit."""
        layout = self._layout
        first, following = struct.unpack("<2i", self._memory.read(self._at(layout.first), 8))
        if not (0 <= first < layout.slots and 0 <= following < layout.slots):
            raise Refused("its ring of pending calls is not where it was expected")
        count = self._count(first, following)
        length = (following - first) % layout.slots
        if not length and count:
            length = layout.slots  # 3.13 fills every slot
        waiting = tuple(self._slot((first + step) % layout.slots) for step in range(length))
        return State(first, following, waiting, count)

    def check_still(self) -> None:
        """Check that no thread was in the middle of changing it. Raises Busy or Refused."""
        if self._main_interpreter() != self._interpreter:
            raise Refused("its interpreter is not the same any more")
        layout = self._layout
        if layout.counts:
            if self._memory.read(self._at(layout.lock), 1) != b"\0":
                raise Busy("its ring is locked")
            return
        lock = self._memory.number(self._at(layout.lock), 8)
        mapping = mapping_of(self._maps, lock)
        if lock % 4 or mapping is None or not mapping.is_private_data:
            raise Refused("the lock of its ring is not where it was expected")
        semaphore = self._memory.number(lock, 8)
        if semaphore & 0xFFFFFFFF > 1:
            raise Refused("the lock of its ring is of another kind")
        if semaphore != 1:
            raise Busy("its ring is locked")

    def add(self, function: int, argument: int) -> None:
        """Add an entry; only while all threads stand still, and after ``check_still``.

        Raises Busy where it is full or holds that entry already.
        """
        layout, state = self._layout, self.state()
        following = (state.next + 1) % layout.slots
        full = state.count == _MOST if state.count is not None else following == state.first
        if full:
            raise Busy("its ring is full")
        if any(waiting[1] == argument for waiting in state.waiting):
            raise Busy("a request waits there already")
        entry = struct.pack("<QQ", function, argument).ljust(layout.slot, b"\0")
        self._memory.write(self._at(layout.ring + state.next * layout.slot), entry)
        self._memory.write(self._at(layout.first + 4), struct.pack("<i", following))
        if state.count is not None:
            self._memory.write(self._at(layout.calls), struct.pack("<i", state.count + 1))
        self.call_attention()

    def call_attention(self) -> None:
        """Have the interpreter look into its ring; only while all threads stand still."""
        layout = self._layout
        if not layout.counts:
            self._memory.write(self._at(layout.calls), struct.pack("<i", 1))
            self._memory.write(self._at(layout.breaker), struct.pack("<i", 1))
            return
        at = self._running_thread()  # with none, whoever takes the GIL next sees the count
        if at is not None:
            bits = self._memory.number(at, 8)
            self._memory.write(at, struct.pack("<Q", bits | _CALLS_TO_DO))

    def has_attention(self) -> bool:
        """Whether the flags that make the interpreter look are set."""
        layout = self._layout
        if not layout.counts:
            places = (self._at(layout.calls), self._at(layout.breaker))
            return all(self._memory.number(at, 4) for at in places)
        at = self._running_thread()
        return at is None or bool(self._memory.number(at, 8) & _CALLS_TO_DO)

    def _running_thread(self) -> int | None:
        """Return where the flags of the thread are that holds the GIL; None: nobody does."""
        assert self._layout.gil is not None
        gil = self._memory.number(self._at(self._layout.gil), 8)
        holder = self._memory.number(gil + 8, 8)
        locked = self._memory.number(gil + 16, 4) == 1
        return holder + self._layout.breaker if holder and locked else None

    def holds(self, argument: int) -> bool:
        """Whether an entry with that argument waits."""
        return any(waiting[1] == argument for waiting in self.state().waiting)

    def withdraw(self, argument: int, harmless: int) -> bool:
        """Take our entry out, where it is the last one; else have it do nothing.

        ``harmless``: the address of an empty text. Only while all threads stand still. Returns
        whether it was still there: if not, the target may be reading the text just now.
        """
        layout, state = self._layout, self.state()
        mine = [at for at, entry in enumerate(state.waiting) if entry[1] == argument]
        if not mine:
            return False
        number = (state.first + mine[0]) % layout.slots
        if mine[0] != len(state.waiting) - 1:
            at = self._at(layout.ring + number * layout.slot + 8)
            self._memory.write(at, struct.pack("<Q", harmless))
            return True
        if state.count is not None:
            self._memory.write(self._at(layout.calls), struct.pack("<i", state.count - 1))
        self._memory.write(self._at(layout.first + 4), struct.pack("<i", number))
        self._memory.write(self._at(layout.ring + number * layout.slot), bytes(layout.slot))
        return True

    def _main_interpreter(self) -> int:
        head = self._memory.number(self._runtime + self._layout.head, 8)
        main = self._memory.number(self._runtime + self._layout.main, 8)
        if head != main and main:
            raise Refused(
                "it runs several interpreters in one process (subinterpreters)",
                "run the code in a process of its own: memprobe run SCRIPT.py",
            )
        mapping = mapping_of(self._maps, main)
        if main % 8 or mapping is None or not mapping.is_private_data:
            raise Refused("its interpreter is not up yet, or is ending", "try again in a moment")
        limit = self._memory.number(main + self._layout.recursion, 4)
        if not 0 < limit < _LARGEST_RECURSION:
            raise Refused("its interpreter is not built as expected")
        return main

    def _count(self, first: int, following: int) -> int | None:
        layout = self._layout
        if not layout.counts:
            return None
        count, most, loop = struct.unpack("<3i", self._memory.read(self._at(layout.calls), 12))
        fits = (following - first) % layout.slots == count % layout.slots
        if (most, loop) != (_MOST, _MOST_LOOP) or not 0 <= count <= most:
            raise Refused("its ring of pending calls is not built as expected")
        if not fits:
            raise Busy("its ring is being changed")
        return int(count)

    def _slot(self, number: int) -> tuple[int, int]:
        at = self._at(self._layout.ring + number * self._layout.slot)
        function, argument = struct.unpack("<QQ", self._memory.read(at, 16))
        return function, argument

    def _at(self, offset: int) -> int:
        return self._interpreter + offset
