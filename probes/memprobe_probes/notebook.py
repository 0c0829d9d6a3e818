"""IPython cell hooks: a marker before and after every cell, with the names it binds and uses."""

from __future__ import annotations

import sys
import time
import types

from . import advancing, artists, derivations, names, sizes
from .census import Census
from .sampler import Counters
from .shells import running_shell as running_shell
from .usage import Usage, named
from .waiting import Waiting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from typing import Any

    WriteMarker = Callable[..., None]
    Guard = Callable[[], AbstractContextManager[Any]]

_MOST_REPLAYED = 2000
_MOST_NAMES = 400
# Of the cells of before, so many count with what the functions read that they call. Functions are
# looked up as they are now: for cells of long ago that says ever less.
_FOLLOWED = 50


def cell_is_running() -> bool:
    """Whether the main thread is inside a cell, read from its stack."""
    import threading

    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    while frame is not None:
        code = frame.f_code
        if code.co_name == "run_code" and code.co_filename.endswith("interactiveshell.py"):
            return True
        frame = frame.f_back
    return False


def idle_seconds(shell: Any) -> float | None:
    """Return how long ago the kernel was last asked for anything by whoever works in it.

    The date is of the client's clock. None: a cell runs, or the kernel does not tell.
    """
    if cell_is_running():
        return None
    try:
        date = shell.kernel.get_parent("shell")["header"]["date"]
        return max(0.0, time.time() - float(date.timestamp()))
    except Exception:
        return None  # no kernel behind the shell, or none that knows


class CellHooks:
    """Registers with IPython's events and writes a marker per cell start and end.

    ``write`` takes a marker's fields; ``guarded`` accounts and shields what runs on the user's
    thread; ``ended`` is called after every cell. The hooks hold no reference to a user's object
    between cells: of the namespace they keep names and ids.
    """

    def __init__(
        self, shell: Any, counters: Counters, write: WriteMarker, guarded: Guard,
        ended: Callable[[], None], *, reset_peak: bool,
    ) -> None:  # fmt: skip
        self._shell = shell
        self._counters = counters
        self._write = write
        self._guarded = guarded
        self._ended = ended
        self._reset_peak = reset_peak
        self._started: dict[str, Any] | None = None
        self._census = Census(shell)
        self._sources: set[str] = set()  # hashes of the cells that ran
        self.waiting = Waiting()
        self._usage = Usage()
        self._learnt = 0  # cells of the history whose use of containers is known
        self.last_cell: int | None = None
        self.figures = artists.FigureCells()
        self.sampled_peak = 0
        self.paused = False  # a cell of ours runs, which is to leave no marker

    def install(self) -> None:
        """Start listening."""
        self.figures.note(None)
        self._shell.events.register("pre_run_cell", self._before)
        self._shell.events.register("post_run_cell", self._after)

    def remove(self) -> None:
        """Stop listening; safe to call twice."""
        for event, callback in (("pre_run_cell", self._before), ("post_run_cell", self._after)):
            try:
                self._shell.events.unregister(event, callback)
            except ValueError:
                continue

    def replay(self) -> None:
        """Write a marker for each cell that ran before the probe came, from IPython's history."""
        history = self._history()
        busy = cell_is_running()
        first = max(1, len(history) - _MOST_REPLAYED)
        for cell in range(first, len(history)):
            found = names.of_cell(history[cell])
            running = busy and cell == len(history) - 1
            fields = self._named(
                found, history[cell], cell, follow=cell >= len(history) - _FOLLOWED
            )
            phase = "start" if running else "replay"
            error = None if running else self._past_error(cell)
            self._sources.add(fields["hash"])
            if cell == len(history) - 1:
                fields["lengths"] = self._census.changes()
            self._write(phase=phase, source="history", cell=cell, error=error, **fields)
            self.last_cell = cell

    def memos(self) -> list[str]:
        """Return the containers that the cells so far use as caches."""
        history = self._history()
        for source in history[self._learnt : self._learnt + _MOST_REPLAYED]:
            self._usage.learn(source)
        self._learnt = min(len(history), self._learnt + _MOST_REPLAYED)
        return named(self._census.exprs(), self._usage.memos)

    def growing(self) -> list[str]:
        """Return the containers that were found longer after several cells."""
        return self._census.growing()

    def _past_error(self, cell: int) -> str | None:
        """Return the type of the exception that ended an earlier cell, where IPython knows it."""
        manager = getattr(self._shell, "history_manager", None)
        told = (getattr(manager, "exceptions", None) or {}).get(cell)
        if type(told) is dict and type(told.get("ename")) is str:
            return str(told["ename"])
        result = getattr(self._shell, "last_execution_result", None)
        same = getattr(result, "execution_count", None) == cell
        return _error_type(result) if same else None

    def _history(self) -> list[str]:
        manager = getattr(self._shell, "history_manager", None)
        history = getattr(manager, "input_hist_parsed", None)
        return history if type(history) is list else []

    def _before(self, info: Any) -> None:
        if self.paused:
            return
        self._started = None
        with self._guarded():
            self._on_start(info)

    def _after(self, result: Any) -> None:
        if self.paused:
            return
        with self._guarded():
            self._on_end(result)

    def _on_start(self, info: Any) -> None:
        source = self._transformed(info)
        found = names.of_cell(source)
        cell = len(self._history()) if info.store_history else None
        began = {
            "source": source, "found": found, "cell": cell, "t": time.monotonic_ns(),
            "cell_id": _cell_id(info), "ids": self._ids(),
        }  # fmt: skip
        if cell is not None:
            self.last_cell = cell
        fields = self._named(found, source, cell)
        self._write(
            phase="start", cell=cell, cell_id=began["cell_id"], rss=self._counters.rss(),
            cpu=time.process_time(), **fields,
        )  # fmt: skip
        began["by_kernel"] = self._reset_peak and self._counters.reset_high_water()
        self.sampled_peak = 0
        self._started = began

    def _on_end(self, result: Any) -> None:
        cpu = time.process_time()  # first: what follows is the probe's own work
        began, self._started = self._started, None
        if began is None:
            began = self._joined_midway(result)
        rss = self._counters.rss()
        fields = self._named(began["found"], began["source"], began["cell"])
        fields["bound"] = self._bound(began)
        self.figures.note(began["cell"])
        fields["lengths"] = self._census.changes()
        fields["advanced"] = self._advanced(began["source"], fields)
        self._write(
            phase="end", cell=began["cell"], cell_id=began["cell_id"],
            seconds=_seconds_since(began["t"]), error=_error_type(result), rss=rss, cpu=cpu,
            peak=self._peak(began, rss), peak_by=self._peak_by(began), **fields,
        )  # fmt: skip
        self.waiting.look(began["cell"], self._shell)
        self._ended()

    def _advanced(self, source: str, fields: dict[str, Any]) -> list[str]:
        """Return what makes this run unlike the one before; only where there was one."""
        if fields["hash"] not in self._sources:
            self._sources.add(fields["hash"])
            return []
        return advancing.advanced(source, fields["used"], self._shell.user_ns)

    def _peak(self, began: dict[str, Any], rss: int | None) -> int | None:
        if began["by_kernel"]:
            return self._counters.high_water()
        return max(self.sampled_peak, rss or 0) or None

    def _peak_by(self, began: dict[str, Any]) -> str:
        return "kernel" if began["by_kernel"] else "sampled"

    def _joined_midway(self, result: Any) -> dict[str, Any]:
        """Describe a cell that was already running when the probe came."""
        cell = getattr(result, "execution_count", None)
        history = self._history()
        source = history[cell] if cell is not None and cell < len(history) else ""
        return {"source": source, "found": names.of_cell(source), "cell": cell, "t": None,
                "cell_id": _cell_id(getattr(result, "info", None)), "ids": None,
                "by_kernel": False}  # fmt: skip

    def _named(
        self, found: names.CellNames, source: str, cell: int | None, *, follow: bool = True
    ) -> dict[str, Any]:
        namespace = self._shell.user_ns
        used = names.with_called(found, namespace) if follow else found.used
        interesting = [name for name in used if name in namespace or name in found.bound]
        return {
            "hash": names.source_hash(source),
            "shows": self._shown(found, cell),
            "bound": dict(list(found.bound.items())[:_MOST_NAMES]),
            "used": sorted(interesting if follow else used)[:_MOST_NAMES],
            "deleted": sorted(found.deleted)[:_MOST_NAMES],
            **self._derived(found.derived),
        }

    def _derived(self, derived: derivations.Derivations) -> dict[str, Any]:
        """Return what was computed from what; modules are left out, they are no data."""
        space = self._shell.user_ns
        made = {
            name: [one for one in sources if type(space.get(one)) is not types.ModuleType]
            for name, sources in derived.made.items()
        }
        return {
            "made": {
                name: sources for name, sources in list(made.items())[:_MOST_NAMES] if sources
            },
            "recomputed": sorted(derived.recomputed)[:_MOST_NAMES],
            "collected": dict(list(derived.collected.items())[:_MOST_NAMES]),
        }

    def _shown(self, found: names.CellNames, cell: int | None) -> bool:
        """Whether IPython kept what the cell displayed: `print(x)` ends in an expression too."""
        outputs = self._shell.user_ns.get("_oh")
        return cell in outputs if cell is not None and type(outputs) is dict else found.shows

    def _bound(self, began: dict[str, Any]) -> dict[str, int]:
        """Return the names whose value the cell replaced, with the line where that is known."""
        lines = dict(began["found"].bound)
        before = began["ids"]
        if before is not None:
            for name, identity in self._ids().items():
                if before.get(name) != identity:
                    lines.setdefault(name, 0)
        return dict(list(lines.items())[:_MOST_NAMES])

    def _ids(self) -> dict[str, int]:
        return {
            name: id(value)
            for name, value in list(self._shell.user_ns.items())
            if type(name) is str and not name.startswith("_")
        }

    def _transformed(self, info: Any) -> str:
        """Return the cell as Python, without running the user's own input transformers."""
        source = getattr(info, "transformed_cell", None)
        if type(source) is str:
            return source
        raw = info.raw_cell if type(info.raw_cell) is str else ""
        try:
            module = sys.modules["IPython.core.inputtransformer2"]
            return str(module.TransformerManager().transform_cell(raw))
        except Exception:
            return raw


def _cell_id(info: Any) -> str | None:
    cell_id = getattr(info, "cell_id", None)
    return cell_id if type(cell_id) is str else None


def _seconds_since(t: int | None) -> float | None:
    return None if t is None else (time.monotonic_ns() - t) / 1e9


def _error_type(result: Any) -> str | None:
    error = getattr(result, "error_in_exec", None) or getattr(result, "error_before_exec", None)
    return None if error is None else sizes.type_name(type(error))
