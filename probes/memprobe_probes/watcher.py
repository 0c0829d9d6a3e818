"""The probe's one thread: samples at an interval, snapshots when due, obeys the host's commands.

Started with ``_thread`` and not ``threading``: a registered thread would be waited for by user
code that joins everything in ``threading.enumerate()``. The thread sleeps in ``poll`` on the
control FIFO, so a command or the end of a cell wakes it at once.
"""

from __future__ import annotations

import _thread
import errno
import os
import select
import time

from . import plain_json
from .dissolve import dissolve
from .measure import Probe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_CHUNK = 65536
_WAKE = b"\n"  # an empty line: nothing to obey, only a reason to look
_LONGEST_LINE = 1 << 20


class Watcher:
    """Runs ``probe`` until ``stop`` is asked for, the lease ends or the process does.

    ``obey`` answers one command; ``gone`` is called last, on the thread, after everything of the
    probe has been taken out, and returns the modules that are to be dissolved.
    """

    def __init__(
        self, probe: Probe, obey: Callable[[dict[str, Any]], dict[str, Any]],
        gone: Callable[[], list[Any]],
    ) -> None:  # fmt: skip
        self.probe = probe
        self.folder = str(probe.config["folder"])
        self.leases: dict[str, float] = {}
        self.stop_reason: str | None = None
        self.last_snapshot = True  # take one on leaving
        self._obey = obey
        self._gone = gone
        self._pending: str | None = None  # reason of a snapshot that waits to be due
        self._next_sample = 0.0
        self._text = b""
        # Read and write: with a writer of our own the FIFO never reports end of file.
        self._control = os.open(
            os.path.join(self.folder, "control"), os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC
        )
        self._alive = _open_alive(self.folder)

    def start(self, first_snapshot: str) -> None:
        """Start the thread; its first act is a snapshot with that reason."""
        self._pending = first_snapshot
        _thread.start_new_thread(self._run, ())

    def renew(self, client: str) -> None:
        """Renew ``client``'s lease, or give it one."""
        lease = self.probe.config.get("lease")
        self.leases[client] = time.monotonic() + lease if lease else float("inf")

    def drop(self, client: str | None, *, last_snapshot: bool = True) -> None:
        """Drop one client's lease, or all of them; without any left the probe leaves.

        Without ``last_snapshot`` it leaves as it is: the client has what it came for.
        """
        if client is None:
            self.leases.clear()
        else:
            self.leases.pop(client, None)
        if not self.leases:
            self.last_snapshot = last_snapshot
            self.stop("detach")

    def stop(self, reason: str) -> None:
        """Ask the thread to leave."""
        self.stop_reason = self.stop_reason or reason
        self.wake()

    def cell_ended(self) -> None:
        """Ask for a snapshot at the next moment the governor allows."""
        self._pending = "marker"
        self.wake()

    def wake(self) -> None:
        """Make the thread look at once; callable from any thread."""
        self.post(b"")

    def post(self, line: bytes) -> bool:
        """Give the thread a message to obey, as the host does; whether there was room for it."""
        try:
            return os.write(self._control, line + _WAKE) == len(line) + 1
        except OSError:
            return False

    def _run(self) -> None:
        try:
            self.probe.mark_present_level()
            while self.stop_reason is None and self.probe.alive:
                self._tick()
        except BaseException:
            self.stop_reason = self.stop_reason or "probe-error"
        finally:
            modules = self._leave()
            # From here on with names of this frame only: nothing else of ours may be there.
            alive, write, close, gone = self._alive, os.write, os.close, _WAKE
            ours = os.getpid() == self.probe.pid
            try:
                dissolve(modules, self)
            except BaseException:
                pass  # what is left is collected some day
            # Last: the host takes it for "nothing of the probe is left". A forked child may keep
            # the FIFO open, so the end of file alone would not tell.
            if alive >= 0:
                try:
                    if ours:
                        write(alive, gone)
                    close(alive)
                except OSError:
                    pass

    def _tick(self) -> None:
        now = time.monotonic()
        if self._pending is None and self.probe.shell is None and self.probe.due():
            self._pending = "interval"  # no cell will end here
        if self._pending and (self.probe.due() or self._pending != "marker"):
            reason, self._pending = self._pending, None
            self.probe.snapshot(reason)
        if now >= self._next_sample:
            self.probe.sample()
            self.probe.account()
            self._next_sample = now + self.probe.interval
        self.probe.read_spark()
        self._expire(now)
        if self.stop_reason is None:
            self._wait()

    def _wait(self) -> None:
        until = self._next_sample
        if self._pending:
            until = min(until, self.probe.governor.next_due / 1e9)
        timeout = max(0.0, until - time.monotonic())
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        if poll.poll(int(timeout * 1000) + 1):
            self._read()

    def _read(self) -> None:
        try:
            self._text += os.read(self._control, _CHUNK)
        except BlockingIOError:
            return
        *lines, self._text = self._text.split(b"\n")
        if len(self._text) > _LONGEST_LINE:
            self._text = b""
        for line in lines:
            if line.strip():
                self._answer(line)

    def _answer(self, line: bytes) -> None:
        try:
            message = plain_json.loads(line.decode())
        except ValueError:
            return
        if isinstance(message, dict):
            self.reply(self._obey(message))

    def reply(self, answer: dict[str, Any]) -> None:
        """Write one answer to the host, if it listens."""
        line = plain_json.dumps(answer).encode() + b"\n"
        try:
            fd = os.open(
                os.path.join(self.folder, "replies"), os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC
            )
        except OSError as error:
            if error.errno not in (errno.ENXIO, errno.ENOENT):
                self.probe.event("reply-lost", error.strerror)
            return
        try:
            os.write(fd, line)
        except OSError:
            pass
        finally:
            os.close(fd)

    def _expire(self, now: float) -> None:
        late = [client for client, until in self.leases.items() if until < now]
        for client in late:
            del self.leases[client]
            self.probe.event("lease-expired", client=client)
        if late and not self.leases:
            self.stop_reason = "lease-expired"

    def _leave(self) -> list[Any]:
        """Close the recording, undo what was done; return the modules that nobody needs now."""
        try:
            if os.getpid() == self.probe.pid:
                last = self.stop_reason if self.last_snapshot else None
                self.probe.close(self.stop_reason or "stopped", final_snapshot=last)
        except BaseException:
            self.probe.abandon()
        self._close(self._control)
        self._control = -1
        try:
            return self._gone()
        except BaseException:
            return []

    @staticmethod
    def _close(fd: int) -> None:
        try:
            if fd >= 0:
                os.close(fd)
        except OSError:
            pass


def _open_alive(folder: str) -> int:
    """Open the FIFO whose end tells the host that we are gone.

    Read and write: for writing alone it could not be opened before somebody reads.
    """
    try:
        return os.open(os.path.join(folder, "alive"), os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return -1
