"""The probe in a Databricks job: around a script that runs here, or in a notebook's cells.

What runs is the user's; the recording is copied to where the host finds it while it runs, and how
it ended is left beside it as the last file. Whatever fails here, the user's code runs.
"""

from __future__ import annotations

import builtins
import os
import sys
import time
import types

from . import bootstrap, courier, databricks, notebook, plain_json
from .context import Between
from .rounds import SETTLE, Rounds
from .segments import EVERY, Segments
from .steps import Plan, StepRecorder, split

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# What a Databricks task finds without making it.
GIVEN = ("spark", "sc", "sqlContext", "sql", "table", "dbutils", "display", "displayHTML")
LONGEST_END = 120.0  # seconds for the last snapshot: nobody waits for it but the job
_LAST_CELL = '["memprobe_probes.job"].end()'
_LAST = ("last_type", "last_value", "last_traceback", "last_exc")

_job: Job | None = None
_config: dict[str, Any] | None = None  # of a notebook whose first cell, ours, has not ended yet


class Job:
    """One recorded task: the probe in this process, and the copies of its recording."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.trouble: str | None = None
        self.folder = ""
        self.segments: Segments | None = None
        self.rounds: Any = None
        self.steps: Any = None  # the recorder of a script in steps, which has no thread
        self._between: Any = None  # what measures while such a script runs
        self._ended = False
        self._pid = os.getpid()
        try:
            self._begin(config)
        except Exception as error:
            self.trouble = f"{type(error).__name__}: {error}"

    def _begin(self, config: dict[str, Any]) -> None:
        self.folder = bootstrap.new_session_folder()
        walker = courier._unpacked(config.get("walker"), self.folder)
        in_steps = bool(config.get("steps"))
        settings = {**config["probe"], "folder": self.folder, "walker": walker,
                    "thread": not in_steps}  # fmt: skip
        told = bootstrap.start(settings)
        probe = bootstrap.active()
        if in_steps:
            self.steps = StepRecorder(probe)
            self._between = Between(probe)
        elif config.get("cells"):
            self.rounds = Rounds(probe, int(config["cells"]))
        self.segments = Segments(told["spool"], config["folders"], config.get("every", EVERY))
        self.segments.start()

    def hooks(self) -> Any:
        """Return the probe's hooks on cells, or None."""
        probe = bootstrap.active()
        return None if probe is None else probe.hooks

    def end(self, status: int, error: str | None = None) -> None:
        """Take the last snapshot, copy the rest, say how it ended, and leave nothing here."""
        if self._ended or os.getpid() != self._pid:  # in a forked child it is not ours to end
            return
        self._ended = True
        try:
            if self.segments is not None:
                if self._between is not None:
                    self._between.end()
                bootstrap.stop("exit")
                _wait_for_departure()
                whole = self.segments.finish()
                self._leave_word(status, error, whole)
            courier._remove(self.folder)
        except Exception as failure:
            self.trouble = f"{type(failure).__name__}: {failure}"
        _say(self._complaint())

    def _leave_word(self, status: int, error: str | None, whole: bool) -> None:
        assert self.segments is not None
        failed = self.segments.failed
        word = {
            "status": status, "error": error, "whole": whole, "parts": self.segments.number,
            "trouble": self.trouble or failed,
        }  # fmt: skip
        self.segments.leave_word(plain_json.dumps(word))

    def _complaint(self) -> str:
        """Return what only this task's output can tell: nothing else may have arrived."""
        if self.trouble:
            return f"memprobe: it ran without the probe: {self.trouble}"
        if self.segments is not None and self.segments.failed:
            return f"memprobe: the recording could not be copied: {self.segments.failed}"
        return ""


def run(config: dict[str, Any], given: dict[str, Any]) -> None:
    """Run the script ``config["script"]`` as ``__main__`` and record it; raise what it raises.

    ``config``: ``script``, ``argv``, ``probe`` (as for ``bootstrap.start``), ``walker``,
    ``folders`` (the recording goes to the first that takes it), ``every`` (seconds between copies),
    ``steps`` (where the script's steps begin: then each has its markers and a snapshot).
    ``given``: the globals of the task. A script that ends by ``sys.exit(0)`` just ends: on
    serverless compute the exception would tear the interpreter down and fail the task.
    """
    job = Job(config)
    main, status, failure = _new_main(config["script"], given), 0, None
    former = sys.modules["__main__"], sys.argv, list(sys.path)
    sys.modules["__main__"] = main
    sys.argv = [config["script"], *config.get("argv", ())]
    sys.path.insert(0, os.path.dirname(config["script"]))
    try:
        _execute(config, main, job)
    except SystemExit as request:
        status = _status(request.code)
    except BaseException as error:
        failure, status = error, 1
        error.__traceback__ = _without_ours(error.__traceback__)
    last = _remember(failure)
    job.end(status, type(failure).__name__ if failure is not None else None)
    _restore(last)
    sys.modules["__main__"], sys.argv, sys.path[:] = former
    if failure is not None:
        raise failure
    if status and _may_exit(config):
        raise SystemExit(status)
    if status:
        raise RuntimeError(f"the script ended with status {status}")


def begin(config: dict[str, Any]) -> None:
    """Record a notebook's task from the end of its first cell on, which is ours."""
    global _config
    shell = notebook.running_shell()
    try:
        # Before the probe's own hooks: it is out again when they would tell of the last cell.
        shell.events.register("pre_run_cell", _before_cell)
        shell.events.register("post_run_cell", _after_cell)
        _uncount(shell)
        _config = config
    except Exception as error:
        _say(f"memprobe: it runs without the probe: {type(error).__name__}")


def copy_to(folders: list[str]) -> None:
    """Say in the first cell where the recording goes, where the text before did not."""
    if _config is not None:
        _config["folders"] = folders


def end() -> None:
    """End the recording of a notebook's task, in its last cell."""
    _finish(0, None)


def _before_cell(info: Any = None) -> None:
    """Before each cell: the last one is ours."""
    try:
        text = str(getattr(info, "raw_cell", ""))
        if _LAST_CELL in text:
            end()
        elif _job is not None and _job.rounds is not None:
            _before_one_of_rounds(_job, text)
    except BaseException:
        pass


def _before_one_of_rounds(job: Job, text: str) -> None:
    hooks = job.hooks()
    if not text.startswith(SETTLE):
        job.rounds.cell_begins()
        return
    if hooks is not None:
        hooks.paused = True
    job.rounds.cell_settled()


def _after_one_of_rounds(job: Job) -> None:
    hooks = job.hooks()
    if hooks is not None and hooks.paused:
        hooks.paused = False
        _uncount(notebook.running_shell())


def _after_cell(result: Any = None) -> None:
    """After our own cell, begin; a cell of the user's that fails is the last one of a task."""
    global _config, _job
    try:
        if _config is not None:
            config, _config = _config, None
            _job = Job(config)
            events = notebook.running_shell().events
            events.unregister("post_run_cell", _after_cell)
            events.register("post_run_cell", _after_cell)  # after the probe's: it tells of the cell
            return
        if _job is not None and _job.rounds is not None:
            _after_one_of_rounds(_job)
            return
        error = getattr(result, "error_in_exec", None) or getattr(result, "error_before_exec", None)
        if error is not None:
            _finish(1, type(error).__name__)
    except BaseException:
        pass


def _finish(status: int, error: str | None) -> None:
    global _job
    job, _job = _job, None
    shell = notebook.running_shell()
    try:
        shell.events.unregister("pre_run_cell", _before_cell)
        shell.events.unregister("post_run_cell", _after_cell)
    except Exception:
        pass
    if job is not None:
        job.end(status, error)


def _uncount(shell: Any) -> None:
    """Let the cell after this one be the first: the report counts as the notebook does."""
    shell.execution_count -= 1
    for history in ("input_hist_parsed", "input_hist_raw"):
        lines = getattr(shell.history_manager, history, None)
        if isinstance(lines, list) and len(lines) > 1:
            lines.pop()


def _may_exit(config: dict[str, Any]) -> bool:
    """Whether a script may end the interpreter by SystemExit, as it may on a cluster."""
    found = databricks.place(config["probe"].get("databricks"))
    return found is None or found["mode"] != databricks.SERVERLESS


def _new_main(path: str, given: dict[str, Any]) -> types.ModuleType:
    main = types.ModuleType("__main__")
    names = {name: given[name] for name in GIVEN if name in given}
    main.__dict__.update(names, __file__=path, __builtins__=builtins, __annotations__={})
    return main


def _execute(config: dict[str, Any], main: types.ModuleType, job: Job) -> None:
    path, space = config["script"], main.__dict__
    with open(path, "rb") as file:
        source = file.read()
    if job.steps is None:
        exec(compile(source, path, "exec", dont_inherit=True), space)
        return
    for step in split(source, path, Plan(config["steps"]).starts):
        job.steps.around(step, lambda code=step.code: exec(code, space))


def _without_ours(trace: Any) -> Any:
    """Leave out the frames of this file: a user reads where their own code failed."""
    here = (_execute.__code__.co_filename, split.__code__.co_filename)
    while trace is not None and trace.tb_frame.f_code.co_filename in here:
        trace = trace.tb_next
    return trace


def _status(code: Any) -> int:
    """Return the status of ``sys.exit(code)``, as Python does."""
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    _say(str(code))
    return 1


def _remember(failure: BaseException | None) -> dict[str, Any]:
    """Keep a failed script's exception where Python keeps it at the end of one."""
    former = {name: getattr(sys, name) for name in _LAST if hasattr(sys, name)}
    if failure is not None:
        sys.last_type, sys.last_value = type(failure), failure
        sys.last_traceback = failure.__traceback__
    return former


def _restore(former: dict[str, Any]) -> None:
    for name in _LAST:
        if name in former:
            setattr(sys, name, former[name])
        elif hasattr(sys, name):
            delattr(sys, name)


def _wait_for_departure() -> None:
    deadline = time.monotonic() + LONGEST_END
    while bootstrap.leaving() and time.monotonic() < deadline:
        time.sleep(0.01)


def _say(line: str) -> None:
    """Write a line to the task's own output, where the host and the workspace show it."""
    try:
        if line:
            sys.stderr.write(line + "\n")
            sys.stderr.flush()
    except Exception:
        pass
