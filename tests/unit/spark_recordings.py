"""Readings of Spark in a few words, put into recordings of notebooks and scripts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from test_evidence import MB, SECOND, Cell, Held, notebook

from memprobe.recording.reader import Recording
from memprobe.recording.schema import (
    Child,
    End,
    Header,
    Jvm,
    JvmLevel,
    Sample,
    Snapshot,
    Spark,
    SparkBroadcast,
    SparkCache,
    SparkExecutor,
    SparkReach,
)

ROOTS = {"Out": "ipython-output", "_": "ipython-output", "?": "interpreter"}


def reach(words: str, root: str | None = None) -> list[SparkReach]:
    """Return holders: ``df``, ``agg~`` (reads it), ``d^`` (has it behind another cache), ``?``."""
    return [_reach(word, root) for word in words.split()]


def _reach(word: str, root: str | None) -> SparkReach:
    expr = word.rstrip("~^")
    how: Any = {"~": "reads", "^": "behind"}.get(word[-1], "itself")
    output = expr.startswith(("Out[", "_"))
    digits = "".join(char for char in expr if char.isdigit())
    kind = root or ("ipython-output" if output else ROOTS.get(expr, "notebook-namespace"))
    cell = int(digits) if output and digits else None
    return SparkReach(expr=expr, root=kind, how=how, cell=cell)


def cache(number: int, holders: str = "", megabytes: float = 20, *, root: str | None = None,
          **fields: Any) -> SparkCache:  # fmt: skip
    """Return a filled cache that cell ``cell`` (1 where none is said) made."""
    known: dict[str, Any] = {
        "rdd": number + 10, "level": "MEMORY_AND_DISK", "memory": int(megabytes * MB), "disk": 0,
        "partitions": 4, "cached": 4, "shape": f"shape{number}", "plan": f"plan{number}",
        "operators": ["Project", "Range"], "cell": 1, "since": number, "reads": 0,
        "executors": {"0": [int(megabytes * MB), 0]}, **fields,
    }  # fmt: skip
    return SparkCache(id=number, holders=reach(holders, root), **known)


def broadcast(
    number: int, holders: str = "", megabytes: float = 20, **fields: Any
) -> SparkBroadcast:
    """Return a broadcast that is stored and that cell 1 made."""
    known: dict[str, Any] = {"cell": 1, "memory": int(megabytes * MB), "disk": 0, **fields}
    return SparkBroadcast(id=number, holders=reach(holders), **known)


def executor(name: str, used: float, most: float = 100, **fields: Any) -> SparkExecutor:
    """Return an executor that uses so many of ``most`` megabytes of storage memory."""
    return SparkExecutor(
        id=name, max=int(most * MB), used=int(used * MB), remaining=int((most - used) * MB),
        **fields,
    )  # fmt: skip


def spark(*caches: SparkCache, at: float | None = None, cell: int | None = None,
          reason: str = "cell", **fields: Any) -> Spark:  # fmt: skip
    """Return a reading; without ``at`` it is taken when the cell ``cell`` has ended."""
    moment = at if at is not None else float(cell or 0) - 0.1
    return Spark(
        t=int(moment * SECOND), reason=reason, app=fields.pop("app", "app"), cell=cell,
        caches=list(caches), **fields,
    )  # fmt: skip


def sparking(*readings: Spark, cells: list[Cell], held: list[Held] | None = None,
             ended: bool = False, **more: Any) -> Recording:  # fmt: skip
    """Return a notebook's recording; a reading without a cell is of its last one."""
    recording = notebook(*cells, held=held or [], **more)
    for one in readings:
        if one.cell is None:
            one.cell, one.t = len(cells), int((len(cells) - 0.1) * SECOND)
    recording.spark = list(readings)
    if ended:
        recording.end = End(t=recording.samples[-1].t, reason="exit", status=0)
    return recording


def script(*readings: Spark, seconds: float = 60.0, ended: bool = True) -> Recording:
    """Return a script's recording of that length, in which Spark was read."""
    now = int(seconds * SECOND)
    return Recording(
        path=Path("x.memprobe"), header=Header(t=0, context="script", program="etl.py"),
        samples=[Sample(t=now)], snapshots=[Snapshot(t=now)], spark=list(readings),
        end=End(t=now, reason="exit", status=0) if ended else None,
    )  # fmt: skip


def heap(*megabytes: float, start: int = 1, collections: bool = True) -> list[Jvm]:
    """Return a reading of the JVM at the end of each cell from ``start`` on."""
    return [
        Jvm(
            t=int((cell - 0.1) * SECOND), pid=77, cell=cell, heap_after_gc=int(size * MB),
            collections=cell if collections else 3,
        )
        for cell, size in enumerate(megabytes, start)
    ]  # fmt: skip


def noted(
    *megabytes: float, kept: int = 30, start: int = 1, collected: Sequence[float] = ()
) -> list[JvmLevel]:
    """Return what was noted of the JVM at the end of each cell from ``start`` on.

    ``collected``: after which part of each cell the last collection of it ended.
    """
    return [
        JvmLevel(
            t=int((cell - 0.1) * SECOND), cell=cell, heap_after_gc=int(size * MB),
            collections=cell, python_objects=100 + kept * cell, jobs=cell,
            collected=int((cell - 1 + collected[cell - start]) * SECOND) if collected else None,
        )
        for cell, size in enumerate(megabytes, start)
    ]  # fmt: skip


def workers(*rounds: dict[int, float], start: int = 1) -> list[Sample]:
    """Return a sample within each cell from ``start`` on, with the workers' megabytes by pid."""
    return [
        Sample(
            t=int((cell - 0.2) * SECOND), by="host",
            children=[
                Child(pid=pid, role="python-worker", rss=int(size * MB))
                for pid, size in sizes.items()
            ],
        )
        for cell, sizes in enumerate(rounds, start)
    ]  # fmt: skip
