"""Where one build of CPython keeps its pending calls: offsets in bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from memprobe.targets.pending.refusal import Refused

OLDEST, FIRST_WITH_COUNT, FIRST_WITHOUT = (3, 10), (3, 13), (3, 14)

# Measured once; a build that keeps them elsewhere is told by the calibration, which wins.
_KNOWN = {(3, 10): (96, 40), (3, 11): (128, 48), (3, 12): (424, 48), (3, 13): (56, 640)}


@dataclass(frozen=True)
class Layout:
    """What the calibration found; all of ``ring`` … ``calls`` count from the interpreter's state.

    ``calls`` is the flag of 3.10 to 3.12 or the count of 3.13; ``breaker`` is the interpreter's,
    on 3.13 that of a thread (``gil`` leads to the one that runs).
    """

    version: tuple[int, int, int]
    device: str
    inode: int
    apart: int  # from _PyRuntime to PyRun_SimpleString
    head: int  # of the list of interpreters, in _PyRuntime
    main: int
    ring: int
    slot: int
    slots: int
    recursion: int
    lock: int
    calls: int
    breaker: int
    gil: int | None

    @property
    def counts(self) -> bool:
        """Whether this Python counts its calls (3.13) instead of having a flag."""
        return self.gil is not None

    @property
    def first(self) -> int:
        """Where the number of the first waiting slot is; that of the next free one follows."""
        return self.ring + self.slot * self.slots


def from_answer(answer: dict[str, Any]) -> Layout:
    """Return what a calibration printed. Raises Refused for a version that is not known."""
    version = tuple(answer["version"])
    minor = (version[0], version[1])
    if not OLDEST <= minor < FIRST_WITHOUT or minor not in _KNOWN:
        raise Refused(f"pending calls of Python {minor[0]}.{minor[1]} are not known to memprobe")
    if answer["debug"]:
        raise Refused("its Python is a debug build", "use a release build of Python")
    flags = answer["flags"]
    layout = Layout(
        version=(version[0], version[1], version[2]), device=answer["device"],
        inode=answer["inode"], apart=answer["apart"], head=answer["head"], main=answer["main"],
        ring=answer["ring"], slot=answer["slot"], slots=answer["slots"],
        recursion=answer["recursion"], lock=flags["lock"], calls=flags["calls"],
        breaker=flags["breaker"], gil=flags.get("gil"),
    )  # fmt: skip
    if layout.counts != (minor >= FIRST_WITH_COUNT):
        raise Refused("its Python keeps pending calls in an unknown way")
    return layout


def is_as_measured(layout: Layout) -> bool:
    """Whether it is where other builds of this version have it."""
    return (layout.ring, layout.main) == _KNOWN.get(layout.version[:2])
