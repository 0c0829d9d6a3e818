"""Follows an attachment on a thread of its own, and builds a report when there is news."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memprobe.config import Config
from memprobe.errors import MemprobeError
from memprobe.findings import Report

if TYPE_CHECKING:
    from memprobe.recording.reader import Recording
    from memprobe.targets.entering import AnyAttachment

Ends = list[tuple[float, int]]  # seconds since the start, and the number of the cell that ended

POLL = 0.2  # seconds between two looks at the recording
REST = 9  # times as long as the last report took: a tenth of a core for reports, at most
SHORTEST = 1.0  # seconds between two reports


class Follower:
    """Owns the attachment: every call of it is made on the one thread.

    ``show`` gets each new report and where cells ended, ``tell`` a line of news, ``over`` is called
    last, with the error that ended it or None. All three are called on the thread.
    """

    def __init__(
        self, enter: Callable[[], AnyAttachment], path: Path, config: Config,
        show: Callable[[Report, Ends], None], tell: Callable[[str], None],
        over: Callable[[MemprobeError | None], None],
    ) -> None:  # fmt: skip
        self._enter, self._path, self._config = enter, path, config
        self._show, self._tell, self._over = show, tell, over
        self._asked: list[tuple[str, dict[str, Any], str]] = []
        self._leave = threading.Event()
        self._next_report = 0.0
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Enter the context and begin."""
        self._thread.start()

    def ask(self, verb: str, done: str, **arguments: Any) -> None:
        """Send a command to the probe soon; ``done`` is told when it was heard."""
        self._asked.append((verb, arguments, done))

    def leave(self) -> None:
        """Ask the thread to take the probe out and end."""
        self._leave.set()

    def join(self, timeout: float) -> None:
        """Wait until it has ended."""
        if self._thread.ident is not None:
            self._thread.join(timeout)

    def _run(self) -> None:
        error: MemprobeError | None = None
        try:
            attachment = self._enter()
            self._tell("attached" if not attachment.joined else "joined the probe that was there")
            try:
                self._follow(attachment)
            finally:
                attachment.detach()
        except MemprobeError as raised:
            error = raised
        self._over(error)

    def _follow(self, attachment: AnyAttachment) -> None:
        news = False
        while not self._leave.is_set():
            news = bool(attachment.poll()) or news
            if news and time.monotonic() >= self._next_report:
                news = False
                self._report()
            if attachment.ended is not None:
                self._report()
                self._tell(f"the target has ended ({attachment.ended.reason}); q leaves")
                self._leave.wait()
                return
            while self._asked:
                self._send(attachment, *self._asked.pop(0))
            self._leave.wait(POLL)

    def _send(
        self, attachment: AnyAttachment, verb: str, arguments: dict[str, Any], done: str
    ) -> None:
        reply = attachment.ask(verb, timeout=30.0, **arguments)
        if reply is None:
            self._tell("the target does not answer: C code in it holds the GIL")
        elif not reply.get("ok", True):
            self._tell(f"the probe refuses {verb}: {reply.get('error')}")
        else:
            self._tell(_told(verb, reply.get("result") or {}) or done)

    def _report(self) -> None:
        from memprobe.analysis import build
        from memprobe.recording.reader import read

        began = time.monotonic()
        try:
            recording = read(self._path)
            self._show(build.report(recording, self._config), _ends(recording))
        except MemprobeError:
            return  # nothing to judge yet
        took = time.monotonic() - began
        self._next_report = time.monotonic() + max(SHORTEST, REST * took)


def _ends(recording: Recording) -> Ends:
    start = recording.header.t
    return [
        ((marker.t - start) / 1e9, marker.cell)
        for marker in recording.markers
        if marker.phase == "end" and marker.source == "hook" and marker.cell is not None
    ]


def _told(verb: str, result: dict[str, Any]) -> str:
    """Return what a collection gave back, where the probe says it."""
    before, after = result.get("before"), result.get("after")
    if verb != "collect" or before is None or after is None:
        return ""
    from memprobe.reporters.amounts import size

    return f"gc: {size(before)} resident before, {size(after)} after"
