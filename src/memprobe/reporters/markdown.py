"""The report as GitHub-flavoured Markdown: for pull requests and job summaries."""

from __future__ import annotations

import re
from collections.abc import Iterator

from memprobe.findings import (
    Finding,
    HeldAllocations,
    HolderRow,
    InsideReport,
    Report,
    SparkReport,
)
from memprobe.reporters import account, allocations, inside, phrases, spark
from memprobe.reporters.amounts import counted, percent, size
from memprobe.reporters.chart import numbers
from memprobe.reporters.inside_tree import Line, lines
from memprobe.reporters.printable import printable
from memprobe.reporters.text import cost

HOLDERS_SHOWN = 20
SPECIAL = re.compile(r"([\\`*_\[\]|~<>&$#@])")


def render(report: Report) -> str:
    """Return ``report`` as one Markdown document that ends in a newline."""
    return "\n".join(_lines(report)) + "\n"


def render_inside(report: InsideReport) -> str:
    """Return only what is inside of holders."""
    return "\n".join([f"## {code(report.recording.program or 'process')}",
                      *_inside(report.holders)]) + "\n"  # fmt: skip


def _lines(report: Report) -> Iterator[str]:
    recording = report.recording
    yield f"## {escaped(phrases.headline(report))}"
    yield ""
    facts = " · ".join(escaped(fact) for fact in phrases.facts(recording))
    yield f"{code(recording.program or 'process')} {facts}  "
    yield escaped(" · ".join(part.plain for part in numbers(recording)))
    for finding in report.findings:
        yield from _finding(finding, report)
    yield from _holders(report.holders)
    yield from _account(report)
    yield from _spark(report.spark)
    yield from _allocations(report.allocations)
    yield from _inside(report.holders)
    yield ""
    yield f"Measuring cost {escaped(' · '.join(cost(report.overhead)))}."
    yield from _not_measured(report)


def _finding(finding: Finding, report: Report) -> Iterator[str]:
    place = code(phrases.location(finding, report.recording))
    yield ""
    amount = f"{size(finding.reclaim.bytes)} " if finding.reclaim.bytes else ""
    yield f"### {escaped(finding.code)} {escaped(finding.name)}: {amount}({finding.status})"
    yield ""
    yield f"{prose(finding.title)} ({place})."
    yield ""
    for label, text in _facts(finding, report):
        if text:
            yield f"- **{label}** {text}"


def _facts(finding: Finding, report: Report) -> Iterator[tuple[str, str]]:
    yield "held by", ", ".join(code(expr) for expr in phrases.holders(finding))
    edges = [step.edge for step in finding.path]
    yield "path", " → ".join(code(edge) for edge in edges) if len(edges) > 1 else ""
    yield "why", prose(finding.why)
    release = phrases.release_line(finding, report)
    fix = "; then ".join(map(typed, finding.fix.splitlines()))
    yield "fix", f"{fix}; or: {code(release)}" if release else fix
    yield "gives", escaped(phrases.gives(finding))
    if not allocations.tell_origin(finding):
        yield "made in", escaped(phrases.place(finding.created))
    yield "allocated at", escaped("; ".join(allocations.allocated(finding)))
    yield "last used", escaped(phrases.last_use(finding.last_used))
    yield "fingerprint", code(finding.fingerprint) if finding.fingerprint else ""


def _holders(rows: list[HolderRow]) -> Iterator[str]:
    if not rows:
        return
    yield ""
    yield "| Who holds what | object | exclusive | shared | made in | last used |"
    yield "|---|---|--:|--:|---|---|"
    for row in rows[:HOLDERS_SHOWN]:
        cells = [
            ", ".join(code(expr, cell=True) for expr in row.exprs),
            f"{code(row.object.type, cell=True)} {escaped(phrases.described(row.object))}",
            size(row.exclusive_bytes),
            size(row.shared_bytes) if row.shared_bytes else "–",
            escaped(phrases.place(row.created)) or "–",
            escaped(phrases.last_use(row.last_used)) or "–",
        ]
        yield f"| {' | '.join(cells)} |"


def _account(report: Report) -> Iterator[str]:
    processes = account.told(report.account)
    if not processes:
        return
    yield ""
    yield f"**Where it lies** {escaped(account.sentence(report.account))}."
    for process in processes:
        yield ""
        yield f"| {process.role} | {size(process.rss)} | {account.shares(process)} |"
        yield "|---|--:|---|"
        for name, nbytes in account.ordered(process):
            share = nbytes / (process.rss or 1)
            bar = account.shade(name) * round(share * account.BAR)
            yield f"| {account.NAMES.get(name, name)} | {size(nbytes)} | {bar} |"


def _spark(found: SparkReport | None) -> Iterator[str]:
    if found is None:
        return
    yield ""
    yield f"**Spark** {escaped(' · '.join(spark.facts(found)))}"
    for titles, rows, more in spark.parts(found):
        yield ""
        yield f"| {' | '.join(titles)} |"
        yield f"|{'---|' * len(titles)}"
        yield from (f"| {' | '.join(map(escaped, row))} |" for row in rows)
        if more:
            yield ""
            yield f"{more}."
    for label, told in spark.lines(found):
        yield ""
        yield f"{label}: {escaped(' · '.join(told))}"


def _allocations(held: HeldAllocations | None) -> Iterator[str]:
    if held is None:
        return
    yield ""
    yield f"| {allocations.TITLE} | bytes |"
    yield "|---|--:|"
    for site in held.sites[: allocations.SHOWN]:
        yield f"| {escaped(allocations.place(site))} | {size(site.bytes or 0)} |"
    yield ""
    yield f"{escaped(allocations.totals(held))}."


def _inside(rows: list[HolderRow]) -> Iterator[str]:
    for row in rows:
        if row.inside is None:
            continue
        yield ""
        yield f"### Inside {code(row.exprs[0])}"
        yield ""
        extent = phrases.described(row.object)
        held = f"{code(row.object.type)}{f' {escaped(extent)}' if extent else ''}"
        yield f"{held}: {size(row.inside.bytes)} in {counted(row.inside.objects, 'object')}."
        for sentence in inside.sentences(row):
            yield escaped(f"{sentence[0].upper()}{sentence[1:]}.")
        yield ""
        for line in lines(row.inside):
            yield f"{'  ' * line.depth}- {_inner(line, row.inside.bytes)}"


def _inner(line: Line, whole: int) -> str:
    nbytes = line.rest[0] if line.node is None else line.node.bytes
    share = f" ({percent(nbytes / whole)})" if whole else ""
    if line.node is None:
        return f"{inside.text_of(line)}: {size(nbytes)}{share}"
    node = line.node
    objects = f" in {counted(node.objects, 'object')}" if node.objects > 1 else ""
    held = f"{code(inside.text_of(line))} {escaped(inside.words(node))}"
    return f"{held}: {size(nbytes)}{share}{objects}"


def _not_measured(report: Report) -> Iterator[str]:
    if report.not_measured:
        yield ""
        yield "**Not measured**"
        yield ""
    for gap in report.not_measured:
        yield f"- {escaped(gap.what)}: {escaped(gap.why)}"


def escaped(text: str) -> str:
    """Return ``text`` so that Markdown shows it as it is: no tag, no link, no emphasis."""
    shown = SPECIAL.sub(r"\\\1", printable(text))
    return shown.replace("\\<", "&lt;").replace("\\>", "&gt;").replace("\\&", "&amp;")


def code(text: str, *, cell: bool = False) -> str:
    """Return ``text`` as a code span, fenced longer than any run of backticks inside it.

    A table splits its cells before it looks for code: there a ``|`` needs its backslash.
    """
    shown = printable(text)
    if cell:
        shown = shown.replace("|", "\\|")
    longest = max((len(run) for run in re.findall(r"`+", shown)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if longest else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def typed(line: str) -> str:
    """Return one line of a fix: a sentence where it marks its code itself, else code to type."""
    return prose(line) if "`" in line else code(line)


def prose(text: str) -> str:
    """Return a sentence whose `code` stays code and whose rest is escaped."""
    parts = printable(text).split("`")
    if len(parts) % 2 == 0:  # a backtick without its partner
        return escaped(text)
    return "".join(
        code(part) if index % 2 and part else escaped(part) for index, part in enumerate(parts)
    )
