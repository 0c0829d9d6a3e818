"""Lets go of what findings name, on request only.

Each finding is looked at as a whole first: where one of its references is not what the snapshot
saw, nothing of it is touched. Then its cuts are made one after the other; at the first that fails
the rest is left. What was cut is kept until then and dropped at the end, so that the code that
the end of an object may run (``__del__``, callbacks of weak references) finds all cuts made.

It runs between two cells, on the thread that runs the cells. While a cell runs, only references
are cut that the cell does not use, on the probe's thread; objects that end then run their code
there. Whatever calls a library's function waits for the cell's end.
"""

from __future__ import annotations

from . import cuts, main_thread, reclaimed, unregister
from .cuts import Changed, Refused
from .release_space import Space

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .measure import Probe
    from .spark_release import SparkCuts

    Prepare = Callable[[Space, dict[str, Any]], Callable[[], object]]

# What of the user's objects is cut: these take turns with a cell that runs.
REFERENCES: dict[str, Prepare] = {
    "del": cuts.name, "output": cuts.output, "traceback": cuts.traceback, "frames": cuts.frames,
}  # fmt: skip
# What only goes on between cells.
CALLS: dict[str, Prepare] = {
    "clear": cuts.clear, "cache-clear": cuts.cache_clear, "attribute": cuts.attribute,
    "del-generator": cuts.name, "copy-array": cuts.copy_array,
    "close-figure": cuts.close_figure, "unregister": unregister.unregister,
    "collect": lambda space, cut: reclaimed.collect,
    "arrow": lambda space, cut: reclaimed.release_arrow,
    "trim": lambda space, cut: reclaimed.trim,
}  # fmt: skip
SPARK_ACTIONS = ("unpersist", "unpersist-rdd", "uncache-table", "drop-view", "destroy", "jvm-gc")
# What the measurement does in any case: not before, where it is what is measured.
_MEASURED = frozenset({"collect", "arrow", "trim"})
_OUTPUT_NAMES = ("Out", "_oh", "_", "__", "___")


def release(probe: Probe, args: dict[str, Any], *, inside: bool = False) -> dict[str, Any]:
    """Make the cuts of ``args["findings"]``, each ``{"fingerprint", "cuts"}``.

    ``args["number"]`` is the snapshot that they speak of. ``inside``: a magic asks, on the
    thread of the cells. Returns ``state``: ``done``; ``busy``, nothing was touched since a cell
    runs that the cuts cannot go along with; ``changed``; ``refused``; ``late``.
    """
    shell, ledger = probe.shell, probe.ledger
    if shell is None:
        return {"state": "refused", "why": "there is no notebook in this process"}
    if ledger is None or ledger.number != args.get("number"):
        return {"state": "changed", "why": "somebody took another snapshot meanwhile"}
    work = Release(probe, args["findings"])
    try:
        return _released(work, shell, args["findings"], inside)
    finally:
        work.close()


def _released(
    work: Release, shell: Any, findings: list[dict[str, Any]], inside: bool
) -> dict[str, Any]:
    """Run ``work`` on the thread that is right for it now."""
    if inside:
        return work.finished(work.run(), "cell")
    if not main_thread.in_a_cell(shell):
        turn = main_thread.BetweenCells(shell, work.run)
        state = turn.run()
        if state == "done" and turn.error is None:
            return work.finished(turn.result, "main")
        if state == "done":
            return {"state": "failed", "why": type(turn.error).__name__}
        if state == "late":
            return {"state": "late", "why": f"it has not ended after {main_thread.LONGEST:.0f} s"}
        if state == "nowhere":
            return work.finished(work.run(), "probe")
    why = while_a_cell_runs(shell, findings)
    if why:
        return {"state": "busy", "why": why}
    return work.finished(work.run(), "probe")


def while_a_cell_runs(shell: Any, findings: list[dict[str, Any]]) -> str:
    """Return why the cuts must wait for the running cell, or nothing."""
    used = names_in_use(shell)
    for one in findings:
        for cut in one["cuts"]:
            if cut["action"] not in REFERENCES:
                return f"a cell runs, and `{cut['says']}` waits for its end"
            name = cut["expr"].partition(".")[0].partition("[")[0]
            shown = cut["action"] == "output" and used.intersection(_OUTPUT_NAMES)
            if name in used or shown:
                return f"the cell that runs uses `{cut['expr']}`"
    return ""


def names_in_use(shell: Any) -> set[str]:
    """Return the names that the cell that runs reads or binds, through functions it calls too."""
    from . import names

    history = shell.history_manager.input_hist_parsed
    found = names.of_cell(history[-1])
    return names.with_called(found, shell.user_ns) | set(found.bound) | set(found.deleted)


class Release:
    """All cuts of one request; ``run`` makes them."""

    def __init__(self, probe: Probe, findings: list[dict[str, Any]]) -> None:
        self._probe = probe
        self._findings = findings
        self.spark: SparkCuts | None = None  # made when a cut needs it

    def close(self) -> None:
        """Close the connection to Spark, where one was made."""
        if self.spark is not None:
            self.spark.close()

    def finished(self, result: dict[str, Any], thread: str) -> dict[str, Any]:
        """Complete a result by what is held now, once that does not change any more."""
        places = result.get("places")
        if places is not None:
            if self.spark is not None:
                places["executors"]["after"] = self.spark.stored_at_last()
                places["driver-jvm"]["after"] = self.spark.heap_at_last()
            places["driver-python"]["after"] = reclaimed.resident_at_last()
        result["thread"] = thread
        return result

    def run(self) -> dict[str, Any]:
        """Look at all findings, cut those that agree, and say of each what was done."""
        space = Space(self._probe.shell, self._probe.look(), self._probe.ledger)
        rows = []
        ready: list[tuple[dict[str, Any], list[Callable[[], object]]]] = []
        for one in self._findings:
            row, prepared = self._prepared(space, one)
            rows.append(row)
            if prepared is not None:
                ready.append((row, prepared))
        space.forget()
        if not ready:
            return {"state": "done", "findings": rows, "places": None}
        asked = {cut["action"] for one in self._findings for cut in one["cuts"]}
        reclaimed.settle(_MEASURED & asked)
        places: dict[str, Any] = {"driver-python": {"before": reclaimed.resident()}}
        if self.spark is not None:
            places["executors"] = {"before": self.spark.stored()}
            places["driver-jvm"] = {"before": self.spark.heap_at_rest()}
        while ready:
            _cut(*ready.pop(0))
        prepared = None
        space.held.clear()
        space.copies.clear()
        reclaimed.settle()
        return {"state": "done", "findings": rows, "places": places}

    def _prepared(
        self, space: Space, finding: dict[str, Any]
    ) -> tuple[dict[str, Any], list[Callable[[], object]] | None]:
        """Return the row that tells of a finding, and what cuts it, or None where it must not."""
        row: dict[str, Any] = {"fingerprint": finding["fingerprint"], "done": 0}
        prepared = []
        for cut in finding["cuts"]:
            try:
                prepared.append(self._prepare(space, cut))
            except (Changed, Refused) as reason:
                kind = "changed" if isinstance(reason, Changed) else "refused"
                return {**row, "state": kind, "why": f"{cut['expr']}: {reason}"}, None
        return {**row, "state": "done"}, prepared

    def _prepare(self, space: Space, cut: dict[str, Any]) -> Callable[[], object]:
        action = cut["action"]
        if action in SPARK_ACTIONS:
            from .spark_release import SparkCuts

            self.spark = self.spark or SparkCuts(self._probe.shell)
            return self.spark.prepare(cut)
        prepare = REFERENCES.get(action) or CALLS.get(action)
        if prepare is None:
            raise Refused(f"this probe does not know how to {action}")
        return prepare(space, cut)


def _cut(row: dict[str, Any], prepared: list[Callable[[], object]]) -> None:
    """Make the cuts of one finding; at the first that fails, say so and leave the rest."""
    for make in prepared:
        try:
            make()
        except (Changed, Refused) as reason:
            row.update(state="failed", why=str(reason))
            return
        except Exception as error:
            row.update(state="failed", why=type(error).__name__)
            return
        row["done"] += 1
