"""Spark in words and cells, the same in every format: what is stored, where, and held by whom.

All texts are printable. "–" is what was not measured or does not apply, never a zero.
"""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from memprobe.findings import (
    SparkBroadcastRow,
    SparkCacheRow,
    SparkExecutorRow,
    SparkJvm,
    SparkReport,
)
from memprobe.reporters.amounts import counted, duration, percent, size
from memprobe.reporters.phrases import place
from memprobe.reporters.printable import printable

SHOWN = 10  # caches and executors; broadcasts half as many
NAMES_SHOWN = 3
NONE = "–"

CACHES = ("Spark storage", "held by", "made", "memory", "disk", "stored", "reads")
EXECUTORS = ("Executor", "storage used", "of max", "JVM RSS", "Python RSS", "spilled")
BROADCASTS = ("Broadcast", "held by", "made", "stored", "file", "in Python")
CLASSES = ("Driver JVM class", "instances", "bytes")
LEFT_COLUMNS = 3  # of caches and broadcasts: texts; the others are numbers


def parts(spark: SparkReport) -> Iterator[tuple[tuple[str, ...], list[list[str]], str]]:
    """Yield (titles, rows, how many more) of each table that has any row."""
    caches, executors, broadcasts = (
        spark.caches or [],
        spark.executors or [],
        spark.broadcasts or [],
    )
    told = [row for row in broadcasts if _is_stored(row)]
    if caches:
        yield CACHES, list(map(_cache, caches[:SHOWN])), _more(len(caches), SHOWN, "cache")
    if executors:
        yield (
            EXECUTORS,
            list(map(_executor, executors[:SHOWN])),
            _more(len(executors), SHOWN, "executor"),
        )
    if told:
        most = SHOWN // 2
        yield BROADCASTS, list(map(_broadcast, told[:most])), _more(len(told), most, "broadcast")
    if spark.jvm is not None and spark.jvm.classes_by_bytes:
        yield CLASSES, list(map(_class, spark.jvm.classes_by_bytes[:SHOWN])), ""


def facts(spark: SparkReport) -> list[str]:
    """Return what kind of application it is."""
    found = [printable(spark.version)] if spark.version else []
    found += [printable(spark.master)] if spark.master else []
    found += ["Spark Connect"] if spark.mode == "connect" else []
    if spark.stopped:
        found.append("stopped: nothing of it is stored any more")
    if spark.caches == []:
        found.append("nothing is cached")
    if spark.shared:
        found.append("other programs use the same driver")
    if spark.sessions is not None and spark.sessions > 1:
        found.append(counted(spark.sessions, "session"))
    return found or ["no application was read"]


def lines(spark: SparkReport) -> Iterator[tuple[str, list[str]]]:
    """Yield the driver's JVM and what it remembers: a label and its parts, each of them."""
    told = list(_jvm(spark.jvm)) if spark.jvm is not None else []
    if told:
        yield "Driver JVM", told
    kept = _remembered(spark)
    if kept:
        yield "Driver keeps", kept


def _jvm(jvm: SparkJvm) -> Iterator[str]:
    if jvm.heap_used is not None:
        of = f" of {size(jvm.heap_max)}" if jvm.heap_max is not None else ""
        yield f"heap {size(jvm.heap_used)}{of}"
    # Larger than what is in use: each part of the heap has had its last collection at another time.
    if jvm.heap_after_gc is not None and jvm.heap_after_gc <= (jvm.heap_used or 0):
        yield f"{size(jvm.heap_after_gc)} after collections"
    if jvm.heap_committed is not None:
        yield f"{size(jvm.heap_committed)} committed"
    for name, used in sorted((jvm.buffers or {}).items()):
        if used:
            yield f"{size(used)} {printable(name)} buffers"
    if jvm.rss is not None:
        yield f"RSS {size(jvm.rss)}"
    if jvm.gc_ms is not None:
        yield f"{duration(jvm.gc_ms / 1000)} in collections"


def _remembered(spark: SparkReport) -> list[str]:
    found = []
    if spark.executions is not None:
        found.append(counted(spark.executions, "SQL execution"))
    if spark.jobs is not None:
        found.append(counted(spark.jobs, "job"))
    if spark.jvm_objects is not None:
        found.append(counted(spark.jvm_objects, "object") + " for Python")
    if spark.accumulators:
        found.append(counted(spark.accumulators, "accumulator"))
    for one in spark.streams or []:
        state = f", state {size(one.state_bytes)}" if one.state_bytes is not None else ""
        found.append(f"streaming query {printable(one.id)[:8]}{state}")
    return found


def _cache(row: SparkCacheRow) -> list[str]:
    kind = {"dataframe": "DataFrame ", "rdd": ""}.get(row.kind, f"{row.kind} ")
    kind = kind or ("" if row.rdd is not None else "RDD ")
    number = f"RDD {row.rdd}" if row.rdd is not None else "not filled"
    return [
        f"{kind}{number}", _held(row),
        place(row.created, brief=True) or NONE, size_or_none(row.memory),
        size_or_none(row.disk), _share(row.cached, row.partitions), _count(row.reads),
    ]  # fmt: skip


def _held(row: SparkCacheRow) -> str:
    names = [*row.holders, *(f"view {view}" for view in row.views)]
    names += [f"table {row.table}"] if row.table else []
    if not names and row.behind:
        return f"behind {_few(row.behind)}"
    if names:
        return _few(names)
    if not row.ours:
        return "perhaps another program"
    return "nobody" if row.known else "not looked up yet"


def _few(names: list[str]) -> str:
    shown = ["a frame without a name" if name == "?" else printable(name) for name in names]
    shown = list(dict.fromkeys(shown))
    more = f" +{len(shown) - NAMES_SHOWN}" if len(shown) > NAMES_SHOWN else ""
    return ", ".join(shown[:NAMES_SHOWN]) + more


def _executor(row: SparkExecutorRow) -> list[str]:
    lost = "" if row.active else " (lost)"
    used = f" ({percent(row.used / row.max)})" if row.used is not None and row.max else ""
    peak = " peak" if row.rss_by == "peak" else ""
    return [
        printable(row.id) + lost, f"{size_or_none(row.used)}{used}", size_or_none(row.max),
        size_or_none(row.jvm_rss) + (peak if row.jvm_rss is not None else ""),
        size_or_none(row.python_rss) + (peak if row.python_rss is not None else ""),
        size_or_none(row.spilled),
    ]  # fmt: skip


def _broadcast(row: SparkBroadcastRow) -> list[str]:
    known = row.memory is not None or row.disk is not None
    held = _few(row.holders) if row.holders else "nobody"
    return [
        f"{row.id}{' (destroyed)' if row.destroyed else ''}", held,
        place(row.created, brief=True) or NONE,
        size((row.memory or 0) + (row.disk or 0)) if known else NONE, size_or_none(row.file),
        "yes" if row.in_python else "no",
    ]  # fmt: skip


def _class(row: list[int | str]) -> list[str]:
    name, count, total = row
    return [printable(str(name)), f"{int(count):,}", size(int(total))]


def _is_stored(row: SparkBroadcastRow) -> bool:
    return bool(row.memory or row.disk or row.file or row.in_python)


def size_or_none(count: int | None) -> str:
    """Return ``count`` bytes in words; a dash where nobody could tell."""
    return NONE if count is None else size(count)


def _share(part: int | None, whole: int | None) -> str:
    return NONE if part is None or whole is None else f"{part}/{whole}"


def _count(number: int | None) -> str:
    return NONE if number is None else f"{number:,}"


def _more(number: int, shown: int, noun: str) -> str:
    return f"and {counted(number - shown, f'more {noun}')}" if number > shown else ""


def table(titles: tuple[str, ...], rows: list[list[str]]) -> Table:
    """Return one of ``parts`` for a terminal."""
    found = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim not bold")
    texts = LEFT_COLUMNS if titles not in (EXECUTORS, CLASSES) else 1
    found.add_column(Text(titles[0], "bold not dim"), no_wrap=True)
    for position, title in enumerate(titles[1:], start=1):
        if position < texts:
            found.add_column(title, overflow="fold")
        else:
            found.add_column(title, justify="right", no_wrap=True)
    for row in rows:
        found.add_row(*map(Text, row))
    return found
