"""Attach to a running Jupyter kernel through its control channel, join, follow and leave it."""

from __future__ import annotations

import ast
import contextlib
import functools
import json
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memprobe.errors import TargetError
from memprobe.recording.drain import Drain
from memprobe.recording.schema import End, Record
from memprobe.recording.writer import RecordingWriter
from memprobe.targets import kernel_request, payload, probe_file, walker_file
from memprobe.targets.alive import AliveWatch
from memprobe.targets.interrupts import Interrupts
from memprobe.targets.outside import OutsideSampler
from memprobe.targets.session import SessionFolder
from memprobe_probes import VERSION, limits

if TYPE_CHECKING:
    from memprobe.targets.allocation_log import AllocationLog

SLICE = 0.1  # seconds between two looks at whether somebody pressed Ctrl-C
RENEWALS = 4  # per lease: three may get lost
RESTART = 2.0  # seconds in which a restarted kernel shows up
LEAVE = 30.0  # seconds the probe is given to leave: its last snapshot alone may take 25
WITHDRAW = 1.0  # seconds it is given where nobody has followed it yet
OLD_PYTHON = re.compile(r"[012]\.|3\.[0-9](\.|$)")
DOCS = "verbs/attach.md"


@dataclass(frozen=True)
class AttachOptions:
    """How to attach: seconds, bytes and shares as in the configuration."""

    output: Path
    program: str = ""
    interval: float = 1.0
    max_pause: float = 0.25
    cap: int = 64 * 1024 * 1024
    cpu_share: float = 0.01
    timeout: float = 30.0
    force: bool = False
    lease: float = 60.0
    first_snapshot: str = "attach"  # reason of the one that a new probe begins with
    last_snapshot: bool = True  # take one on leaving
    peak_reset: bool = True  # start the kernel's own high-water mark anew at each cell
    log: AllocationLog | None = None  # the kernel records its allocations too
    tracemalloc: int = 0  # frames that tracemalloc is started with
    inside: tuple[str, ...] = ()  # holders to look into, by expression
    jvm_histogram: bool = False  # count the objects of Spark's driver JVM by class
    pull: float = 5.0  # between two looks at the recording of a kernel on another machine


def attach(
    connection_file: Path, pid: int, options: AttachOptions, interrupts: Interrupts | None = None
) -> Attachment:
    """Put the probe into a kernel, or join the one that is there.

    Raises TargetError where the kernel does not answer, runs no IPython, or refuses;
    RecordingError where ``options.output`` cannot be written; KeyboardInterrupt where
    ``interrupts`` counts a signal before the kernel has answered. The kernel is then as before.
    """
    interrupts = interrupts or Interrupts()

    def through_control(folder: SessionFolder) -> dict[str, Any]:
        with probe_file.beside(folder.path, pid) as reads:
            return enter(connection_file, folder.config, options.timeout, interrupts, reads=reads)

    return follow(
        pid, session_config(pid, options), options, connection_file, interrupts, through_control
    )


def follow(
    pid: int, config: dict[str, Any], options: AttachOptions, connection_file: Path | None,
    interrupts: Interrupts, come_in: Callable[[SessionFolder], dict[str, Any]],
) -> Attachment:  # fmt: skip
    """Have ``come_in`` bring the probe in and return its answer, then follow that probe.

    ``connection_file`` is None where it is no kernel. Raises what ``come_in`` raises; nothing of
    ours is left then.
    """
    writer = RecordingWriter.create(options.output, force=options.force)
    folder: SessionFolder | None = None
    try:
        folder = SessionFolder.create(config)
        answer = come_in(folder)
        return _followed(pid, answer, folder, writer, options, connection_file, interrupts)
    except BaseException:
        writer.discard()
        if folder is not None:
            # It may have come in with nobody left to hear its answer.
            folder.send("detach", timeout=WITHDRAW, client=folder.config["client"])
            folder.remove()
        raise


def _followed(
    pid: int, answer: dict[str, Any], folder: SessionFolder, writer: RecordingWriter,
    options: AttachOptions, connection_file: Path | None, interrupts: Interrupts,
) -> Attachment:  # fmt: skip
    """Follow the probe that is in the target now; take it out again where that fails."""
    try:
        return Attachment(pid, answer, folder, writer, options, connection_file, interrupts)
    except OSError as error:
        SessionFolder(Path(answer["folder"]), {}).send("detach", client=folder.config["client"])
        raise TargetError(
            "the probe in the target cannot be followed",
            cause=f"its session folder {answer['folder']}: {error.strerror}",
            remedy=f"it leaves by itself within {folder.config['lease']:.0f} s; attach again then",
            docs=DOCS,
        ) from error


class Attachment:
    """A probe in a kernel or process, followed until ``detach`` or the target's end."""

    def __init__(
        self, pid: int, answer: dict[str, Any], folder: SessionFolder, writer: RecordingWriter,
        options: AttachOptions, connection_file: Path | None, interrupts: Interrupts,
    ) -> None:  # fmt: skip
        self.pid = pid
        self.joined = bool(answer.get("joined"))
        self.client = str(folder.config["client"])
        self.ended: End | None = None
        self._status: int | None = None
        self._last = False  # nobody else follows this probe: its folder can go
        self.writer = writer
        self._own_folder = folder
        self._connection_file = connection_file
        self._interrupts = interrupts
        self.patience = 1  # with more signals than these we no longer wait for the probe
        self.folder = SessionFolder(Path(answer["folder"]), folder.config)
        self._log = options.log
        watch = self._log.see if self._log else None
        self._drain = Drain(Path(answer["spool"]), writer, hold_end=True, watch=watch)
        self._outside = OutsideSampler(pid)
        self._alive = AliveWatch(self.folder.alive)
        self._alive.start(pid)
        self._options = options
        self._next_sample = 0.0
        self._renewal = folder.config["lease"] / RENEWALS
        self._next_lease = time.monotonic() + self._renewal

    def poll(self) -> list[Record]:
        """Copy what is new into the recording, sample from outside, renew the lease.

        Returns the new records. ``ended`` is set once the probe or the kernel is gone.
        """
        new = self._drain.pull()
        if self.ended is not None:
            return new
        now = time.monotonic()
        if now >= self._next_sample:
            self._sample_outside()
            self._next_sample = now + self._options.interval
        if now >= self._next_lease:
            self.folder.send("lease", timeout=1.0, client=self.client)
            self._next_lease = now + self._renewal
        self._notice_end()
        return new

    def ask(self, verb: str, timeout: float = 5.0, **arguments: Any) -> dict[str, Any] | None:
        """Send a command to the probe; None when it does not answer in ``timeout`` seconds."""
        return self.folder.send(verb, timeout=timeout, given_up=self._hurried, **arguments)

    @contextlib.contextmanager
    def requested(self, verb: str, **arguments: Any) -> Iterator[int]:
        """Ask for what is recorded while the block runs; yield since when, in the probe's clock."""
        asked = time.monotonic_ns()
        with self.folder.request(verb, **arguments):
            yield asked

    def detach(self, status: int | None = None) -> bool:
        """Drop our lease; with it the last one, wait until the probe has left the kernel.

        ``status``: what was run in the kernel is over, with this exit status. Returns whether
        the probe has heard it: not while C code holds the GIL, and a second signal ends the
        wait. The recording is whole in any case, and the probe obeys as soon as it can.
        """
        self._status = status
        heard = True
        if self.ended is None:
            last = self._options.last_snapshot
            reply = self.ask("detach", client=self.client, timeout=LEAVE, last_snapshot=last)
            heard = reply is not None
            self._last = reply is not None and reply.get("result", {}).get("left") == 0
            if self._last:
                self._wait_until_gone()
            self._finish("detach")
        self.close()
        return heard

    def close(self) -> None:
        """Write the end if it is missing, and remove what this session left on disk."""
        self._finish("host-stopped")
        self._alive.close()
        self._drain.close()
        self.writer.close()
        if self.joined:
            self._own_folder.remove()
        if self._last:
            self.folder.remove()

    def _sample_outside(self) -> None:
        sample = self._outside.sample()
        if sample is not None:
            self.writer.write(sample)

    def _notice_end(self) -> None:
        if self._drain.held is None and self._alive.left is None:
            return
        self._drain.pull()
        died = "kernel-died" if self._connection_file is not None else "gone"
        self._finish({"exit": died, "exec": "exec"}.get(self._alive.left or "", "probe-left"))

    def _finish(self, reason: str) -> None:
        """Write the one ``end`` record: the probe's own reason where it could still give one."""
        if self.ended is not None:
            return
        self._drain.pull()
        held = self._drain.held
        self._last = self._last or held is not None or reason in ("kernel-died", "gone")
        reason = held.reason if held is not None else reason
        file = self._connection_file
        if file and reason in ("exit", "kernel-died") and served_again(file, self.pid):
            reason = "kernel-restarted"
        self.ended = End(
            t=time.monotonic_ns(),
            reason=reason if self._status is None else "exit",
            status=self._status,
            peak=held.peak if held is not None else None,
            cpu=held.cpu if held is not None else None,
        )
        if self._log is not None:
            self.writer.write(self._log.read())
        self.writer.write(self.ended)

    def _wait_until_gone(self) -> None:
        deadline = time.monotonic() + LEAVE
        while time.monotonic() < deadline and not self._hurried():
            self._drain.pull()
            if self._alive.left is not None and self._drain.held is not None:
                return
            time.sleep(0.01)

    def _hurried(self) -> bool:
        """Whether one more signal asks us not to wait any longer."""
        return self._interrupts.count > self.patience


def served_again(connection_file: Path, old_pid: int) -> bool:
    """Whether another process serves the connection file now: the kernel was restarted."""
    from memprobe.targets.kernel_argv import as_kernel
    from memprobe.targets.processes import read_processes

    deadline = time.monotonic() + RESTART
    while time.monotonic() < deadline:
        others = [one for one in read_processes() if not _is_left_of(old_pid, one.pid)]
        kernels = [as_kernel(process) for process in others]
        if any(one is not None and one.file == connection_file for one in kernels):
            return True
        time.sleep(0.1)
    return False


def _is_left_of(kernel: int, pid: int) -> bool:
    """Whether a process is the kernel, or was forked from it and has its command line, too.

    Who starts a kernel gives it a process group of its own; its children stay in that one.
    """
    try:
        return pid == kernel or os.getpgid(pid) == kernel
    except OSError:
        return True  # it has just ended


def enter(
    connection_file: Path, config: dict[str, Any], timeout: float, interrupts: Interrupts, *,
    reads: bool,
) -> dict[str, Any]:  # fmt: skip
    """Run the payload in the kernel and return the probe's answer.

    The kernel is asked what it is first: only IPython's own kernels run code in the process
    that answers. ``timeout`` in seconds, for each of the requests; ``reads``: whether the kernel
    can have the probe from the session folder.
    """
    with _client(connection_file) as client:
        ask = functools.partial(_request, client, timeout=timeout, interrupts=interrupts)
        return enter_by(
            ask, connection_file.name, config, lambda: time.time() + timeout, reads=reads
        )


def enter_by(
    ask: Callable[[str, dict[str, Any]], dict[str, Any]], named: str, config: dict[str, Any],
    expires: Callable[[], float], *, reads: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Do what ``enter`` does over any way to ``ask`` a kernel's control channel.

    ``named``: whose kernel it is, for errors; ``expires``: asked once the kernel has
    answered, in unix seconds of its clock; ``reads`` as there.
    """
    _refuse_foreign(ask("kernel_info_request", {}), named)
    content = kernel_request.content(
        "entry", config=config, version=VERSION, expires=expires(),
        parts=None if reads else payload.parts(),
    )  # fmt: skip
    answer = answer_of(ask("execute_request", content))
    # The kernel remembers the last control request: let that be a small one.
    with contextlib.suppress(TargetError):
        ask("kernel_info_request", {})
    return answer


@contextlib.contextmanager
def _client(connection_file: Path) -> Any:
    from jupyter_client.blocking.client import BlockingKernelClient

    client = BlockingKernelClient()
    try:
        client.load_connection_file(str(connection_file))
    except (OSError, ValueError, KeyError) as error:
        raise TargetError(
            f"cannot use the connection file {connection_file}",
            cause=str(error),
            remedy="list what can be attached to: memprobe ps",
            docs=DOCS,
        ) from error
    channel = client.control_channel
    channel.start()
    try:
        yield client
    finally:
        channel.stop()
        client.context.destroy(linger=0)


def _request(
    client: Any, kind: str, content: dict[str, Any], timeout: float, interrupts: Interrupts
) -> dict[str, Any]:
    message = client.session.msg(kind, content)
    client.control_channel.send(message)
    deadline = time.monotonic() + timeout
    while (left := deadline - time.monotonic()) > 0:
        interrupts.check()
        try:
            reply = client.control_channel.get_msg(timeout=min(left, SLICE))
        except Exception as error:
            if type(error).__name__ != "Empty":
                raise TargetError(f"the kernel's answer cannot be read: {error}") from error
            continue
        if reply["parent_header"].get("msg_id") == message["header"]["msg_id"]:
            return dict(reply["content"])
    raise TargetError(
        f"the kernel did not answer within {timeout:.0f} s",
        cause="it is gone, or C code in it holds the GIL; the request expires by itself",
        remedy="try again when the call has returned, or wait longer: --timeout 120",
        docs=DOCS,
    )


def _refuse_foreign(info: dict[str, Any], named: str) -> None:
    language = str(info.get("language_info", {}).get("name", "unknown"))
    implementation = str(info.get("implementation", "unknown"))
    if language != "python":
        raise TargetError(
            f"cannot attach to the kernel of {named}: it runs {language}",
            cause="only Python kernels hold Python objects",
            remedy="list what can be attached to: memprobe ps",
            docs=DOCS,
        )
    if implementation != "ipython":
        raise TargetError(
            f"cannot attach to the kernel of {named}: it is {implementation}",
            cause="its cells run elsewhere (Livy, sparkmagic), or not in IPython",
            remedy="run memprobe where the Python of the cells runs",
            docs=DOCS,
        )
    version = str(info.get("language_info", {}).get("version", ""))
    if OLD_PYTHON.match(version):
        raise TargetError(
            f"cannot attach to the kernel of {named}: it runs Python {version}",
            cause="the probe needs Python 3.10 or newer",
            remedy="choose a kernel with a newer Python for this notebook",
            docs=DOCS,
        )


def answer_of(reply: dict[str, Any]) -> dict[str, Any]:
    """Return what the request's user expression told. Raises TargetError where it failed."""
    told = reply.get("user_expressions", {}).get("memprobe", {})
    if reply.get("status") != "ok" or told.get("status") != "ok":
        failure = told if told.get("ename") else reply
        raise TargetError(
            "the probe could not start in the kernel",
            cause=f"{failure.get('ename', 'unknown')}: {failure.get('evalue', '')}",
            remedy="report this with the kernel's Python and ipykernel versions",
            docs=DOCS,
        )
    answer: dict[str, Any] = json.loads(ast.literal_eval(told["data"]["text/plain"]))
    if not answer.get("ok"):
        raise TargetError(
            "the probe could not start in the kernel",
            cause=str(answer.get("error")),
            remedy="try again; if it stays, report it",
            docs=DOCS,
        )
    return answer


def session_config(pid: int, options: AttachOptions) -> dict[str, Any]:
    """Return what the probe is told, of a kernel."""
    return {
        "context": "notebook",
        "method": "kernel",
        "pid": pid,
        "program": options.program,
        "interval": options.interval,
        "max_pause": options.max_pause,
        "cap": options.cap,
        "cpu_share": options.cpu_share,
        "client": f"{os.getpid()}-{secrets.token_hex(3)}",
        "lease": options.lease,
        "thread": True,
        "limits": limits.effective(pid),
        "peak_reset": options.peak_reset,
        "first_snapshot": options.first_snapshot,
        "memray": options.log.config if options.log else None,
        "tracemalloc": options.tracemalloc,
        "inside": list(options.inside),
        "jvm_histogram": options.jvm_histogram,
        "walker": walker_file.offered(),
    }
