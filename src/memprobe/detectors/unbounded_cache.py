"""MP102: a cache without a bound holds much and only grows."""

from __future__ import annotations

from collections.abc import Iterator

from memprobe.analysis.describe import finding
from memprobe.analysis.evidence import NAMESPACE, Evidence
from memprobe.analysis.grown import KINDS, Kept, kept_by, names_stale, round_words, with_growth
from memprobe.analysis.growth import CellGrowth, base, windows_grown
from memprobe.detectors.caching import is_cache
from memprobe.detectors.letting_go import deletions, display_deletions
from memprobe.findings import Finding, Status
from memprobe.recording.schema import Cache, Holder

# Without a measurement over time so many entries are needed to call a cache growing.
MANY_CALLS = 8  # of an lru_cache, whose hits are known
MANY_CELLS = 5  # of a notebook that each added to it
MANY_ENTRIES = 16  # of a dict, whose hits are not
RARE = 10  # misses per hit from which on a cache is not worth its memory

Reason = tuple[Status, str]


class UnboundedCache:
    """A cache without a bound holds much and only grows

    ## What it means
    `functools.cache`, `lru_cache(maxsize=None)`, or a dict that a function looks up and fills,
    keeps every result it was ever asked for. It grew in every equal round, or hardly ever had
    the answer, or nobody has asked it for long. On a method, the keys hold the instances: they
    stay alive with all they refer to, although no name of yours reaches them.

    ## Why it matters
    A cache that never forgets is a leak with a good reason. It hides well: the results belong to
    no variable, and deleting every frame you see gives nothing back.

    ## Example
    ```python
    class Source:
        @functools.lru_cache(maxsize=None)
        def frame(self):             # the key is `self`: no Source ever goes
            return pd.read_parquet(self.path)

    totals = [Source(path).frame().amount.sum() for path in paths]
    ```

    ## Use instead
    ```python
    @functools.lru_cache(maxsize=8)        # a bound
    def frame(path): ...

    class Source:
        @functools.cached_property         # lives and goes with its instance
        def frame(self): ...
    ```
    To let go of what is there: `Source.frame.cache_clear()`, or `CACHE.clear()` for a dict. For
    a dict whose keys are objects, `weakref.WeakKeyDictionary` forgets with them.

    ## When it does not fire
    The cache keeps less than `min-bytes` alone; it has a bound; it answers calls and has stopped
    growing; it has a few entries and a recent cell may have asked it; in a short script, it has
    fewer than eight entries (a dict: sixteen), as tables do that are filled once. Instances with
    an `__eq__` of their own, as dataclasses have, are not taken for lost: the next equal one
    finds their results.
    """

    code = "MP102"
    name = "unbounded-cache"

    def detect(self, evidence: Evidence) -> Iterator[Finding]:
        """Yield a finding per cache that only grows, or that nobody asks any more."""
        if evidence.snapshot is None:
            return
        growth = CellGrowth(evidence.liveness.runs, evidence.config.growth_rounds)
        seen: set[int] = set()
        for expr in _expressions(evidence, growth):
            kept = kept_by(evidence, expr, _entries(evidence, growth, expr))
            if kept is None or kept.holder.object in seen or not is_cache(evidence, kept.holder):
                continue
            judged = _judge(evidence, growth, kept)
            if judged is not None:
                seen.add(kept.holder.object)
                found = self._finding(evidence, kept, *judged)
                yield with_growth(found, growth.containers.get(expr), kept)

    def _finding(self, evidence: Evidence, kept: Kept, status: Status, why: str) -> Finding:
        return finding(
            evidence, kept.bundle, code=self.code, name=self.name, status=status,
            first=kept.holder, title=f"`{kept.holder.expr}` is a cache without a bound",
            why=why, fix=_fix(kept),
        )  # fmt: skip


def _expressions(evidence: Evidence, growth: CellGrowth) -> list[str]:
    """Return what may be a cache: caches and dicts among the holders, and dicts inside them."""
    assert evidence.snapshot is not None
    holders = [holder.expr for holder in evidence.snapshot.holders if _may_be_one(holder)]
    inside = [expr for expr in growth.containers if not expr.endswith("[*]")]
    return list(dict.fromkeys([*holders, *evidence.snapshot.memos, *inside]))


def _may_be_one(holder: Holder) -> bool:
    return holder.root in KINDS and (holder.cache is not None or holder.type.endswith("ict"))


def _entries(evidence: Evidence, growth: CellGrowth, expr: str) -> int | None:
    if evidence.is_notebook:
        return growth.final.get(expr)
    lengths = [one.lengths[expr] for one in evidence.recording.samples if expr in one.lengths]
    return lengths[-1] if lengths else None


def _judge(evidence: Evidence, growth: CellGrowth, kept: Kept) -> Reason | None:
    """Return status and reason where the evidence is enough."""
    cache = kept.holder.cache
    if cache is not None and cache.maxsize is not None:
        return None
    return (
        _by_rounds(growth, kept)
        or _by_lost_instances(evidence, cache)
        or _by_silence(evidence, kept)
        or _by_uses(evidence, growth, kept)
        or (_by_calls(evidence, growth, kept, cache) if cache else _by_windows(evidence, kept))
    )


def _by_rounds(growth: CellGrowth, kept: Kept) -> Reason | None:
    rounds = growth.containers.get(kept.holder.expr)
    if rounds is None:
        return None
    why = f"{round_words(rounds)}, and each run added to it: {kept.items} entries now"
    return "leaking", why


def _by_lost_instances(evidence: Evidence, cache: Cache | None) -> Reason | None:
    """What it keeps for instances that are gone can never be asked for again."""
    lost = cache.lost if cache is not None and cache.method else None
    if cache is None or not lost:
        return None
    if lost < evidence.config.growth_rounds and lost != cache.instances:
        return None
    what = "an instance" if lost == 1 else f"{lost} instances"
    why = f"its keys keep {what} that nothing else refers to"
    return "leaking", f"{why}, with {cache.size} result{'s' * (cache.size != 1)}"


def _by_silence(evidence: Evidence, kept: Kept) -> Reason | None:
    """In a notebook: names that lead to it were not used of late."""
    if not evidence.is_notebook or not _of_the_notebook(kept.holder):
        return None
    if not names_stale(evidence, kept):
        return None
    return "suspect", "it keeps every result it was asked for, and no recent cell asks for any"


def _of_the_notebook(holder: Holder) -> bool:
    """Whether cells alone use it: who calls a module's own functions is not known."""
    if "." not in holder.expr:
        return True
    own_class = holder.root == "class-attribute" or (
        holder.cache is not None and holder.cache.method
    )
    inside = holder.root == NAMESPACE  # an attribute of an object that has a name
    return inside or (own_class and holder.expr.count(".") == 1)


def _by_calls(evidence: Evidence, growth: CellGrowth, kept: Kept, cache: Cache) -> Reason | None:
    """Its own counters say that it grows with every call and is of no use."""
    rarely = cache.hits * RARE <= cache.misses and cache.size >= MANY_CALLS
    if evidence.is_notebook:
        rarely = rarely and growth.times_grown(kept.holder.expr) >= evidence.config.growth_rounds
    if not rarely:
        return None
    hits = f"{cache.hits} of {cache.hits + cache.misses} calls found their result in it"
    return "suspect", f"it keeps {cache.size} results without a bound, and {hits}"


def _by_uses(evidence: Evidence, growth: CellGrowth, kept: Kept) -> Reason | None:
    """In a notebook: every cell that used it added to it, and there were several."""
    cache, name = kept.holder.cache, base(kept.holder.expr)
    if not evidence.is_notebook or (cache is not None and cache.hits * RARE > cache.misses):
        return None
    grown = growth.times_grown(kept.holder.expr)
    if grown < MANY_CELLS or grown < sum(name in run.used for run in evidence.liveness.runs):
        return None
    return "suspect", f"{grown} cells used it, and each of them added to it"


def _by_windows(evidence: Evidence, kept: Kept) -> Reason | None:
    """In a script: a dict that grew all the time, or has very many entries at its end."""
    if evidence.is_notebook:
        return None
    recording, expr = evidence.recording, kept.holder.expr
    grew = windows_grown(recording.samples, recording.header.t, expr, evidence.config.growth_rounds)
    if grew or (grew is None and (kept.items or 0) >= MANY_ENTRIES):
        return "suspect", f"it keeps every result without a bound: {kept.items} at the end"
    return None


def _fix(kept: Kept) -> str:
    call = "cache_clear()" if kept.holder.cache is not None else "clear()"
    lines = [f"{kept.holder.expr}.{call}  # then give it a bound: lru_cache(maxsize=N)"]
    return "\n".join([*lines, *display_deletions(kept.others), *deletions(kept.others)])
