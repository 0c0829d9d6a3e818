"""Attach to a kernel through its Jupyter Server or another line to another machine.

Nothing of that machine is read but what the kernel itself answers: the probe travels in a message,
the recording comes back in pieces. All times in it are of the kernel's clock; nothing is sampled
from outside.
"""

from __future__ import annotations

import base64
import contextlib
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from memprobe.errors import TargetError
from memprobe.recording.drain import Drain
from memprobe.recording.schema import End, Record
from memprobe.recording.writer import RecordingWriter
from memprobe.targets import walker_file
from memprobe.targets.interrupts import Interrupts
from memprobe.targets.kernel import LEAVE, RENEWALS, AttachOptions, enter_by, session_config
from memprobe.targets.remote import Disconnected, Line, Remote, Unanswered
from memprobe_probes.courier import REQUEST

ANSWER = 5.0  # seconds for a small question; C code that holds the GIL may take longer
MOST_PULLS = 64  # in a row, of 256 KiB each: then others have their turn
DOCS = "verbs/attach.md"
AGAIN = 2.0  # seconds between two attempts to connect again


def attach(
    kernel: Remote, options: AttachOptions, interrupts: Interrupts | None = None
) -> RemoteAttachment:
    """Put the probe into a kernel behind a server, or join the one that is there.

    Raises TargetError where the server or the kernel does not answer or refuses, RecordingError
    where ``options.output`` cannot be written, KeyboardInterrupt.
    """
    interrupts = interrupts or Interrupts()
    writer = RecordingWriter.create(options.output, force=options.force)
    try:
        return RemoteAttachment(kernel, writer, options, interrupts)
    except BaseException:
        writer.discard()
        raise


class RemoteAttachment:
    """A probe in a kernel behind a server, followed until ``detach`` or the kernel's end."""

    def __init__(
        self, kernel: Remote, writer: RecordingWriter, options: AttachOptions,
        interrupts: Interrupts,
    ) -> None:  # fmt: skip
        self.writer = writer
        self.ended: End | None = None
        self.why = ""  # what the other side said of the end, where it said anything
        self.patience = 1  # with more signals than these we no longer wait for the probe
        self._kernel = kernel
        self._options = options
        self._interrupts = interrupts
        self._socket = kernel.connect(options.timeout, interrupts.check)
        config = _config(options, kernel)
        self.client = str(config["client"])
        try:
            answer = _entered(self._socket, kernel, config, options.timeout, interrupts)
        except BaseException:
            self._socket.close()
            raise
        self.pid = int(answer["pid"])  # over there
        self.joined = bool(answer.get("joined"))
        self._process = self._socket.kernel_session
        self._drain = Drain(Path(), writer, hold_end=True)
        self._offset = 0
        self._clock = int(answer["clock"])  # monotonic ns over there, at the last answer
        self._heard = time.monotonic()
        self._next_pull = 0.0
        self._patient = options.lease / RENEWALS * (RENEWALS - 1)  # seconds without a connection

    def poll(self) -> list[Record]:
        """Fetch what is new where that is due; ``ended`` is set once probe or kernel are gone."""
        if self.ended is not None or time.monotonic() < self._next_pull:
            return []
        new: list[Record] = []
        try:
            self._connect_again()
            new = self._fetch()
            self._next_pull = time.monotonic() + self._options.pull
        except Unanswered:
            self._notice_restart()
            self._next_pull = time.monotonic() + self._options.pull
        except Disconnected:
            self._socket.close()
            self._next_pull = time.monotonic() + AGAIN
            if time.monotonic() - self._heard > self._patient:
                self._finish("connection-lost")
        except TargetError as error:  # it is not there any more, or wants another token
            self.why = ": ".join(filter(None, [error.summary, error.cause]))
            self._finish("kernel-died" if self._kernel.is_gone() else "connection-lost")
        if self.ended is None and self._socket.fate is not None:
            self._finish(self._socket.fate)
        return new

    def ask(self, verb: str, timeout: float = ANSWER, **arguments: Any) -> dict[str, Any] | None:
        """Send a command to the probe; None when it does not answer in ``timeout`` seconds.

        A verb that measures is answered when it has been passed on: what it found is recorded.
        """
        try:
            return self._ask(verb, timeout, **arguments)
        except TargetError:
            return None

    @contextlib.contextmanager
    def requested(self, verb: str, **arguments: Any) -> Iterator[int]:
        """Ask for what is recorded while the block runs; yield since when, in the probe's clock."""
        asked = self._clock
        if self.ask(verb, timeout=self._options.timeout, **arguments) is None:
            raise TargetError("the probe does not answer", remedy="try again", docs=DOCS)
        yield asked

    def detach(self, status: int | None = None) -> bool:
        """Drop our lease and fetch the rest; with the last lease the probe leaves the kernel.

        Returns whether the probe has heard it; if not, it leaves when our lease has run out.
        """
        heard = True
        if self.ended is None:
            last = self._options.last_snapshot
            reply = self._farewell(last)
            heard = reply is not None
            if reply is not None:
                self._fetch_rest(alone=reply.get("result", {}).get("left") == 0)
            self._finish("detach")
        self.close()
        return heard

    def _farewell(self, last_snapshot: bool) -> dict[str, Any] | None:
        """Tell the probe that we leave, over a new connection where the present one is gone."""
        for _ in range(2):
            try:
                self._connect_again()
                return self._ask("detach", ANSWER, client=self.client, last_snapshot=last_snapshot)
            except Disconnected:
                self._socket.close()
            except TargetError:
                break
        return None

    def close(self) -> None:
        """Write the end if it is missing, and close the connection."""
        self._finish("host-stopped")
        self._socket.close()
        self.writer.close()

    def _fetch(self) -> list[Record]:
        new: list[Record] = []
        for _ in range(MOST_PULLS):
            piece = self._ask("pull", ANSWER, offset=self._offset, client=self.client)["result"]
            if piece.get("lost"):
                self._finish("probe-left")
                break
            data = zlib.decompress(base64.b64decode(piece["data"]))
            self._offset += len(data)
            new += self._drain.feed(data)
            if piece["gone"] and not data:  # asked for once more: so it knows that we have all
                self._finish("probe-left")
            if self.ended is not None or (self._offset >= piece["size"] and not piece["gone"]):
                break
        return new

    def _fetch_rest(self, *, alone: bool) -> None:
        """Fetch up to the end that the probe writes; only up to now where others keep it there."""
        deadline = time.monotonic() + LEAVE
        with contextlib.suppress(TargetError):
            while time.monotonic() < deadline and self._interrupts.count <= self.patience:
                self._fetch()
                if not alone or self.ended is not None:
                    return
                time.sleep(0.05)

    def _ask(self, verb: str, timeout: float, **arguments: Any) -> dict[str, Any]:
        content = {"verb": verb, "args": arguments}
        answer = self._socket.ask(REQUEST, content, timeout, self._check_patience)
        self._heard = time.monotonic()
        self._clock = int(answer.get("clock", self._clock))
        if not answer.get("ok"):
            raise TargetError(f"the probe refuses {verb}: {answer.get('error')}")
        return answer

    def _connect_again(self) -> None:
        if not self._socket.closed:
            return
        self._socket = self._kernel.connect(ANSWER, self._check_patience)

    def _notice_restart(self) -> None:
        """Ask whoever serves the kernel now what it is: another process has another session."""
        with contextlib.suppress(Unanswered, Disconnected):
            self._socket.ask("kernel_info_request", {}, ANSWER, self._check_patience)
            if self._socket.kernel_session != self._process:
                self._finish("kernel-restarted")

    def _check_patience(self) -> None:
        """End a wait at the signal after ``patience``: leaving must be possible after the first."""
        if self._interrupts.count > self.patience:
            raise Unanswered("the kernel's answer was not waited for")

    def _finish(self, reason: str) -> None:
        """Write the one ``end`` record: the probe's own reason where it could still give one."""
        if self.ended is not None:
            return
        held = self._drain.held
        self.ended = held or End(t=self._clock, reason=reason)
        self.writer.write(self.ended)


def detach_all(kernel: Remote, timeout: float = 30.0) -> bool | None:
    """Take the probe out of a kernel, whoever put it there; None where there was none.

    False: it had not left after ``LEAVE`` seconds. Raises TargetError.
    """
    interrupts = Interrupts()
    socket = kernel.connect(timeout, interrupts.check)
    try:
        told = _entered(socket, kernel, {"only": {"verb": "detach"}}, timeout, interrupts)["told"]
        if not told.get("ok"):
            return None
        deadline, pause = time.monotonic() + LEAVE, 0.2
        while time.monotonic() < deadline:
            time.sleep(pause)
            pause = min(2 * pause, 5.0)  # each question is a request that runs in the kernel
            status = {"only": {"verb": "status"}}
            if not _entered(socket, kernel, status, timeout, interrupts)["told"].get("ok"):
                return True
        return False
    finally:
        socket.close()


def _entered(
    socket: Line, kernel: Remote, config: dict[str, Any], timeout: float,
    interrupts: Interrupts,
) -> dict[str, Any]:  # fmt: skip
    def ask(kind: str, content: dict[str, Any]) -> dict[str, Any]:
        return socket.ask(kind, content, timeout, interrupts.check)

    return enter_by(ask, kernel.label, config, lambda: time.time() + socket.ahead + timeout)


def _config(options: AttachOptions, kernel: Remote) -> dict[str, Any]:
    """Return what a probe is told that shares nothing with this machine."""
    return {
        **session_config(0, options), "method": kernel.method, "pid": None, "limits": None,
        "walker": walker_file.carried(), "courier": True,
        **kernel.place,
    }  # fmt: skip
