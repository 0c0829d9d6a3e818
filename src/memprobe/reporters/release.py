"""What a release will do or has done, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from memprobe.releases import Bucket, Measured, Released, ReleaseReport
from memprobe.reporters import account
from memprobe.reporters.amounts import percent, size, size_range
from memprobe.reporters.printable import printable
from memprobe.reporters.text import printed

# What follows the cuts in any case: docs/reclaim.md says why.
ALWAYS = "gc.collect(), Arrow's release_unused() where pyarrow is loaded, malloc_trim(0)"
SPARK = ", System.gc() in the driver's JVM"
PLACES = {"driver-python": "this process", "driver-jvm": "the driver's JVM",
          "executors": "Spark's storage"}  # fmt: skip
THREADS = {
    "main": "between two cells, on the thread that runs them",
    "cell": "in this cell",
    "probe": "beside the cell that runs, on memprobe's own thread",
}
LEAST_MOVE = 1 << 20  # bytes: a smaller change of a bucket is not told in the text


def render_json(report: ReleaseReport) -> str:
    """Return ``report`` as indented JSON, with ``given_back`` for each place."""
    document = msgspec.to_builtins(report)
    for row, told in zip(document["measured"], report.measured):
        row["given_back"] = told.given_back
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def render(report: ReleaseReport, *, width: int = 80, color: bool = False) -> str:
    """Return ``report`` for ``width`` columns."""
    return printed(lambda room: _parts(report), width, color)


def _parts(report: ReleaseReport) -> Iterator[RenderableType]:
    begun = any(one.state != "planned" for one in report.findings)
    for position, one in enumerate(report.findings):
        if position:
            yield ""
        yield from _finding(one)
    yield ""
    if not begun:
        spark = any(one.predicted.where != "driver-python" for one in report.findings)
        yield Text(f"and then  {ALWAYS}{SPARK if spark else ''}", "dim")
        if report.dry_run:
            yield Text("Nothing was touched.", "bold")
        return
    for told in report.measured:
        yield _measured(told)
    yield from _buckets(report.buckets)
    if report.thread is not None:
        yield Text(f"done {THREADS[report.thread]}", "dim")


def _finding(one: Released) -> Iterator[RenderableType]:
    title = Text.assemble((f"{one.code} {one.fingerprint}", "bold"), f"  {printable(one.title)}")
    yield title
    lines = []
    for position, cut in enumerate(one.cuts):
        made = one.state == "done" or (one.state == "failed" and position < one.cuts_done)
        sign = "✓ " if made else "  " if one.state == "planned" else "✗ "
        line = Text.assemble(sign, (printable(cut.says), "green" if made else ""))
        if cut.also:
            line.append(f"   also reached as {', '.join(map(printable, cut.also))}", "yellow")
        lines.append(line)
    if one.why:
        lines.append(Text(f"{one.state}: {printable(one.why)}", "red"))
    lines.append(Text(f"predicted  {_predicted(one)}", "dim"))
    yield Padding(Group(*lines), (0, 0, 0, 2))


def _predicted(one: Released) -> str:
    found = one.predicted
    text = f"{size(found.bytes)} of {PLACES[found.where]} ({found.basis}"
    if size(found.low) != size(found.high):
        text += f", {size_range(found.low, found.high)}"
    return text + ")"


def _measured(told: Measured) -> Text:
    """Return ``this process: 91.6 MiB came back, 91.5 MiB predicted (+0.1 %): 512 → 420 MiB``."""
    place = PLACES.get(told.where, told.where)
    back = told.given_back
    if back is None:
        return Text(f"{place}: what came back was not measured", "yellow")
    line = Text.assemble(f"{place}: ", (f"{size(back)} came back", "bold green"))
    if told.predicted is not None:
        line.append(f", {size(told.predicted)} predicted")
        if told.predicted:
            line.append(f" ({_signed(back / told.predicted - 1)})")
    line.append(f": {size(told.before)} → {size(told.after)}", "dim")
    return line


def _buckets(buckets: list[Bucket]) -> Iterator[Text]:
    """Yield the buckets that moved, the largest change first."""
    moved = [one for one in buckets if abs(one.before - one.after) >= LEAST_MOVE]
    for one in sorted(moved, key=lambda one: -abs(one.before - one.after)):
        name = account.NAMES.get(one.name, one.name)
        yield Text(f"  {name}: {size(one.before)} → {size(one.after)}", "dim")


def _signed(share: float) -> str:
    return f"{'−' if share < 0 else '+'}{percent(abs(share))}"
