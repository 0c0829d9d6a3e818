"""What each part of the screen shows of a report, as text for a given width."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from memprobe.findings import Finding, ProcessAccount, RecordingSummary, Report
from memprobe.reporters.amounts import duration, percent, size
from memprobe.reporters.chart import columns, numbers
from memprobe.reporters.phrases import program
from memprobe.reporters.printable import printable

BLOCKS = " ▁▂▃▄▅▆▇█"
LABEL = 10  # columns
LONGEST = 32  # columns of a holder's expression
BAR = 24  # columns of the widest bar of the account
STYLES = {"leaking": "bold red", "suspect": "yellow", "advice": "cyan"}


def head(report: Report) -> Text:
    """Return one line: what it is, and how much memory it has."""
    name = Text(f" {program(report.recording)} ", "bold reverse")
    parts = [name, Text(f"process {report.recording.pid}"), *numbers(report.recording)]
    return Text("  ").join(parts)


def timeline(
    recording: RecordingSummary, ends: Sequence[tuple[float, int]], width: int, rows: int
) -> Text:
    """Return memory over time as ``rows`` lines of blocks, and below it where cells ended.

    ``ends``: (seconds since the start, number) of each cell.
    """
    points = recording.timeline
    count = width - LABEL - 1
    if len(points) < 2 or count < 10 or rows < 1:
        return Text("waiting for samples …", "dim")
    levels = columns(points, count, recording.wall)
    low, high = min(levels), max(levels)
    floor = 0.0 if high - low > 0.3 * high else max(0.0, low - 0.1 * high)
    span = (high - floor) or 1.0
    lines = [
        _row(rows, row, [(level - floor) / span for level in levels], high, floor)
        for row in reversed(range(rows))
    ]
    return Text("\n").join([*lines, _cells(recording, ends, count), _axis(recording, count)])


def _row(rows: int, row: int, shares: Sequence[float], high: float, floor: float) -> Text:
    label = {rows - 1: size(high), 0: size(floor)}.get(row, "") if rows > 1 else size(high)
    blocks = "".join(_block(share, rows, row) for share in shares)
    return Text.assemble((f"{label:>{LABEL}} ", "dim"), (blocks, "blue"))


def _block(share: float, rows: int, row: int) -> str:
    eighths = round(share * rows * 8) - row * 8
    return BLOCKS[max(1 if row == 0 else 0, min(eighths, 8))]


def _cells(recording: RecordingSummary, ends: Sequence[tuple[float, int]], count: int) -> Text:
    """Return the numbers of the cells that ended while we looked, where there is room."""
    marks = [" "] * count
    wall = recording.wall or 1.0
    for ended, cell in ends:
        word = f"[{cell}]"
        place = min(int(ended / wall * count), count - len(word))
        if place >= 0 and all(mark == " " for mark in marks[place : place + len(word)]):
            marks[place : place + len(word)] = word
    return Text.assemble(" " * (LABEL + 1), ("".join(marks).rstrip(), "magenta"))


def _axis(recording: RecordingSummary, count: int) -> Text:
    last = duration(recording.wall)
    return Text(" " * (LABEL + 1) + "0 s" + " " * max(1, count - 3 - len(last)) + last, "dim")


def account(processes: Sequence[ProcessAccount], width: int) -> Text:
    """Return each process's RSS in its buckets, as bars; nothing where none was accounted."""
    lines: list[Text] = []
    for process in processes:
        if not process.buckets:
            continue
        shares = f" · {percent(process.owned)} owned" if process.owned is not None else ""
        lines.append(Text(f"{process.role} {size(process.rss)}{shares}", "bold"))
        top = max(process.buckets.values()) or 1
        named = sorted(process.buckets.items(), key=lambda item: -item[1])
        lines += [_bar(name, count, top, width) for name, count in named if count > 0]
    return Text("\n").join(lines) if lines else Text("no account was taken yet", "dim")


def _bar(name: str, count: int, top: int, width: int) -> Text:
    room = max(4, min(BAR, width - 40))
    bar = "█" * max(1, round(room * count / top))
    return Text.assemble(f"  {name[:24]:<24} ", (f"{size(count):>10} ", ""), (bar, "green"))


def findings(report: Report) -> list[tuple[Text, str, str]]:
    """Return code, bytes and title of each finding."""
    return [
        (
            Text(one.code, STYLES.get(one.status, "")),
            size(one.exclusive_bytes),
            printable(one.title),
        )
        for one in report.findings
    ]


def holders(report: Report) -> list[tuple[str, str, str, str, str]]:
    """Return who holds what: expression, type, bytes, made, last used."""
    rows = []
    for one in report.holders:
        made = f"[{one.created.cell}]" if one.created and one.created.cell is not None else ""
        used = f"[{one.last_used.cell}]" if one.last_used and one.last_used.cell is not None else ""
        rows.append((
            _names(one.exprs), printable(one.object.type), size(one.exclusive_bytes),
            made, used,
        ))  # fmt: skip
    return rows


def _names(exprs: Sequence[str]) -> str:
    """Return the first expression, shortened, and how many more there are."""
    first = printable(exprs[0]) if exprs else "?"
    short = first if len(first) <= LONGEST else first[: LONGEST - 1] + "…"
    return short + (f" +{len(exprs) - 1}" if len(exprs) > 1 else "")


def spark(report: Report) -> Text:
    """Return what Spark stores, one cache per line; empty without an application."""
    if report.spark is None:
        return Text("")
    app = printable(report.spark.app or "Spark")
    stored = [row for row in report.spark.caches or [] if row.memory or row.disk]
    lines = [Text(f"{app}: {len(stored)} cached", "bold")]
    for row in sorted(stored, key=lambda one: -((one.memory or 0) + (one.disk or 0))):
        held = ", ".join([*row.holders, *row.views]) or row.table or "nobody"
        disk = f" + {size(row.disk)} disk" if row.disk else ""
        lines.append(Text(f"  {printable(held)[:28]:<28} {size(row.memory):>10}{disk}"))
    return Text("\n").join(lines)


def detail(finding: Finding) -> Text:
    """Return what a finding means and what to type."""
    return Text.assemble(
        (f"{finding.code} {finding.name}\n", STYLES.get(finding.status, "")),
        f"{printable(finding.why)}\n", ("fix: ", "dim"), printable(finding.fix),
    )  # fmt: skip
