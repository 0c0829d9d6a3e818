"""A contrast for a person at a terminal: the answer first, then the numbers side by side."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from memprobe.contrasts import ContrastReport, HolderRow, Life, Measure, Spread, StepRow
from memprobe.findings import Report
from memprobe.reporters import contrast_spark_text, text
from memprobe.reporters.amounts import counted, duration, size
from memprobe.reporters.contrast import script_report
from memprobe.reporters.measures import Amount, amount, pair, signed
from memprobe.reporters.phrases import described, place
from memprobe.reporters.printable import printable
from memprobe.reporters.trace import shortened

WIDE = 100
HOLDERS_SHOWN = 8
STEPS_SHOWN = 40
ALONE_SHOWN = 12
FIXES_SHOWN = 4
STYLES = {"notebook-keeps": "bold red", "clean": "bold green", "not-compared": "bold yellow"}
NAMES = {
    "start-up": "start-up",
    "base": "RSS before it",
    "wall": "wall time",
    "cpu": "CPU time",
    "peak": "peak RSS",
    "live": "live at the end",
    "rss": "RSS at the end",
    "held": "held after it",
    "growth": "live, per round",
    "rss-growth": "RSS, per round",
    "jvm-cpu": "JVM: CPU time",
    "workers-cpu": "Python workers: CPU",
    "tasks": "executors: task time",
    "jvm-peak": "JVM: peak RSS",
    "stored": "Spark storage at end",
    "jvm-rss": "JVM: RSS at the end",
    "stored-after": "storage held after it",
    "jvm-after": "JVM held after it",
    "stored-growth": "storage, per round",
    "jvm-growth": "JVM RSS, per round",
}


def render(report: ContrastReport, *, width: int = 80, color: bool = False) -> str:
    """Return ``report`` for ``width`` columns, with ANSI colours where ``color`` is set."""
    return text.printed(lambda room: _parts(report, room), width, color)


def _parts(report: ContrastReport, width: int) -> Iterator[RenderableType]:
    verdict = report.contrast.verdict
    style = "bold red" if verdict.script_leaks else STYLES[verdict.kind]
    yield Text(printable(verdict.text), style)
    for position, line in enumerate(verdict.type[:FIXES_SHOWN]):
        yield Text.assemble(
            ("type  " if not position else "      ", "dim"), text.prose(line, "green")
        )
    yield ""
    yield Text(_what_ran(report), "dim")
    yield ""
    yield from _totals(report.contrast.totals, width)
    yield from _steps(report.contrast.steps, width)
    yield from contrast_spark_text.steps(_most_telling(report.contrast.steps))
    yield from _rounds(report)
    yield from contrast_spark_text.rounds(report.contrast.rounds)
    yield from _holders(report.contrast.holders, width)
    yield from _spark(report, width)
    yield from _findings(report, width)
    yield ""
    yield from text._cost(report.overhead, width)
    yield from text._not_measured(report)


def _what_ran(report: ContrastReport) -> str:
    script = report.contrast.script
    derived = " (derived from it)" if script.derived else ""
    return (
        f"{printable(report.recording.program)}: {counted(len(report.contrast.rounds), 'round')} "
        f"in one kernel; {printable(script.program)}{derived}: "
        f"{script.processes} fresh {'process' if script.processes == 1 else 'processes'}"
    )


def _table(title: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim not bold")
    table.add_column(Text(title, "bold not dim"))
    return table


def _totals(measures: dict[str, Measure], width: int) -> Iterator[RenderableType]:
    table = _table("In total")
    for title in ("first round", "later rounds", "script", "the notebook"):
        table.add_column(title, justify="right", overflow="fold")
    for name, measure in measures.items():
        table.add_row(NAMES.get(name, name), *_columns(measure))
    yield table
    for why in dict.fromkeys(one.why for one in measures.values() if one.why):
        names = [NAMES.get(name, name) for name, one in measures.items() if one.why == why]
        yield Text(f"{', '.join(names)}: {why}", "dim")


def _columns(measure: Measure) -> list[Text]:
    show = amount(measure)
    script = Text(spread(measure.script, show))
    first = Text(show(measure.first) if measure.first is not None else "–")
    return [first, Text(spread(measure.later, show)), script, judged(measure, show)]


def spread(found: Spread | None, show: Amount) -> str:
    """Return ``1.2–1.4 s``, one value where the ends read alike, a dash where unmeasured."""
    if found is None:
        return "–"
    low, high = show(found.low), show(found.high)
    if low == high:
        return low
    if found.low < 0:
        return f"±{show(max(abs(found.low), abs(found.high)))}"
    number, unit = low.rsplit(" ", 1)
    return f"{number}–{high}" if high.endswith(f" {unit}") else f"{low} – {high}"


def judged(measure: Measure, show: Amount) -> Text:
    """Return the difference, or that there is none, or a dash where nothing was compared."""
    if measure.judgement == "no difference":
        return Text("no difference", "dim")
    if measure.difference is None or measure.judgement == "not compared":
        return Text("not compared" if measure.why else "–", "dim")
    sign, style = ("+", "bold") if measure.difference > 0 else ("−", "bold")
    return Text(f"{sign}{show(abs(measure.difference))}", style)


def _steps(rows: list[StepRow], width: int) -> Iterator[RenderableType]:
    if not rows:
        return
    shown = ["wall", "peak", "live"] if width < WIDE else ["wall", "cpu", "peak", "live"]
    table = _table("Step")
    for name in shown:
        title = "CPU" if name == "cpu" else name
        table.add_column(f"{title}\nnotebook", justify="right", no_wrap=True)
        table.add_column("\nscript", justify="right", no_wrap=True)
    kept = _most_telling(rows)
    for row in kept:
        cells = [cell for name in shown for cell in pair(getattr(row, name))]
        table.add_row(_step_name(row), *cells)
    yield ""
    yield table
    if len(rows) > len(kept):
        yield Text(f"and {counted(len(rows) - len(kept), 'step')} that moved less", "dim")
    if any(getattr(row, name).judgement == "no difference" for row in rows for name in shown):
        yield Text("≈ no difference beyond the noise from run to run", "dim")
    alone = [printable(row.name) for row in rows if row.wall.script is None]
    if len(alone) == len(rows):
        yield Text("no step of the script: it was not run in steps, or cannot be aligned", "dim")
    elif alone:
        shown_names = ", ".join(alone[:ALONE_SHOWN]) + (" …" if len(alone) > ALONE_SHOWN else "")
        yield Text(f"without a counterpart in the script: {shown_names}", "dim")


def _most_telling(rows: list[StepRow]) -> list[StepRow]:
    """Return the steps that differ or take most, in their order; all of them where few."""

    def weight(row: StepRow) -> tuple[bool, float, float]:
        return bool(row.error), abs(row.live.difference or 0.0), row.wall.first or 0.0

    chosen = sorted(rows, key=weight, reverse=True)[:STEPS_SHOWN]
    return [row for row in rows if any(row is one for one in chosen)]


def _step_name(row: StepRow) -> Text:
    name = Text(printable(row.name))
    if row.error:
        name.append(" failed", "yellow")
    return name


def _rounds(report: ContrastReport) -> Iterator[RenderableType]:
    rows = report.contrast.rounds
    if len(rows) < 2:
        return
    table = _table("In the kernel")
    for title in ("wall", "peak", "live", "more", "RSS", "more"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            f"round {row.round}",
            *(
                Text(show(value) if value is not None else "–")
                for show, value in (
                    (duration, row.wall),
                    (size, row.peak),
                    (size, row.live),
                    (signed, row.growth),
                    (size, row.rss),
                    (signed, row.rss_growth),
                )
            ),
        )
    yield ""
    yield table
    yield Text("round 1 has imports and first use in it: growth is what later rounds add", "dim")


def _holders(rows: list[HolderRow], width: int) -> Iterator[RenderableType]:
    if not rows:
        return
    wide = width >= WIDE
    table = _table("Who held what")
    table.add_column("object", overflow="fold")
    for title in ("bytes", "made", "used", "notebook until", "script until"):
        right = title == "bytes"
        table.add_column(
            title, justify="right" if right else "left", no_wrap=right, overflow="fold"
        )
    if wide:
        table.add_column("idle", justify="right")
    for row in rows[:HOLDERS_SHOWN]:
        table.add_row(*_holder(row, wide))
    yield ""
    yield table
    if len(rows) > HOLDERS_SHOWN:
        yield Text(f"and {counted(len(rows) - HOLDERS_SHOWN, 'smaller holder')}", "dim")


def _holder(row: HolderRow, wide: bool) -> list[Text]:
    kind = printable(row.object.type)
    life = row.notebook or row.script
    assert life is not None
    cells = [
        Text(shortened(printable(row.name), 28 if wide else 14)),
        Text(" ".join(filter(None, [kind if wide else kind.rpartition(".")[2],
                                    described(row.object) if wide else ""]))),
        Text(size(life.bytes), "bold"),
        Text(place(life.created, brief=True) or "–"),
        Text(life.last_used or "–"),
        Text(_until(row.notebook)),
        Text(_until(row.script) if row.why is None else "–"),
    ]  # fmt: skip
    return [*cells, Text(duration(life.idle) if life.idle is not None else "–")] if wide else cells


def _until(life: Life | None) -> str:
    return printable(life.until) if life is not None else "never there"


def _spark(report: ContrastReport, width: int) -> Iterator[RenderableType]:
    """Show what either context has in Spark: storage, executors, broadcasts, the JVM."""
    for where, found in (("notebook", report.spark), ("script", report.contrast.script.spark)):
        if found is not None:
            yield ""
            yield Text(f"In Spark, the {where}", "bold underline")
            yield from text._spark(found, width)


def _findings(report: ContrastReport, width: int) -> Iterator[RenderableType]:
    sides: list[Report] = [report, script_report(report)]
    for side in sides:
        if not side.findings:
            continue
        where = "notebook" if side.recording.context == "notebook" else "script"
        yield ""
        yield Text(f"Findings in the {where}", "bold underline")
        for finding in side.findings:
            yield ""
            yield from text._finding(finding, side, width)
    left = report.contrast.script.left
    if left:
        yield ""
        yield Padding(Text(f"left behind by the script: {', '.join(map(printable, left))}"), 0)
