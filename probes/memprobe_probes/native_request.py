"""What the native walker is asked: roots, cuts and what adapters know, packed into words.

Everything that needs Python happens here, before the memory is copied: classes are decided about
(``native_kinds``), and objects whose memory Python cannot see are looked for a little way from the
roots and given to their adapters. What lies deeper than that is counted and named as unmeasured.
"""

from __future__ import annotations

import sys

from . import account_words as account
from . import numpy_arrays, sizes, tasks
from .inside import MOST_ASKED
from .native_answer import NONE
from .python_buffers import is_map, map_size
from .walk import TooLong
from .words import Words, packed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from .native_kinds import Classes
    from .roots import Root
    from .walk import Walk

SCOUTED = 200_000  # objects, of all roots together
PER_OBJECT = 2_000  # references followed of one object while scouting
SCOUTED_DEEPER = 1_000_000  # where that is not all; 30 ms
ROUNDS = 4  # of scouting: classes that were met are decided about, then more is seen
NOWHERE = 1 << 62  # from here on addresses stand for memory whose place is not known
MOST_SHARES = 20_000
# Libraries whose objects share memory behind Python's back, by the begin of their types' names.
_SHARING = {"pyarrow": "pyarrow", "torch": "torch", "PyDataFrame": "polars", "PySeries": "polars"}
MOST_OPENED = 4


class Request:
    """One request; ``forget`` drops every reference to the user's objects."""

    def __init__(
        self, walker: Any, walk: Walk, classes: Classes, objects: list[Any], stops: set[int]
    ) -> None:
        self.walker = walker
        self.walk = walk
        self.classes = classes
        self.objects = objects  # what the roots refer to, one reference each
        self.opaque: list[Any] = []  # objects that adapters were asked about
        self.behind: list[Any] = []  # what the adapters led to
        self.shares: dict[int, dict[tuple[Any, ...], float]] = {}  # of Arrow memory, by address
        self.parts = Words()
        self.owned = Words()  # triples of address, bytes and bucket, for the account
        self.asked = Words()
        self.opened: list[int] = []  # numbers of roots whose inside is asked for
        self._stops = packed(stops)
        self._arrays = array_layout()
        self._nowhere = NOWHERE
        self._asked_for: list[tuple[int, str]] = []
        self._whole = False  # whether all opaque objects were found

    def packed(
        self, *, most_nodes: int, memory: int, milliseconds: int, least_group: int = 1,
        collect: bool = False, simulate: bool = False, per_node: int = 0,
    ) -> tuple[Any, ...]:  # fmt: skip
        """Return the request as the walker takes it."""
        limits = (most_nodes, memory, milliseconds, least_group, collect, simulate, per_node)
        return (
            self.objects, [self.opaque, self.behind], self.classes.packed().tobytes(), self._stops,
            _cuts().tobytes(), self.parts.tobytes(), self.asked.tobytes(),
            packed(self.opened), self._arrays, packed(limits),
        )  # fmt: skip

    def look_around(self, memory: int) -> None:
        """Decide about the classes near the roots, and ask adapters about what is opaque."""
        found: list[Any] = []
        for _ in range(ROUNDS):
            found.clear()
            packed = self.packed(
                most_nodes=SCOUTED, memory=memory, milliseconds=0, per_node=PER_OBJECT
            )
            classes, found, _, self._whole = self.walker.scout(packed)
            if not self.classes.learn(classes):
                break
        if not self._whole and self.classes.opaque():
            packed = self.packed(most_nodes=SCOUTED_DEEPER, memory=memory, milliseconds=0)
            classes, deeper, _, self._whole = self.walker.scout(packed)
            self.classes.learn(classes)
            found = list({id(obj): obj for obj in (*found, *deeper)}.values())
        classes, deeper = None, []
        self.opaque, found = found, []
        self._ask_adapters()

    def ask_for_parts(self, found: list[Root], asked: Iterable[str]) -> None:
        """Ask for the bytes that only a container inside a holder keeps of it: ``store.frames``."""
        own = {root.expr for root in found}
        for expr in [one for one in asked if "." in one and one not in own][:MOST_ASKED]:
            for number, root in enumerate(found):
                if not expr.startswith(root.expr + "."):
                    continue
                obj = self.objects[number]
                for name in expr[len(root.expr) + 1 :].split("."):
                    obj = (sizes.instance_dict(obj) or {}).get(name)
                if obj is not None:
                    self.asked.extend((number, id(obj)))
                    self._asked_for.append((number, expr))
        obj = None

    def open(self, found: list[Root], exprs: Iterable[str]) -> None:
        """Ask for what is inside of the holders that are reached by these expressions."""
        wanted = list(dict.fromkeys(exprs))[:MOST_OPENED]
        opened = [at for at, root in enumerate(found) if root.expr in wanted]
        self.opened = opened[: 2 * MOST_OPENED]  # two frames may have a local of one name

    def parts_of(self, answered: list[int]) -> dict[int, dict[str, int]]:
        """Return number of root → expression → bytes, from the answers."""
        found: dict[int, dict[str, int]] = {}
        for (number, expr), nbytes in zip(self._asked_for, answered):
            if nbytes != NONE:
                found.setdefault(number, {})[expr] = nbytes
        return found

    def forget(self) -> None:
        """Drop all references: before this, an object the user lets go of would live on."""
        self.objects.clear()
        self.opaque.clear()
        self.behind.clear()

    def _ask_adapters(self) -> None:
        """Fill ``parts``; what there was no time for is left to be counted as missed."""
        rows = []
        sharing: dict[str, dict[int, int]] = {}  # library → address → bytes
        try:
            for number, obj in enumerate(self.opaque):
                if not number & 15:
                    self.walk.in_time()
                row = self._row(obj)
                rows.append(row)
                buffers = row[4 + row[2] :]
                known = sharing.setdefault(_library(type(obj)), {})
                known.update(zip(buffers[::2], buffers[1::2]))
                self._note_owner(_library(type(obj)), buffers)
        except TooLong:
            self._whole = False
        obj = None
        if not self._whole:
            rows += self._likely(sharing)
        for row in sorted(rows):
            self.parts.extend(row)

    def _note_owner(self, library: str, buffers: list[int]) -> None:
        bucket = account.OF_LIBRARY.get(library, account.ARRAYS)
        for address, nbytes in zip(buffers[::2], buffers[1::2]):
            if address < NOWHERE and nbytes:
                self.owned.extend((address, nbytes, bucket))

    def _likely(self, sharing: dict[str, dict[int, int]]) -> list[list[int]]:
        """Return for each class what its objects keep that nobody asks: whatever is known of it.

        Arrow and polars share buffers where no reference of Python's shows it.
        """
        rows = []
        for cls in self.classes.opaque():
            pairs = [word for pair in sharing.get(_library(cls), {}).items() for word in pair]
            if _library(cls) and pairs:
                rows.append([id(cls), 0, 0, len(pairs) // 2, *pairs])
        return rows

    def _row(self, obj: Any) -> list[int]:
        if is_map(type(obj)):
            return [id(obj), map_size(obj), 0, 0]
        kind = self.walk.kind(type(obj))
        if kind.adapter is None:
            return [id(obj), 0, 0, 0]
        children, native = kind.native(obj)
        pairs = [word for buffer in native for word in self._placed(*buffer)]
        if kind.is_arrow and sum(pairs[1::2]) >= 1 << 16:
            self._note_shares(obj)
        self.behind += children
        return [id(obj), 0, len(children), len(native), *map(id, children), *pairs]

    def _placed(self, address: int, nbytes: int) -> tuple[int, int]:
        if address < NOWHERE:
            return address, nbytes
        self._nowhere += 1
        return self._nowhere, nbytes

    def _note_shares(self, obj: Any) -> None:
        """Remember what the arrays in an Arrow object show of the memory they keep."""
        from . import arrow_buffers

        if len(self.shares) >= MOST_SHARES:
            return
        for place, memory, nbytes in arrow_buffers.shares(obj, self.walk.in_time):
            whole = sum(memory.values())
            for address in memory:
                self.shares.setdefault(address, {})[place] = nbytes / whole


def _library(cls: type) -> str:
    """Return the library whose objects share memory with such objects, or nothing."""
    return _SHARING.get(sizes.type_name(cls).partition(".")[0], "")


def _cuts() -> Words:
    """Return pairs of a task and the future it waits for: not the task's to keep."""
    words = Words()
    if "_asyncio" not in sys.modules:
        return words
    for task in tasks.pending():
        future = tasks.waits_for(task)
        if future is not None:
            words.extend((id(task), id(future)))
    return words


def array_layout() -> bytes:
    """Return where dtypes keep what the walker reads, and whether numpy is there at all."""
    version = getattr(sys.modules.get("numpy"), "__version__", None)
    if type(version) is not str or numpy_arrays.arrays() is None:
        return packed((0, 0, 0, 0, 0, 0))
    if version.startswith("1."):
        return packed((32, 0, 27, 0, 48, 1))
    return packed((40, 1, 32, 1, 96, 1))
