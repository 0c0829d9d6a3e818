"""What a contrast says: ``Contrast``, shown beside the notebook's ``Report`` by every reporter.

Sizes are bytes, durations seconds. ``None`` means "not measured", and ``why`` then says why not.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field

from memprobe.findings import Created, Finding, HeldObject, Report, SparkReport

Unit = Literal["seconds", "bytes"]
Judgement = Literal["more", "less", "no difference", "not compared"]
Kind = Literal["notebook-keeps", "clean", "not-compared"]


class Spread(Struct, kw_only=True):
    """One quantity over several runs: its median, and the range from run to run."""

    median: float
    low: float
    high: float
    runs: int


class Measure(Struct, kw_only=True):
    """One quantity in both contexts. ``first`` is the notebook's first round, ``later`` the rest.

    ``difference`` is ``first`` minus the script's median; ``noise`` is what it has to exceed to
    count as one.
    """

    name: str
    unit: Unit
    first: float | None = None
    later: Spread | None = None
    script: Spread | None = None
    difference: float | None = None
    noise: float | None = None
    judgement: Judgement = "not compared"
    why: str | None = None


class SparkStep(Struct, kw_only=True):
    """What Spark did in one step: CPU of its processes, and what it has stored after it."""

    jvm_cpu: Measure
    workers_cpu: Measure
    tasks: Measure  # time that tasks ran, over all executors
    stored: Measure  # cached data, in memory and on disk
    jvm_rss: Measure  # of the driver's JVM


class StepRow(Struct, kw_only=True):
    """One step: a cell of the notebook and the lines of the script that do the same."""

    name: str
    cell: int | None = None
    line: int | None = None
    beside: str | None = None  # name of the script's step; None: it has none
    error: str | None = None
    wall: Measure = field(default_factory=lambda: Measure(name="wall", unit="seconds"))
    cpu: Measure = field(default_factory=lambda: Measure(name="cpu", unit="seconds"))
    peak: Measure = field(default_factory=lambda: Measure(name="peak", unit="bytes"))
    live: Measure = field(default_factory=lambda: Measure(name="live", unit="bytes"))
    rss: Measure = field(default_factory=lambda: Measure(name="rss", unit="bytes"))
    spark: SparkStep | None = None  # no Spark application was met in either context


class SparkRound(Struct, kw_only=True):
    """What Spark used in one round, and what it keeps at its end; ``why`` for what is missing."""

    jvm_cpu: float | None = None
    workers_cpu: float | None = None
    tasks: float | None = None
    stored: int | None = None
    jvm_rss: int | None = None
    heap: int | None = None  # of the driver's JVM in use, garbage included
    heap_after_gc: int | None = None
    why: dict[str, str] = field(default_factory=dict)  # field → why it was not measured


class RoundRow(Struct, kw_only=True):
    """One round in the persistent context. ``growth``: against the end of the round before."""

    round: int
    wall: float | None = None
    cpu: float | None = None
    peak: int | None = None
    live: int | None = None
    rss: int | None = None
    growth: int | None = None
    rss_growth: int | None = None
    why: str | None = None
    spark: SparkRound | None = None  # no Spark application was met


class Life(Struct, kw_only=True):
    """One holder in one context, over the first round or one process.

    ``bytes`` is what comes back when all its references go, at its largest; ``byte_seconds`` adds
    up what it held after its last use while later steps ran; ``idle`` is how long those ran.
    """

    bytes: int
    exprs: list[str] = field(default_factory=list)
    created: Created | None = None
    last_used: str | None = None  # name of a step
    until: str = ""  # name of a step, "kernel's end" or "process exit"
    at_end: bool = False
    idle: float | None = None
    byte_seconds: float | None = None


class HolderRow(Struct, kw_only=True):
    """What one name, output or traceback held in both contexts; None: it did not exist there."""

    name: str
    object: HeldObject
    notebook: Life | None = None
    script: Life | None = None
    why: str | None = None  # the script's holders were not measured


class RoundGrowth(Struct, kw_only=True):
    """Holders that keep more at the end of every round than at the end of the one before."""

    names: list[str]
    bytes: list[int]  # at the end of each round
    per_round: int  # the smallest increase
    rounds: int


class ScriptSide(Struct, kw_only=True):
    """The ephemeral context: its processes, what it leaves behind, its own findings."""

    program: str
    derived: bool | None = None
    processes: int = 0
    status: int | None = None
    live: Spread | None = None  # just before it ends; nothing is held after
    left: list[str] = field(default_factory=list)  # what outlives its processes
    findings: list[Finding] = field(default_factory=list)
    spark: SparkReport | None = None  # None: it met no Spark application


class Verdict(Struct, kw_only=True):
    """The answer in one to three sentences, and what to type."""

    kind: Kind
    text: str
    bytes: int = 0
    per_round: int = 0
    cells: list[int] = field(default_factory=list)
    type: list[str] = field(default_factory=list)
    script_leaks: bool = False


class EditReason(Struct, kw_only=True):
    """The finding that an edit lets go of, or takes a part in."""

    code: str
    fingerprint: str
    title: str
    bytes: int  # held at the end of the first round
    where: str = "driver-python"
    per_round: int | None = None  # what it adds in each further round


class CellEdit(Struct, kw_only=True):
    """The smallest change to one cell; ``diff`` is it as a unified diff."""

    cell: int  # its position
    cell_id: str | None = None
    before: str
    after: str
    diff: str
    reasons: list[EditReason] = field(default_factory=list)


class Unsuggested(Struct, kw_only=True):
    """A finding that no edit lets go of, why not, and what its rule says to do."""

    code: str
    fingerprint: str
    title: str
    why: str
    fix: str = ""


class OutputChange(Struct, kw_only=True):
    """A cell of the edited copy that did not show what it showed before."""

    cell: int
    what: str  # another text, nothing any more, an error


class Verified(Struct, kw_only=True):
    """What the edited copy really did, beside the original, over as many rounds.

    Bytes at the end of the first round, and what each further one added at least; None where
    that was not measured.
    """

    held_before: int | None = None
    held_after: int | None = None
    per_round_before: int | None = None
    per_round_after: int | None = None
    stored_before: int | None = None  # in Spark
    stored_after: int | None = None
    rss_before: int | None = None
    rss_after: int | None = None
    gone: list[str] = field(default_factory=list)  # fingerprints that are not found any more
    remaining: list[str] = field(default_factory=list)
    cells_compared: int = 0
    varying: list[int] = field(default_factory=list)  # cells that show something else each time
    changed: list[OutputChange] = field(default_factory=list)
    failure: str | None = None  # why the edited copy did not run to its end


class Suggestions(Struct, kw_only=True):
    """Edits of the notebook's cells that would let go, and what they changed where that was run."""

    edits: list[CellEdit] = field(default_factory=list)
    left: list[Unsuggested] = field(default_factory=list)
    verified: Verified | None = None  # None: nobody asked for it


class Contrast(Struct, kw_only=True):
    """Everything measured side by side."""

    verdict: Verdict
    steps: list[StepRow] = field(default_factory=list)
    totals: dict[str, Measure] = field(default_factory=dict)
    rounds: list[RoundRow] = field(default_factory=list)
    growth: list[RoundGrowth] = field(default_factory=list)
    holders: list[HolderRow] = field(default_factory=list)
    script: ScriptSide
    suggestions: Suggestions | None = None  # None: nobody asked for them


class ContrastReport(Report, kw_only=True):
    """The notebook's report, with the contrast in it."""

    contrast: Contrast

    @property
    def fails(self) -> bool:
        """Whether a gate fails: a finding in either context does."""
        script = self.contrast.script
        return bool(script.left) or any(one.fails for one in (*self.findings, *script.findings))
