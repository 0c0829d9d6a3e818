"""MP602: byte-seconds held after the last use."""

from __future__ import annotations

from collections.abc import Iterator

from memprobe.analysis.describe import finding
from memprobe.analysis.evidence import NAMESPACE, Evidence
from memprobe.analysis.retention import Bundle, bundles
from memprobe.contrasts import HolderRow, Life
from memprobe.findings import Finding
from memprobe.reporters.amounts import duration, percent, size

LEAST_SHARE = 0.5  # of the run's length, after the last use
LEAST_SECONDS = 1.0  # with min-bytes: the fewest byte-seconds that matter


class LifetimeTax:
    """Byte-seconds held after the last use

    ## What it means
    A name was used for the last time, and kept its data while the rest of the work ran. Bytes
    times seconds is what it cost others: 1 GiB for ten minutes is as much as 10 GiB for one.

    ## Why it matters
    The peak of the run lies where the most is held at once. What is idle by then makes the
    machine larger than the work needs it. In a notebook names are global, so nothing ends before
    the kernel does; in a function the same data goes with its last use.

    ## Example
    ```python
    raw = pd.read_parquet("events.parquet")   # 8 GiB
    daily = raw.groupby("day").sum()          # the last use of `raw`
    model = train(daily)                      # an hour, with `raw` beside it
    ```

    ## Use instead
    ```python
    def daily_sums(path):
        raw = pd.read_parquet(path)           # let go of when the function returns
        return raw.groupby("day").sum()

    model = train(daily_sums("events.parquet"))
    ```
    Or `del raw` behind the last use.

    ## When it does not fire
    Only `memprobe contrast` can see it, and it is never more than advice. It needs `min-bytes`
    that come back, idle for at least half of the run's length, and as many byte-seconds as
    `min-bytes` over one second: a run of a moment costs nobody anything. It does not fire for a
    name that a timer, thread or callback may still read.
    """

    code = "MP602"
    name = "lifetime-tax"
    contrast_only = True

    def detect(self, evidence: Evidence) -> Iterator[Finding]:
        """Yield advice per name that kept its bytes idle for most of the run."""
        contrast = evidence.contrast
        if contrast is None or evidence.snapshot is None or not contrast.wall:
            return
        for row in contrast.holders:
            life = row.notebook
            if life is not None and self._matters(evidence, row, life, contrast.wall):
                for bundle in _bundle(evidence, life):
                    yield self._finding(evidence, bundle, row, life, contrast.wall)

    def _matters(self, evidence: Evidence, row: HolderRow, life: Life, wall: float) -> bool:
        least = evidence.config.min_bytes
        awaited = evidence.snapshot is not None and row.name in evidence.snapshot.awaited
        return (
            life.at_end
            and not awaited
            and life.bytes >= least
            and (life.idle or 0.0) >= LEAST_SHARE * wall
            and (life.byte_seconds or 0.0) >= least * LEAST_SECONDS
        )

    def _finding(
        self, evidence: Evidence, bundle: Bundle, row: HolderRow, life: Life, wall: float
    ) -> Finding:
        idle = life.idle or 0.0
        first = next(holder for holder in bundle.holders if holder.root == NAMESPACE)
        return finding(
            evidence, bundle, code=self.code, name=self.name, status="advice", first=first,
            title=f"`{first.expr}` was held for {duration(idle)} after its last use",
            why=f"{life.last_used} used it last: {size(life.bytes)} were idle for "
            f"{duration(idle)}, {percent(idle / wall)} of the run",
            fix=f"del {first.expr}  # behind {life.last_used}, or make it inside a function",
        )  # fmt: skip


def _bundle(evidence: Evidence, life: Life) -> list[Bundle]:
    assert evidence.snapshot is not None
    own = set(life.exprs)
    found = bundles(
        evidence.snapshot, lambda holder, group: holder.expr in own, evidence.config.min_bytes
    )
    return [one for one in found if NAMESPACE in one.roots()]
