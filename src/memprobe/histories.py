"""What happened over time: ``History``, from which pages with pictures are drawn.

Times are seconds since the recording began, sizes bytes. Every series is thinned to what a picture
can show, and keeps its highest and its lowest points. An empty list is "not measured".
"""

from __future__ import annotations

from msgspec import Struct, field

from memprobe.findings import HolderRow

Points = list[list[float]]  # [seconds, bytes] each, in order of time


class Series(Struct, kw_only=True):
    """One named quantity over time."""

    name: str
    points: Points


class Span(Struct, kw_only=True):
    """One cell's run, a script's step or a round. ``end`` is None where it still ran."""

    name: str
    start: float
    end: float | None = None
    error: str | None = None
    peak: int | None = None
    change: int | None = None  # RSS at its end minus RSS at its start


class Stack(Struct, kw_only=True):
    """Quantities that add up to a whole, read at the same ``times``: one list of values each.

    None is a part that was not told apart then.
    """

    times: list[float] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    values: list[list[float | None]] = field(default_factory=list)


class History(Struct, kw_only=True):
    """One recording over time."""

    wall: float | None = None
    rss: Points = field(default_factory=list)
    live: Points = field(default_factory=list)  # what named holders keep, at each snapshot
    held: Stack = field(default_factory=Stack)  # the same by holder; adds up to it
    account: Stack = field(default_factory=Stack)  # RSS by bucket; adds up to it
    processes: list[Series] = field(default_factory=list)  # RSS of other processes, by role
    executors: list[Series] = field(default_factory=list)  # Spark storage memory in use
    steps: list[Span] = field(default_factory=list)  # cells, or the steps of a script
    steps_left_out: int = 0  # shorter ones
    rounds: list[Span] = field(default_factory=list)
    holders: list[HolderRow] = field(default_factory=list)  # more of them than a report lists
    holders_left_out: int = 0


class ContrastHistory(Struct, kw_only=True):
    """Both contexts of a contrast over time.

    ``shifts``: by how many seconds each process of the script is to be moved so that its first
    step begins where the notebook's round of the same number does.
    """

    notebook: History
    scripts: list[History] = field(default_factory=list)
    shifts: list[float] = field(default_factory=list)
