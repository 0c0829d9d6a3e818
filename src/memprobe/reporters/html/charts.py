"""The data of the pictures, as plain values for JSON: names made harmless, numbers cut to need.

What each picture shows is also said in a sentence, for whoever does not see it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from memprobe.contrasts import ContrastReport, StepRow
from memprobe.findings import HolderRow, Report, SparkCacheRow, SparkReport
from memprobe.histories import ContrastHistory, History, Points, Series, Span, Stack
from memprobe.reporters import phrases
from memprobe.reporters.account import NAMES as BUCKETS
from memprobe.reporters.amounts import counted, duration, size
from memprobe.reporters.html.words import ROLES, family, finding_of
from memprobe.reporters.printable import printable

TITLES = {
    "contexts": "Notebook and script",
    "steps": "Live bytes by step",
    "total": "RSS and live bytes",
    "holders": "By holder",
    "account": "By bucket",
    "processes": "By process",
    "executors": "Spark storage",
}
MOST_SEGMENTS = 6  # caches told apart in an executor's bar

Json = dict[str, Any]


def report_charts(report: Report, history: History) -> Json:
    """Return the data of every picture of one report."""
    return {
        "limit": report.recording.limit,
        "main": _history(history),
        "scripts": [],
        "views": list(_views(history)),
        "summary": timeline_summary(report, history),
        "treemap": _treemap(history.holders or report.holders, report),
        "spark": _spark(report.spark),
    }


def contrast_charts(report: ContrastReport, history: ContrastHistory) -> Json:
    """Return the data of every picture of a contrast, both contexts on one axis of time."""
    charts = report_charts(report, history.notebook)
    steps = _steps(report.contrast.steps)
    first = ["contexts"] if history.scripts else []
    first += ["steps"] if steps["names"] else []
    views = [{"key": key, "title": TITLES[key]} for key in first]
    charts["treemap"] = _treemap(report.holders, report)
    charts["scripts"] = [
        _history(one, shift) for one, shift in zip(history.scripts, history.shifts, strict=True)
    ]
    charts["steps"] = steps
    charts["script_spark"] = _spark(report.contrast.script.spark)
    charts["views"] = [*views, *(one for one in charts["views"] if one["key"] != "total")]
    return charts


def timeline_summary(report: Report, history: History) -> str:
    """Return what the picture over time shows, in a sentence or two."""
    if not history.rss:
        return "No RSS was read over time."
    levels = [value for _, value in history.rss]
    peak = max(history.rss, key=lambda point: point[1])
    told = (
        f"Memory over {duration(history.wall)}: RSS between {size(min(levels))} and "
        f"{size(max(levels))}, highest after {duration(peak[0])}, {size(levels[-1])} at the end."
    )
    if history.live:
        told += f" Named holders kept {size(history.live[-1][1])} at the last snapshot."
    if report.recording.limit:
        told += f" The limit is {size(report.recording.limit)}."
    return told


def _views(history: History) -> Iterable[Json]:
    known = {
        "total": bool(history.rss or history.live),
        "holders": bool(history.held.names),
        "account": bool(history.account.names),
        "processes": bool(history.processes),
        "executors": bool(history.executors),
    }
    return ({"key": key, "title": TITLES[key]} for key, there in known.items() if there)


def _history(history: History, shift: float = 0.0) -> Json:
    return {
        "wall": history.wall,
        "rss": _points(history.rss, shift),
        "live": _points(history.live, shift),
        "held": _stack(history.held, shift),
        "account": {
            **_stack(history.account, shift),
            "names": [printable(BUCKETS.get(name, name)) for name in history.account.names],
            "families": list(map(family, history.account.names)),
        },
        "processes": [_series(one, ROLES) for one in history.processes],
        "executors": [_series(one, {}) for one in history.executors],
        "steps": [_span(one, shift) for one in history.steps],
        "rounds": [_span(one, shift) for one in history.rounds],
    }


def _stack(stack: Stack, shift: float) -> Json:
    return {
        "times": [round(moment + shift, 3) for moment in stack.times],
        "names": [printable(name) for name in stack.names],
        "values": [[None if one is None else round(one) for one in row] for row in stack.values],
    }


def _points(points: Points, shift: float = 0.0) -> Json:
    return {
        "x": [round(moment + shift, 3) for moment, _ in points],
        "y": [round(value) for _, value in points],
    }


def _series(series: Series, names: dict[str, str]) -> Json:
    return {"name": printable(names.get(series.name, series.name)), **_points(series.points)}


def _span(span: Span, shift: float) -> Json:
    return {
        "name": printable(span.name),
        "start": round(span.start + shift, 3),
        "end": None if span.end is None else round(span.end + shift, 3),
        "error": printable(span.error) if span.error else None,
        "peak": span.peak,
        "change": span.change,
    }


def _steps(rows: Sequence[StepRow]) -> Json:
    """Return the live bytes after each step in both contexts; null where not measured."""
    script = [row.live.script for row in rows]
    known = any(row.live.first is not None for row in rows)
    return {
        "names": [printable(row.name) for row in rows] if known else [],
        "notebook": [row.live.first for row in rows],
        "script": [one.median if one else None for one in script],
    }


def _treemap(rows: Sequence[HolderRow], report: Report) -> list[Json]:
    """Return one tile per holder that keeps something alone, with its row's position."""
    return [
        {
            "row": at,
            "label": printable(row.exprs[0]) if row.exprs else "?",
            "more": len(row.exprs) - 1,
            "type": printable(row.object.type),
            "extent": phrases.described(row.object),
            "root": phrases.root(row.roots[0]) if row.roots else "",
            "bytes": row.exclusive_bytes,
            **_judged(row, report),
        }
        for at, row in enumerate(rows)
        if row.exclusive_bytes > 0
    ]


def _judged(row: HolderRow, report: Report) -> Json:
    at = finding_of(row, report.findings)
    if at is None:
        return {"status": "none", "code": ""}
    finding = report.findings[at]
    return {"status": finding.status, "code": printable(finding.code)}


def _spark(spark: SparkReport | None) -> Json | None:
    """Return what each executor stores of which cache; None where nothing is known of it."""
    executors = [one for one in (spark.executors if spark else None) or [] if one.used is not None]
    if spark is None or not executors:
        return None
    ids = [one.id for one in executors]
    segments = _segments(spark, ids)
    told = [sum(one["values"][at] for one in segments) for at in range(len(ids))]
    rest = [max(0, (one.used or 0) - told[at]) for at, one in enumerate(executors)]
    if sum(rest):
        segments.append({"name": "other storage" if segments else "storage", "values": rest})
    return {
        "executors": [printable(id_) for id_ in ids],
        "max": [one.max for one in executors],
        "segments": segments,
        "summary": _spark_summary(spark, ids),
    }


def _segments(spark: SparkReport, ids: Sequence[str]) -> list[Json]:
    """Return the memory of the largest caches on each of the executors ``ids``."""
    caches = sorted(spark.caches or [], key=lambda one: -(one.memory or 0))
    return [
        {"name": _cache_name(one), "values": [one.executors.get(id_, [0, 0])[0] for id_ in ids]}
        for one in [one for one in caches if one.executors][:MOST_SEGMENTS]
    ]


def _spark_summary(spark: SparkReport, ids: list[str]) -> str:
    used = [one.used or 0 for one in spark.executors or [] if one.used is not None]
    return (
        f"Storage memory of {counted(len(ids), 'executor')}: {size(sum(used))} in use, "
        f"the fullest {size(max(used))}."
    )


def _cache_name(cache: SparkCacheRow) -> str:
    names = [*cache.holders, *cache.views]
    number = f"RDD {cache.rdd}" if cache.rdd is not None else cache.kind
    return printable(f"{number} {names[0]}" if names and names[0] != "?" else number)
