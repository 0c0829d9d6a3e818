"""The report for a person at a terminal: what can be had back, from where, and how.

Every name goes in as ``Text``, never as markup, so a variable called ``[red]`` is just a name.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Iterator

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from memprobe.findings import (
    Finding,
    HolderRow,
    InsideReport,
    Overhead,
    RecordingSummary,
    Report,
    SparkReport,
)
from memprobe.reporters import account, allocations, chart, inside, phrases, spark
from memprobe.reporters.amounts import counted, duration, percent, size
from memprobe.reporters.cells import cells
from memprobe.reporters.printable import printable
from memprobe.reporters.trace import shortened, trace

STATUS_STYLES = {"leaking": "bold red", "suspect": "bold yellow", "advice": "bold cyan"}
NARROWEST = 40
WIDEST = 120  # a longer line is tiring to read
HOLDERS_SHOWN = 10
WIDE_TABLE = 100
# Columns for the names of one row of that table; a finding lists all of its holders.
WIDE_NAMES = 36
NARROW_NAMES = 22
ENGINES = {
    "native": "walked by the native walker",
    "fallback": "walked in the process, without the native walker",
}
NOBODY = "Nothing a name holds is large enough to be listed"
NOBODY_LOOKED = "Nobody looked at what holds the memory: no snapshot was taken"


def render(report: Report, *, width: int = 80, color: bool = False) -> str:
    """Return ``report`` for ``width`` columns, with ANSI colours where ``color`` is set."""
    return printed(lambda room: _parts(report, room), width, color)


def render_holders(report: Report, *, width: int = 80, color: bool = False) -> str:
    """Return only who holds what in the last snapshot, and what was not measured."""
    return printed(lambda room: _holders_only(report, room), width, color)


def render_inside(report: InsideReport, *, width: int = 80, color: bool = False) -> str:
    """Return only what is inside of holders."""
    return printed(lambda room: _inside_only(report, room), width, color)


def printed(parts: Callable[[int], Iterable[RenderableType]], width: int, color: bool) -> str:
    """Return ``parts``, made for the width that is left, as text with ANSI colours or without."""
    width = max(NARROWEST, min(width, WIDEST))
    console = Console(
        file=io.StringIO(),
        width=width,
        force_terminal=color,
        color_system="standard" if color else None,
        legacy_windows=False,
        markup=False,
        highlight=False,
        emoji=False,
    )
    with console.capture() as capture:
        for part in parts(width):
            console.print(part)
    return "\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n"


def _parts(report: Report, width: int) -> Iterator[RenderableType]:
    yield Text(phrases.headline(report), _headline_style(report))
    yield ""
    yield from _recording(report, width)
    for finding in report.findings:
        yield ""
        yield from _finding(finding, report, width)
    if report.holders:
        yield ""
        yield from _holders(report.holders, width)
    yield from _account(report, width)
    yield from _spark(report.spark, width)
    yield from allocations.table(report.allocations)
    yield from cells(report.recording.cell_rows)
    yield from inside.parts(report.holders, width)
    yield ""
    yield from _cost(report.overhead, width)
    yield from _not_measured(report)


def _holders_only(report: Report, width: int) -> Iterator[RenderableType]:
    recording = report.recording
    yield from _program(recording, width)
    yield ""
    if report.holders:
        yield from _holders(report.holders, width)
    else:
        yield Text(NOBODY if recording.snapshots else NOBODY_LOOKED, "yellow")
    yield from _not_measured(report)


def _inside_only(report: InsideReport, width: int) -> Iterator[RenderableType]:
    yield from _program(report.recording, width)
    yield from inside.parts(report.holders, width)


def _program(recording: RecordingSummary, width: int) -> Iterator[Text]:
    name = Text(phrases.program(recording), "bold")
    yield from packed([name, *map(Text, phrases.facts(recording))], width)


def _headline_style(report: Report) -> str:
    if report.fails:
        return "bold red" if any(f.status == "leaking" for f in report.findings) else "bold yellow"
    return "bold green" if report.recording.snapshots else "bold yellow"


def _recording(report: Report, width: int) -> Iterator[RenderableType]:
    recording = report.recording
    yield from _program(recording, width)
    yield from chart.chart(recording, width)
    yield from packed(chart.numbers(recording), width)


def _finding(finding: Finding, report: Report, width: int) -> Iterator[RenderableType]:
    yield _title(finding, report, width)
    yield Padding(Group(*trace(finding, width - 2)), (0, 0, 0, 2))
    yield Padding(_labelled(list(_rows(finding, report))), (0, 0, 0, 2))


def _title(finding: Finding, report: Report, width: int) -> RenderableType:
    style = STATUS_STYLES[finding.status]
    left = Text.assemble((printable(finding.code), style), " ", (printable(finding.name), "bold"))
    left.append(f"   {phrases.location(finding, report.recording)}")
    right = Text(finding.status, style)
    if finding.reclaim.bytes:
        right = Text.assemble(right, " · ", (size(finding.reclaim.bytes), "bold"))
    if left.cell_len + right.cell_len + 3 > width:
        return Group(left, Padding(right, (0, 0, 0, 2)))
    left.append(" " * (width - left.cell_len - right.cell_len))
    return left + right


def _rows(finding: Finding, report: Report) -> Iterator[tuple[str, Text]]:
    """Yield what stands below the tree: a label and its text, empty ones left out."""
    names = phrases.holders(finding)
    if len(names) > 1:
        yield "held by", Text(f"{', '.join(names)} (all {len(names)} must go)")
    yield "why", prose(finding.why or finding.title)
    for position, line in enumerate(finding.fix.splitlines()):
        yield "" if position else "fix", prose(line, "green")
    release = phrases.release_line(finding, report)
    yield "", prose(f"or: {release}" if release else "", "green")
    yield "gives", Text(phrases.gives(finding))
    if not allocations.tell_origin(finding):
        yield "made in", Text(phrases.place(finding.created))
    for position, place in enumerate(allocations.allocated(finding)):
        yield "" if position else "allocated at", Text(place)
    yield "last used", Text(phrases.last_use(finding.last_used))
    yield "also", Text(", ".join(map(printable, finding.also)))


def prose(text: str, style: str = "") -> Text:
    """Return a sentence with its `code` in colour; the backticks stay, for paper and no colour."""
    shown = Text(printable(text), style)
    for match in re.finditer(r"`[^`]+`", shown.plain):
        shown.stylize("cyan", match.start(), match.end())
    return shown


def _labelled(rows: list[tuple[str, Text]]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for label, text in rows:
        if text.plain:
            table.add_row(label, text)
    return table


def packed(parts: list[Text], width: int) -> Iterator[Text]:
    """Yield ``parts`` joined by dots in lines of at most ``width``, broken only between parts."""
    line = Text()
    for part in parts:
        if line and line.cell_len + part.cell_len + 3 > width:
            yield line
            line = Text("  ")
        elif line:
            line.append(" · ", "dim")
        line.append_text(part)
    yield line


def _holders(rows: list[HolderRow], width: int) -> Iterator[RenderableType]:
    wide = width >= WIDE_TABLE
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim not bold")
    table.add_column(Text("Who holds what", "bold not dim"), no_wrap=True)
    table.add_column("object", overflow="fold")
    table.add_column("exclusive", justify="right", no_wrap=True)
    table.add_column("shared", justify="right", no_wrap=True)
    table.add_column("made in" if wide else "made", overflow="fold")
    table.add_column("last used" if wide else "used", no_wrap=wide, overflow="fold")
    for row in rows[:HOLDERS_SHOWN]:
        table.add_row(*_holder_cells(row, wide))
    yield table
    if len(rows) > HOLDERS_SHOWN:
        yield Text(f"and {counted(len(rows) - HOLDERS_SHOWN, 'smaller holder')}", "dim")


def _holder_cells(row: HolderRow, wide: bool) -> list[Text]:
    kind = printable(row.object.type)
    kind = kind if wide else kind.rpartition(".")[2]
    held = " ".join(filter(None, [kind, phrases.described(row.object)]))
    return [
        Text(_names(row.exprs, WIDE_NAMES if wide else NARROW_NAMES)),
        Text(held),
        Text(size(row.exclusive_bytes) if row.exclusive_bytes else "–", "bold"),
        Text(size(row.shared_bytes) if row.shared_bytes else "–"),
        Text(phrases.place(row.created, brief=not wide) or "–"),
        Text((phrases.last_use(row.last_used, brief=not wide)) or "–"),
    ]


def _names(exprs: list[str], room: int) -> str:
    """Return as many of ``exprs`` as ``room`` columns hold, and how many more there are."""
    shown = shortened(printable(exprs[0]), room) if exprs else ""
    for position, expr in enumerate(exprs[1:], start=1):
        longer = f"{shown}, {printable(expr)}"
        more = f" +{len(exprs) - position}"
        if cell_len(longer) > room - len(more):
            return shown + more
        shown = longer
    return shown


def _account(report: Report, width: int) -> Iterator[RenderableType]:
    processes = account.told(report.account)
    if not processes:
        return
    yield ""
    yield Text.assemble(("Where it lies  ", "bold"), account.sentence(report.account))
    for process in processes:
        head = Text.assemble((f"{process.role} ", ""), (size(process.rss), "bold"))
        yield from packed([head, *map(Text, account.shares(process).split(", "))], width)
        columns = account.bar(process, min(account.BAR, width - 4))
        yield Text.assemble("  ", *((one * count, account.STYLES[one]) for one, count in columns))
        legend = (
            Text.assemble(
                (account.shade(name), account.STYLES[account.shade(name)]),
                f" {account.NAMES.get(name, name)} {size(nbytes)}",
            )
            for name, nbytes in account.ordered(process)
        )
        yield from (Text("  ") + line for line in packed(list(legend), width - 2))


def _spark(found: SparkReport | None, width: int) -> Iterator[RenderableType]:
    if found is None:
        return
    yield ""
    yield from packed([Text("Spark", "bold"), *map(Text, spark.facts(found))], width)
    for titles, rows, more in spark.parts(found):
        yield ""
        yield spark.table(titles, rows)
        if more:
            yield Text(more, "dim")
    for position, (label, told) in enumerate(spark.lines(found)):
        if not position:
            yield ""
        first = Text.assemble((f"{label}  ", "dim"), told[0])
        yield from packed([first, *map(Text, told[1:])], width)


def _cost(overhead: Overhead, width: int) -> Iterator[Text]:
    first, *rest = cost(overhead)
    yield from packed([Text.assemble(("Measuring cost  ", "dim"), first), *map(Text, rest)], width)


def cost(overhead: Overhead) -> list[str]:
    """Return what the measurement cost, part by part; at least one."""
    parts: list[str] = []
    if overhead.cpu_seconds is not None:
        share = f" ({percent(overhead.cpu_share)} of a core)" if overhead.cpu_share else ""
        parts.append(f"{duration(overhead.cpu_seconds)} CPU{share}")
    if overhead.bytes is not None:
        parts.append(f"{size(overhead.bytes)} written")
    parts.append(_pauses(overhead.pauses_ms))
    if overhead.exit_ms:
        parts.append(f"{overhead.exit_ms:.0f} ms at exit")
    if overhead.engine is not None:
        parts.append(ENGINES[overhead.engine])
    return parts + allocations.tracers(overhead)


def _pauses(pauses: list[float]) -> str:
    if not pauses:
        return "no pause"
    longest = f"{max(pauses):.0f} ms"
    if len(pauses) == 1:
        return f"1 pause of {longest}"
    return f"{len(pauses)} pauses, {sum(pauses):.0f} ms in all, the longest {longest}"


def _not_measured(report: Report) -> Iterator[RenderableType]:
    if not report.not_measured:
        return
    yield ""
    yield Text("Not measured", "dim")
    yield Padding(
        _labelled([(printable(g.what), Text(printable(g.why))) for g in report.not_measured]),
        (0, 0, 0, 2),
    )
