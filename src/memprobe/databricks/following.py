"""A run of Databricks Jobs that is ours: waited for to its end, and cancelled where we stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from memprobe.databricks.workspace import Denied, Workspace
from memprobe.errors import TargetError
from memprobe.targets.interrupts import Interrupts

LOOK = 0.3  # seconds between two looks at the run at first; each is longer than the one before
LONGEST_LOOK = 10.0
LOST = 600.0  # seconds without any answer after which the workspace counts as lost
CANCELLING = 120.0  # seconds that a cancelled run is waited for
OVER = ("TERMINATED", "SKIPPED", "INTERNAL_ERROR")

Say = Callable[[str], None]


@dataclass
class Followed:
    """How a run went, as far as it was followed."""

    run_id: int
    page: str = ""
    state: str = ""
    cancelled: bool = False  # by us
    notes: list[str] = field(default_factory=list)


class Following:
    """Follows one run. ``say`` is told what is worth a line, ``progress`` what replaces a line."""

    def __init__(self, workspace: Workspace, where: str, say: Say, progress: Say) -> None:
        self._workspace = workspace
        self._where = where
        self._say = say
        self._progress = progress
        self._answered = time.monotonic()

    def follow(self, followed: Followed, interrupts: Interrupts, fetch: Callable[[], str]) -> Any:
        """Wait for the end and return the run; ``fetch`` is called meanwhile, and says how far.

        The first signal cancels it, the second ends the waiting. None: how it ended is not known.
        Raises TargetError where the workspace is lost.
        """
        pause, begun, until = LOOK, time.monotonic(), float("inf")
        while time.monotonic() < until:
            run = self._look(followed)
            if run is not None and _life(run) in OVER:
                return run
            self._tell(followed, begun, fetch())
            if interrupts.wait(pause, beyond=int(followed.cancelled)):
                if followed.cancelled:
                    break
                self._say("cancelling the run …")
                self.cancel(followed)
                pause, until = LOOK, time.monotonic() + CANCELLING
            pause = min(LONGEST_LOOK, pause * 1.3)
        return self._look(followed)

    def cancel(self, followed: Followed) -> None:
        """Cancel the run; where that fails, say what has to be done by hand."""
        followed.cancelled = True
        waits = self._workspace.waits
        try:
            with waits.cleaning_up(), self._workspace.asked("cancel the run"):
                self._workspace.client.jobs.cancel_run(followed.run_id)
        except TargetError as error:
            self._say(f"run {followed.run_id} could not be cancelled: {error.cause}")
            self._say(f"cancel it by hand: databricks jobs cancel-run {followed.run_id}")

    def _look(self, followed: Followed) -> Any:
        """Return the run as it is; None where the workspace did not answer this time."""
        try:
            with self._workspace.asked(f"look at run {followed.run_id}"):
                run = self._workspace.client.jobs.get_run(followed.run_id)
        except Denied:
            raise
        except TargetError as error:
            if time.monotonic() - self._answered > LOST:
                raise
            self._progress(f"{error.summary}; trying again")
            return None
        self._answered = time.monotonic()
        if run.run_page_url and not followed.page:
            followed.page = str(run.run_page_url)
            self._say(f"run {followed.run_id} {self._where}: {followed.page}")
        followed.state = _life(run)
        return run

    def _tell(self, followed: Followed, begun: float, fetched: str) -> None:
        minutes, seconds = divmod(int(time.monotonic() - begun), 60)
        state = followed.state.lower().replace("_", " ") or "waiting"
        self._progress(f"run {followed.run_id}: {state} {minutes}:{seconds:02}{fetched}")


def _life(run: Any) -> str:
    state = run.state.life_cycle_state if run.state is not None else None
    return str(getattr(state, "value", state) or "")
