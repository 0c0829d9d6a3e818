"""What ``memprobe release`` says: the stable interface of its JSON, and what its text is made of.

All sizes are bytes. ``None`` means "not measured" and is never shown as zero.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field

from memprobe.findings import Cut, Reclaim

State = Literal["planned", "done", "changed", "refused", "failed"]


class Released(Struct, kw_only=True):
    """One finding: what is or was cut for it, and what was promised.

    ``planned``: nothing was touched yet. ``changed``: it is not what the snapshot saw, and
    ``refused``: it would have been unsafe; of both nothing was touched. ``failed``: the first
    ``cuts_done`` of ``cuts`` were made, the rest was not.
    """

    fingerprint: str
    code: str
    name: str
    title: str
    predicted: Reclaim
    cuts: list[Cut]
    state: State = "planned"
    cuts_done: int = 0
    why: str = ""


class Measured(Struct, kw_only=True):
    """What one place held before and after, each time after a collection and a trim."""

    where: str  # driver-python, driver-jvm, executors
    predicted: int | None  # None: nothing was promised there
    before: int | None
    after: int | None
    what: str = "resident"  # what was read there

    @property
    def given_back(self) -> int | None:
        """How much less it is."""
        if self.before is None or self.after is None:
            return None
        return self.before - self.after


class Bucket(Struct, kw_only=True):
    """A bucket of the process's memory account at the look before the cuts, and after them.

    The look before comes before the collection and the trim: what those freed is in it as well.
    """

    name: str
    before: int
    after: int


class ReleaseReport(Struct, kw_only=True):
    """One call of ``memprobe release``."""

    version: int = 1
    program: str = ""
    pid: int = 0
    dry_run: bool = False
    findings: list[Released] = field(default_factory=list)
    measured: list[Measured] = field(default_factory=list)
    buckets: list[Bucket] = field(default_factory=list)  # of this process; []: not told apart
    thread: Literal["main", "cell", "probe"] | None = None  # on which the cuts were made
    seconds: float | None = None

    @property
    def whole(self) -> bool:
        """Whether all that was asked for was done."""
        return all(one.state == "done" for one in self.findings)
