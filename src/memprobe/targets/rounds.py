"""Run a notebook several times in one kernel: what a persistent context collects, round by round.

All cells are run from top to bottom, again and again, in the same namespace. After each cell the
probe takes a snapshot while nothing runs; its time is in no cell's time. What the cells show is
not printed.
"""

from __future__ import annotations

import contextlib
import queue
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memprobe.recording.schema import Marker
from memprobe.recording.writer import RecordingWriter
from memprobe.targets.notebook_run import COLORS, LOOK, Ended, NotebookRun
from memprobe.targets.outcome import Outcome
from memprobe.targets.shown import Shown

SNAPSHOT = 120.0  # seconds a snapshot between two cells may take
UNHURRIED = {"max_pause": 60.0, "cpu_share": 0.0001}  # snapshots are asked for, and may take long


@dataclass
class Failure:
    """The cell that failed: its number in the notebook, the round, and what it raised."""

    cell: int
    round: int
    error: str


class RoundsRun(NotebookRun):
    """One recorded run of ``rounds`` rounds; stopped at the first cell that fails.

    ``told`` is called with the round and the cell that begin. ``shown`` has a digest of what each
    cell showed, per round.
    """

    def __init__(
        self, notebook: Path, writer: RecordingWriter, rounds: int, options: dict[str, Any],
        told: Callable[[int, int], None] = lambda number, cell: None,
    ) -> None:  # fmt: skip
        super().__init__(notebook, writer, 0, {**options, **UNHURRIED})
        self._rounds = rounds
        self._told = told
        self._error = ""
        self.failure: Failure | None = None
        self.shown: list[list[str]] = []
        self.completed = 0  # rounds that were run to their end
        self._shown = Shown()

    @property
    def count(self) -> int:
        """How many cells a round has."""
        return len(self._cells)

    def replace_cells(self, cells: list[Any]) -> None:
        """Run these instead of the file's own: an edited copy, in the same folder."""
        self._cells = cells

    def run(self, final_path: Path | None = None) -> Outcome:
        """Run to the end. Raises KeyboardInterrupt after everything was taken down."""
        try:
            return super().run(final_path)
        except KeyboardInterrupt:
            self._stopped = True
            raise
        finally:
            if self._stopped and self._attachment is not None:
                self._attachment.folder.remove()

    def _run_cells(self) -> int:
        assert self._attachment is not None
        self._attachment.patience = 0
        self._mark("start-up", "end", seconds=self.start_up)
        status = 0
        for number in range(1, self._rounds + 1):
            self.shown.append([])
            self._mark(f"round {number}", "start")
            status = self._run_round(number)
            self._mark(f"round {number}", "end")
            self.completed = number
            if not self._manager.is_alive():
                break
        return status

    def _run_round(self, number: int) -> int:
        assert self._attachment is not None
        for position, cell in enumerate(self._cells, start=1):
            self._error = ""
            self._shown = Shown()
            self._told(number, position)
            status = self._run_cell(cell)
            self.shown[-1].append(self._shown.digest())
            if self._manager.is_alive():
                self._settle()
                self._attachment.ask("snapshot", timeout=SNAPSHOT)
                self._attachment.poll()
                self._obey_signals()
            if status and "raises-exception" not in cell.get("metadata", {}).get("tags", []):
                self.failure = self.failure or Failure(position, number, self._error)
                return status
        return 0

    def _settle(self) -> None:
        """Let the kernel serve one more request: until then it still holds the last one's."""
        identity = self._client.kernel_info()
        deadline = time.monotonic() + SNAPSHOT
        while time.monotonic() < deadline and self._manager.is_alive():
            with contextlib.suppress(queue.Empty):
                reply = self._client.get_shell_msg(timeout=LOOK)
                if reply["parent_header"].get("msg_id") == identity:
                    return

    def _mark(self, name: str, phase: Any, seconds: float | None = None) -> None:
        assert self._attachment is not None
        self._attachment.poll()  # what the probe wrote before comes first
        now = time.monotonic_ns()
        self._attachment.writer.write(
            Marker(t=now, marker="phase", phase=phase, name=name, seconds=seconds)
        )

    def _interrupted(self) -> None:
        """Ctrl-C ends the whole contrast: the cells are not what the user is looking at."""
        self._stopped = True
        raise Ended(signal.SIGINT)

    def _show(self, message: dict[str, Any]) -> None:
        self._shown.add(message)
        if message["msg_type"] == "error":
            content = message["content"]
            self._error = COLORS.sub("", f"{content['ename']}: {content['evalue']}")

    def _died(self) -> int:
        code = self._manager.provisioner.process.poll()
        self._error = f"the kernel died (status {code})"
        return 128 - code if code and code < 0 else code or 1

    def _leave(self, attachment: Any) -> None:
        if self._stopped:
            attachment.close()
        else:
            super()._leave(attachment)
