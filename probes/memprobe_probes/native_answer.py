"""The walker's answer, read back from its 64-bit words. Addresses in it are never followed."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAGIC = 0x33304B4C5757504D
ACCOUNT_MAGIC = 0x31304343414D5057
NONE = 2**64 - 1
# Why a walk was not finished, by the walker's state.
STATES = {
    1: "there is no memory for its tables",
    2: "it took longer than it may",
    3: "there are more objects than its tables may hold",
}


class Incomplete(Exception):
    """The walk did not come to its end: why."""


class Tight(Exception):
    """There is too little memory free to walk now; nothing has failed."""


class Group:
    """Bytes of one set of holders, by number of root."""

    __slots__ = ("bytes", "chain", "holders", "objects", "returned", "untrimmed")

    def __init__(
        self, holders: list[int], nbytes: int, objects: int, returned: int | None,
        untrimmed: int | None, chain: list[tuple[int, int, int]],
    ) -> None:  # fmt: skip
        self.holders = holders
        self.bytes = nbytes
        self.objects = objects
        self.returned = returned
        self.untrimmed = untrimmed
        self.chain = chain  # from a root to the largest object: (node, address, class's address)


class Inner:
    """An object inside of a holder and what it keeps, or several small ones of one class."""

    __slots__ = ("chain", "cls", "count", "kept", "objects", "own", "parent")

    def __init__(self, words: list[int], chain: list[tuple[int, int, int]]) -> None:
        self.parent, self.cls, self.count, self.own, self.kept, self.objects = words
        self.chain = chain  # from what keeps it to the object; [] of several


class Answer:
    """Everything one walk found. Raises ``Incomplete`` where it did not end well."""

    def __init__(self, content: bytes) -> None:
        try:
            self._read(content)
        except (IndexError, TypeError, ValueError):
            raise Incomplete("its answer is cut off") from None

    def _read(self, content: bytes) -> None:
        self._words = memoryview(content).cast("Q")
        self._at = 0
        if len(self._words) < 3 or self._next() != MAGIC:
            raise Incomplete("its answer cannot be read")
        state = self._next()
        if state:
            raise Incomplete(STATES.get(state, "it failed"))
        self.objects, self.edges, self.nodes = self._take(3)
        self.walk_ns, self.total_ns, self.memory = self._take(3)
        known, *cycles = self._take(4)
        self.cycles = cycles if known else None  # bytes, objects, bytes that frozen ones keep
        roots, self._set_words = self._take(2)
        self.roots = [self._take(3) for _ in range(roots)]  # node, address, class's address
        self.types = self._rows(3)  # class's address, count, bytes
        self.cycle_types = self._rows(3)
        self.groups = [self._group() for _ in range(self._next())]
        self.views = self._rows(10)
        self.buffers = self._rows(6)  # the last: whether arrays show it too
        self.missed = self._rows(2)
        self.unknown = self._rows(1)
        self.asked = [self._next() for _ in range(self._next())]
        self.inside = [self._inside() for _ in range(self._next())]
        self.account = self._account()  # words of a balance; None: it was not asked for, or failed

    def _next(self) -> int:
        self._at += 1
        return self._words[self._at - 1]

    def _take(self, count: int) -> list[int]:
        self._at += count
        return self._words[self._at - count : self._at].tolist()

    def _rows(self, width: int) -> list[list[int]]:
        return [self._take(width) for _ in range(self._next())]

    def _account(self) -> list[int] | None:
        left = len(self._words) - self._at
        if left < 2 or self._next() != ACCOUNT_MAGIC:
            return None
        return self._take(left - 1)

    def _inside(self) -> tuple[int, list[Inner]]:
        number, rows = self._take(2)
        return number, [Inner(self._take(6), self._chain()) for _ in range(rows)]

    def _chain(self) -> list[tuple[int, int, int]]:
        rows = [self._take(3) for _ in range(self._next())]
        return [(node, address, cls) for node, address, cls in rows]

    def _group(self) -> Group:
        bits = int.from_bytes(self._words[self._at : self._at + self._set_words], "little")
        self._at += self._set_words
        nbytes, objects, returned, untrimmed = self._take(4)
        return Group(
            _positions(bits, len(self.roots)), nbytes, objects,
            _known(returned), _known(untrimmed), self._chain(),
        )  # fmt: skip


def _known(word: int) -> int | None:
    return None if word == NONE else word


def _positions(bits: int, most: int) -> list[int]:
    """Return the bits that are set; the one after the last root stands for somebody unnamed."""
    return [bit for bit in range(most + 1) if bits >> bit & 1]


def signed(word: int) -> Any:
    """Return a word as the signed number it stands for."""
    return word - 2**64 if word >> 63 else word
