"""What the templates can say: the words of every other format, and nothing that acts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any, NamedTuple

from memprobe.contrasts import ContrastReport, Measure, RoundRow, SparkRound, StepRow, Verified
from memprobe.findings import (
    CellRow,
    Finding,
    HolderRow,
    PathStep,
    ProcessAccount,
    RecordingSummary,
)
from memprobe.reporters import (
    account,
    allocations,
    contrast_spark_text,
    contrast_text,
    inside,
    phrases,
    spark,
)
from memprobe.reporters.amounts import counted, duration, percent, rate, size
from memprobe.reporters.cells import MATTERS
from memprobe.reporters.chart import NEAR
from memprobe.reporters.contrast import script_report
from memprobe.reporters.inside_tree import Line, lines
from memprobe.reporters.measures import amount
from memprobe.reporters.printable import printable
from memprobe.reporters.text import cost
from memprobe_probes import account_buckets

NONE = "–"
# Buckets of one kind have one colour: what lives, what an allocator keeps, what nobody owns.
FAMILIES = {
    "live": (*account_buckets.LIVE, account_buckets.HEAP_USED, account_buckets.DIRECT_BUFFERS),
    "retained": (*account_buckets.RETAINED, account_buckets.HEAP_FREE),
    "native": account_buckets.NATIVE,
    "program": account_buckets.PROGRAM,
}
OPEN_FINDINGS = 5  # more would hide what comes after them
ROLES = {
    "driver-python": "this Python process",
    "driver-jvm": "Spark driver's JVM",
    "executor-jvm": "executor's JVM",
    "python-worker": "Spark's Python worker",
    "child": "child process",
}
CELLS_SHOWN = 12


class Step(NamedTuple):
    """One reference of a retention path."""

    edge: str
    type: str
    cut: bool


def shown(value: Any) -> Any:
    """Return what a template prints: text made harmless, a dash for what was not measured."""
    if value is None:
        return NONE
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return printable(value)
    return value


def prose(text: str) -> Any:
    """Return a sentence whose `code` is code; everything in it is escaped."""
    from markupsafe import Markup, escape

    parts = printable(text).split("`")
    if len(parts) % 2 == 0:  # a backtick without its partner
        return escape(printable(text))
    marked = (
        Markup("<code>{}</code>").format(part) if at % 2 else escape(part)
        for at, part in enumerate(parts)
    )
    return Markup("").join(marked)


def path(finding: Finding) -> list[Step]:
    """Return the references from the root to the object; at least one is marked to be cut."""
    steps = finding.path or [PathStep(type=finding.object.type, edge=finding.object.name or "?")]
    marked = any(step.cut for step in steps)
    return [
        Step(step.edge, step.type, step.cut or (not marked and step is steps[-1])) for step in steps
    ]


def path_root(finding: Finding) -> str:
    """Return where a path begins, in words."""
    kind = finding.holders[0].root if finding.holders else ""
    return phrases.root(kind) if kind else finding.context


def fix_lines(finding: Finding) -> Iterator[tuple[bool, str]]:
    """Yield each line of a fix, and whether it is a sentence rather than something to type."""
    for line in finding.fix.splitlines():
        yield "`" in line, line


def cells_that_moved(rows: list[CellRow]) -> list[CellRow]:
    """Return the cells that moved most memory or failed, in the order they ran."""

    def moved(row: CellRow) -> int:
        transient = row.peak - row.rss if row.peak is not None and row.rss is not None else 0
        return max(abs(row.change or 0), transient)

    telling = [row for row in rows if moved(row) >= MATTERS or row.error]
    largest = sorted(telling, key=moved, reverse=True)[:CELLS_SHOWN]
    return [row for row in rows if any(row is one for one in largest)]


def signed(change: float | None) -> str:
    """Return a change of bytes with its sign."""
    if change is None:
        return NONE
    return f"{'−' if change < 0 else '+'}{size(abs(change))}"


def time_of_day(seconds: float) -> str:
    """Return unix ``seconds`` as a date and time in UTC, which is the same for every reader."""
    moment = datetime.fromtimestamp(seconds, tz=timezone.utc)
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def finding_of(holder: HolderRow, findings: list[Finding]) -> int | None:
    """Return the position of the finding about ``holder``, or None."""
    exprs = set(holder.exprs)
    for at, finding in enumerate(findings):
        if not exprs.isdisjoint(one.expr for one in finding.holders):
            return at
    return None


def reclaimable(findings: list[Finding]) -> int | None:
    """Return the bytes that leaking and suspect findings give back; None where there are none."""
    failing = [finding.reclaim.bytes for finding in findings if finding.fails]
    return sum(failing) if failing else None


def tone(recording: RecordingSummary) -> str:
    """Return how near to its limit the memory is: ``near`` or ``fine``."""
    if recording.rss is None or not recording.limit:
        return "fine"
    return "near" if recording.rss / recording.limit >= NEAR else "fine"


def status_of(report: Any) -> str:
    """Return what colour the answer has: the worst status, ``fine`` or ``unmeasured``."""
    if isinstance(report, ContrastReport):
        verdict = report.contrast.verdict
        if verdict.script_leaks or verdict.kind == "notebook-keeps":
            return "leaking"
        return "fine" if verdict.kind == "clean" else "unmeasured"
    statuses = {finding.status for finding in report.findings}
    for status in ("leaking", "suspect"):
        if status in statuses:
            return status
    return "fine" if report.recording.snapshots else "unmeasured"


def pair(measure: Measure) -> tuple[str, str]:
    """Return the notebook's and the script's value of one step."""
    show = amount(measure)
    ours = show(measure.first) if measure.first is not None else NONE
    return ours, show(measure.script.median) if measure.script is not None else NONE


def judged(measure: Measure) -> str:
    """Return the difference in words."""
    return contrast_text.judged(measure, amount(measure)).plain


def spread_of(measure: Measure, which: str) -> str:
    """Return the ``later`` rounds' or the ``script``'s range."""
    return contrast_text.spread(getattr(measure, which), amount(measure))


def first_of(measure: Measure) -> str:
    """Return the notebook's first round."""
    return pair(measure)[0]


def alone(rows: list[StepRow]) -> list[str]:
    """Return the names of the steps that the script has no counterpart of."""
    return [row.name for row in rows if row.wall.script is None]


def family(bucket: str) -> str:
    """Return what kind of memory a bucket is, by which it is coloured."""
    return next((name for name, members in FAMILIES.items() if bucket in members), "unknown")


def buckets_in_order(process: ProcessAccount) -> list[tuple[str, int]]:
    """Return the buckets with anything in them: what is alive first, then by size."""
    order = [*FAMILIES, "unknown"]
    held = [(name, amount) for name, amount in process.buckets.items() if amount]
    return sorted(held, key=lambda one: (order.index(family(one[0])), -one[1]))


def steps_in_spark(rows: list[StepRow]) -> list[StepRow]:
    """Return the steps in which Spark did anything, in either context."""

    def did(measure: Measure) -> bool:
        return bool(measure.first or (measure.script is not None and measure.script.median))

    return [
        row
        for row in rows
        if row.spark is not None
        and any(did(getattr(row.spark, name)) for name in contrast_spark_text.STEP_TITLES)
    ]


def spark_step_gaps(rows: list[StepRow]) -> list[str]:
    """Return why values of Spark's steps are missing, each reason once."""
    told = [
        f"{title}: {measure.why}"
        for row in rows
        for name, title in contrast_spark_text.STEP_TITLES.items()
        if (measure := getattr(row.spark, name)).why
        and (measure.first is None or measure.script is None)
    ]
    return list(dict.fromkeys(told))


def spark_round_cell(found: SparkRound, name: str) -> str:
    """Return one value of a round in Spark."""
    value = getattr(found, name)
    if value is None:
        return NONE
    return duration(value) if name in contrast_spark_text.TIMES else size(value)


def spark_round_gaps(rows: list[RoundRow]) -> list[str]:
    """Return why values of Spark's rounds are missing, each reason once."""
    titles = contrast_spark_text.ROUND_TITLES
    told = [
        f"{titles[name]}: {why}"
        for row in rows
        if row.spark is not None
        for name, why in row.spark.why.items()
        if name in titles
    ]
    return list(dict.fromkeys(told))


def diff_lines(diff: str) -> Iterator[tuple[str, str]]:
    """Yield each line of a unified diff with what it is, without the names of files."""
    kinds = {"+": "added", "-": "removed", "@": "place"}
    for line in diff.splitlines():
        if not line.startswith(("---", "+++")):
            yield kinds.get(line[:1], "same"), line


def verified_rows(found: Verified) -> list[tuple[str, int | None, int | None]]:
    """Return what an edited copy changed: a quantity, before, after."""
    rows = [
        ("held at the end", found.held_before, found.held_after),
        ("more in each round", found.per_round_before, found.per_round_after),
        ("RSS at the end", found.rss_before, found.rss_after),
    ]
    if found.stored_before is not None or found.stored_after is not None:
        rows.append(("stored in Spark", found.stored_before, found.stored_after))
    return rows


def inner_text(line: Line) -> str:
    """Return the object of one line of what is inside of a holder."""
    return inside.words(line.node) if line.node is not None else ""


def inner_bytes(line: Line) -> int:
    """Return what one line of what is inside of a holder keeps."""
    return line.rest[0] if line.node is None else line.node.bytes


FILTERS = {
    "size": size,
    "duration": duration,
    "percent": percent,
    "rate": rate,
    "signed": signed,
    "prose": prose,
    "time_of_day": time_of_day,
}
FUNCTIONS: dict[str, Any] = {
    "account_sentence": account.sentence,
    "alone": alone,
    "allocated": allocations.allocated,
    "allocation_place": allocations.place,
    "allocation_title": allocations.TITLE,
    "allocation_totals": allocations.totals,
    "bucket_names": account.NAMES,
    "buckets_in_order": buckets_in_order,
    "cells_that_moved": cells_that_moved,
    "cost_of": cost,
    "counted": counted,
    "diff_lines": diff_lines,
    "described": phrases.described,
    "facts": phrases.facts,
    "family": family,
    "finding_of": finding_of,
    "first_of": first_of,
    "fix_lines": fix_lines,
    "gives": phrases.gives,
    "headline": phrases.headline,
    "holder_names": phrases.holders,
    "inner_bytes": inner_bytes,
    "inner_text": inner_text,
    "inside_lines": lines,
    "inside_sentences": inside.sentences,
    "inside_text": inside.text_of,
    "judged": judged,
    "last_use": phrases.last_use,
    "location": phrases.location,
    "measure_names": contrast_text.NAMES,
    "pair": pair,
    "open_findings": OPEN_FINDINGS,
    "path": path,
    "path_root": path_root,
    "place": phrases.place,
    "program": phrases.program,
    "reclaimable": reclaimable,
    "roles": ROLES,
    "release_line": phrases.release_line,
    "root": phrases.root,
    "script_report": script_report,
    "spark_facts": spark.facts,
    "spark_round_cell": spark_round_cell,
    "spark_round_gaps": spark_round_gaps,
    "spark_round_titles": contrast_spark_text.ROUND_TITLES,
    "spark_step_gaps": spark_step_gaps,
    "spark_step_titles": contrast_spark_text.STEP_TITLES,
    "spark_lines": spark.lines,
    "spark_parts": spark.parts,
    "spread_of": spread_of,
    "status_of": status_of,
    "steps_in_spark": steps_in_spark,
    "tell_origin": allocations.tell_origin,
    "tone": tone,
    "verified_rows": verified_rows,
}
