"""How a run ended: its output, its status, and the last record of its recording."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import memprobe
from memprobe.databricks.workspace import Workspace
from memprobe.errors import TargetError
from memprobe.recording.schema import End, Event, Header
from memprobe.recording.writer import RecordingWriter

if TYPE_CHECKING:
    from memprobe.databricks.following import Followed
    from memprobe.databricks.parts import Parts

DOCS = "databricks.md"
KILLED, CANCELLED, TIMED_OUT = 137, 130, 124
ENDED_ELSEWHERE = 143
ANSI = re.compile(r"\x1b\[[0-9;]*m")
TAGS = re.compile(r"</?(?:span|div|pre|br|a|b|i|p)\b[^>]{0,200}>")  # and not <module>
OUT_OF_MEMORY = re.compile(r"exit code 137|SIGKILL|DRIVER_OUT_OF_MEMORY|DRIVER_NOT_RESPONDING")
DRIVER = re.compile(r"[Dd]river .*(not responding|restarted|terminated|unresponsive)")


@dataclass
class Ending:
    """``status`` is the script's own where it is known; ``logs`` what it has printed."""

    status: int
    result: str  # SUCCESS, FAILED, CANCELED, TIMEDOUT …
    logs: str = ""
    truncated: bool = False
    error: str = ""
    trace: str = ""
    trouble: str | None = None  # why it ran without the probe, or the recording is not whole
    seconds: float | None = None  # that it ran, by the server's clock
    setup: float | None = None  # that its cluster took before, by the same
    notes: list[str] = field(default_factory=list)

    def write(self, writer: RecordingWriter, parts: Parts, probe: dict[str, Any]) -> None:
        """Write the recording's end, and its beginning too where no probe has."""
        if parts.header is None:
            why = self.trouble or "nothing of its recording has arrived"
            self.trouble = why
            writer.write(_header(probe))
            writer.write(Event(t=time.monotonic_ns(), event="no-probe", detail=why))
        held = parts.end
        end = End(t=held.t if held else parts.last or time.monotonic_ns(), wall=self.seconds)
        if held is not None:
            end.peak, end.cpu, end.at_exit = held.peak, held.cpu, held.at_exit
        if self.result == "CANCELED":
            end.reason = "cancelled"
        elif self.status == KILLED and held is None:
            end.reason, end.signal = "signal", 9
        else:
            end.status = self.status
        writer.write(end)


def lost(writer: RecordingWriter, parts: Parts) -> None:
    """End a recording whose run cannot be followed any more; nothing where none has begun."""
    if parts.header is not None:
        writer.write(parts.end or End(t=parts.last, reason="connection-lost"))


def ended(workspace: Workspace, run: Any, followed: Followed, parts: Parts) -> Ending:
    """Return how ``run`` ended. Raises TargetError where it never ran, and the SDK's errors."""
    result = str(getattr(run.state.result_state, "value", "") or "") if run is not None else ""
    if followed.cancelled and run is not None and not result:
        result = "CANCELED"
    message = str(run.state.state_message or "") if run is not None else ""
    ending = Ending(0, result, notes=followed.notes)
    task = run.tasks[0] if run is not None and run.tasks else None
    if task is not None and result != "CANCELED":
        _add_output(workspace, task.run_id, ending)
    _add_times(task or run, ending)
    if _never_ran(run, parts, ending):
        raise _not_begun(message or ending.error, followed)
    told = (parts.outcome or {}).get("trouble")
    ending.trouble = str(told) if told else None
    ending.status = _status(ending, message, parts)
    if parts.outcome is not None and parts.outcome.get("error") is None:
        ending.error = ending.trace = ""  # it called sys.exit; how that failed its task is ours
    return ending


def _add_output(workspace: Workspace, task_run: int, ending: Ending) -> None:
    """Ask for the output of the *task's* run: of the whole run there is none."""
    from databricks.sdk.errors.base import DatabricksError

    try:
        output = workspace.client.jobs.get_run_output(task_run)
    except DatabricksError as error:
        ending.notes.append(f"no output: {workspace.clean(str(error))}")
        return
    ending.logs = output.logs or ""
    ending.truncated = bool(output.logs_truncated)
    ending.error, ending.trace = _plain(output.error), _plain(output.error_trace)
    shown = output.notebook_output
    if shown is not None and shown.result:
        ending.logs = ending.logs or f"{shown.result}\n"
        ending.truncated = ending.truncated or bool(shown.truncated)


def _plain(text: str | None) -> str:
    """Return a text without colours and without the HTML that a notebook's page would show."""
    return TAGS.sub("", ANSI.sub("", text or ""))


def _add_times(run: Any, ending: Ending) -> None:
    for name, field_name in (("execution_duration", "seconds"), ("setup_duration", "setup")):
        value = getattr(run, name, None)
        if value:
            setattr(ending, field_name, value / 1000)


def _never_ran(run: Any, parts: Parts, ending: Ending) -> bool:
    life = str(getattr(run.state.life_cycle_state, "value", "")) if run is not None else ""
    began = parts.number or ending.logs or parts.outcome is not None
    return life in ("INTERNAL_ERROR", "SKIPPED") and not began


def _not_begun(message: str, followed: Followed) -> TargetError:
    return TargetError(
        f"run {followed.run_id} did not start",
        cause=message or "the workspace does not say why",
        remedy=f"look at its page: {followed.page}" if followed.page else "run it again",
        docs=DOCS,
    )


def _status(ending: Ending, message: str, parts: Parts) -> int:
    if ending.result == "CANCELED":
        return CANCELLED
    if ending.result == "TIMEDOUT":
        return TIMED_OUT
    own = int((parts.outcome or {}).get("status") or 0)
    if ending.result in ("SUCCESS", "SUCCESS_WITH_FAILURES"):
        return own
    text = f"{ending.error} {message}"
    if OUT_OF_MEMORY.search(text) or (DRIVER.search(text) and not own):
        return KILLED
    return own or 1


def _header(probe: dict[str, Any]) -> Header:
    return Header(
        t=time.monotonic_ns(), memprobe=memprobe.__version__, context=probe["context"], pid=0,
        start=time.time(), program=probe["program"], argc=probe["argc"], method=probe["method"],
        interval=probe["interval"], cap=probe["cap"],
    )  # fmt: skip
