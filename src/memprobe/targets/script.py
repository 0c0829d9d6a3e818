"""Run a program as a child process that behaves as without us, and record it.

The child gets our standard streams, terminal and process group. We add two environment variables
that the child's interpreter takes back before the program's first line (see
``memprobe_probes/launch``), pass on signals, read its memory from outside, copy the probe's spool
into the recording, and write the last record with what only a parent knows.
"""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import memprobe
import memprobe_probes
from memprobe.errors import TargetError
from memprobe.recording.drain import Drain
from memprobe.recording.naming import free
from memprobe.recording.schema import End, Event, Header, Limits, Marker, Record, Sample
from memprobe.recording.writer import RecordingWriter
from memprobe.targets.alive import AliveWatch
from memprobe.targets.command import Command
from memprobe.targets.outcome import Outcome
from memprobe.targets.outside import OutsideSampler
from memprobe.targets.session import SessionFolder
from memprobe.targets.signals import ChildSignals, Stopped
from memprobe_probes import limits

if TYPE_CHECKING:
    from memprobe.targets.allocation_log import AllocationLog

VARIABLE = "_MEMPROBE_SESSION"
LAUNCH = Path(memprobe_probes.__file__).parent / "launch"
FIRST_LOOK = 0.2  # seconds until the first reading, so that short programs have one too
SAMPLE_BYTES = 250  # a sample's usual length in the file
HOST_SHARE = 8  # the host's own samples may take 1/8 of the recording's cap


class ScriptRun:
    """One recorded run of a command."""

    def __init__(
        self, command: Command, writer: RecordingWriter, options: dict[str, Any],
        streams: dict[str, Any] | None = None, log: AllocationLog | None = None,
    ) -> None:  # fmt: skip
        """``options`` overrides keys of the session's config (interval, max_pause, cap …).

        ``streams`` is given to ``subprocess.Popen`` where the child's working directory or
        standard streams are not to be ours. ``log``: the target records its allocations too.
        """
        self._command = command
        self._streams = streams or {}
        self._log = log
        self._spawned = 0
        self._own_start = 0.0  # seconds that the probe's own start took in the child
        self._started_up = False
        self._writer = writer
        own_limits = limits.effective(None)
        self._session = SessionFolder.create(
            {
                **options,
                "memray": log.config if log else None,
                "context": "script",
                "method": "run",
                "program": command.program,
                "argc": command.argc,
                "limits": own_limits,
            }
        )
        watch = log.see if log else None
        self._drain = Drain(self._session.spool, writer, hold_end=True, watch=watch)
        self._alive = AliveWatch(self._session.alive)
        self._limits = own_limits
        self._start = time.time()
        self._began = time.monotonic()
        self._interval = float(self._session.config["interval"])
        self._budget = int(self._session.config["cap"]) // HOST_SHARE
        self._early: list[Record] = []  # ours, until the probe's header is the first line
        self._header: Header | None = None
        self._sampler: OutsideSampler | None = None
        self._ended = False
        self._peak = 0
        self._spent = 0
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, final_path: Path | None = None) -> Outcome:
        """Run to the end; ``final_path`` may hold ``{pid}``. Raises ``TargetError``, unstarted."""
        with ChildSignals() as signals:  # up to the recording's last line
            try:
                process = self._spawn()
                if final_path is not None:
                    self._writer.rename(free(Path(str(final_path).format(pid=process.pid))))
                status, usage = self._wait(process.pid, signals)
                process.returncode = os.waitstatus_to_exitcode(status)
                return self._finish(process.returncode, usage)
            finally:
                self._drain.close()
                self._alive.close()
                self._writer.close()
                self._session.remove()

    def _spawn(self) -> subprocess.Popen[bytes]:
        try:
            self._spawned = time.monotonic_ns()
            # Descriptors that the shell passed on go to the target; ours are close-on-exec.
            self._process = subprocess.Popen(
                self._command.line, env=self._environment(), close_fds=False, **self._streams
            )
        except (OSError, ValueError) as error:
            cause = getattr(error, "strerror", None) or str(error)
            raise TargetError(
                f"cannot run {self._command.line[0]}",
                cause=cause.lower(),
                remedy="check that it is a program for this machine",
                docs="verbs/run.md",
            ) from error
        return self._process

    def _environment(self) -> dict[str, str]:
        former = os.environ.get("PYTHONPATH")
        parent = os.getpid() if self._command.direct else 0
        return {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(LAUNCH), former] if former else [str(LAUNCH)]),
            VARIABLE: f"{parent}:{int(former is not None)}:{self._session.path}",
        }

    def _wait(self, pid: int, signals: ChildSignals) -> tuple[int, Any]:
        signals.follow(pid)
        if self._command.direct:
            # After the signals are ours: the watching thread must not take any of them.
            self._alive.start(pid)
            self._sampler = OutsideSampler(pid)
        look = time.monotonic() + min(FIRST_LOOK, self._interval)
        while True:
            while (ended := signals.reap()) is None:
                if not signals.wait(look - time.monotonic()):
                    break
            if ended is not None and not isinstance(ended, Stopped):
                return ended
            if time.monotonic() >= look:
                self._look()
                look = time.monotonic() + self._interval

    def _look(self) -> None:
        """Copy what the probe wrote, and read the target's memory from outside."""
        self._pull()
        if self._ended or self._sampler is None:
            return
        sample = self._sampler.sample()
        if sample is not None:
            self._keep(sample)
        if self._alive.left == "exec":
            self._leave_by_exec()

    def _keep(self, sample: Sample) -> None:
        self._peak = max(self._peak, sample.peak or sample.rss or 0)
        sample.interval = self._interval
        self._write(sample)
        if self._budget and self._writer.failed is None:
            self._slow_down()

    def _slow_down(self) -> None:
        """Double the interval each time half of what is left of our share is used."""
        self._spent += SAMPLE_BYTES
        if self._spent > self._budget / 2:
            self._budget -= self._spent
            self._spent = 0
            self._interval *= 2

    def _pull(self) -> None:
        for record in self._drain.pull():
            if isinstance(record, Header) and self._header is None:
                self._meet(record)
            if isinstance(record, Marker) and not self._started_up:
                self._start_up(record)

    def _start_up(self, marker: Marker) -> None:
        """Write how long the start took, once the first step of a run in steps has begun."""
        if marker.name == "probe":
            self._own_start = marker.seconds or 0.0
        elif marker.marker == "phase" and marker.phase == "start":
            self._started_up = True
            seconds = (marker.t - self._spawned) / 1e9 - self._own_start
            self._write(
                Marker(t=marker.t, marker="phase", phase="end", name="start-up", seconds=seconds)
            )

    def _meet(self, header: Header) -> None:
        """The probe's header is the first line of the recording: ours may follow now."""
        self._header = header
        if self._sampler is None:
            self._sampler = OutsideSampler(header.pid)
            self._alive.start(header.pid)
        for record in self._early:
            self._writer.write(record)
        self._early.clear()

    def _write(self, record: Record) -> None:
        if self._header is None:
            self._early.append(record)
        else:
            self._writer.write(record)

    def _leave_by_exec(self) -> None:
        self._write(End(t=time.monotonic_ns(), reason="exec", peak=self._peak or None))
        self._ended = True

    def _finish(self, code: int, usage: Any) -> Outcome:
        self._pull()
        trouble = self._without_probe() if self._header is None else None
        if self._alive.left == "closed":
            detail = "the program closed descriptors that it had not opened"
            self._write(Event(t=time.monotonic_ns(), event="probe-lost", detail=detail))
        if self._log is not None:
            self._log.follow(self._writer.path)
            self._write(self._log.read())
        if not self._ended:
            if self._alive.left == "exec":
                self._leave_by_exec()
            else:
                self._write(self._end(code, usage))
        return Outcome(
            status=code if code >= 0 else 128 - code,
            path=self._writer.path,
            trouble=trouble,
            incomplete=self._writer.failed,
        )

    def _end(self, code: int, usage: Any) -> End:
        direct = self._command.direct
        held = self._drain.held
        end = End(t=time.monotonic_ns(), wall=time.monotonic() - self._began)
        end.at_exit = held.at_exit if held else None
        if direct:
            end.reason = "signal" if code < 0 else "exit"
            end.status, end.signal = (None, -code) if code < 0 else (code, None)
            end.peak = max(usage.ru_maxrss * 1024, self._peak)
            end.cpu = usage.ru_utime + usage.ru_stime
        else:
            end.reason = held.reason if held else "gone"
            end.peak = max(self._peak, (held.peak or 0) if held else 0) or None
        return end

    def _without_probe(self) -> str:
        """Begin the recording ourselves: no probe did. Return why."""
        assert self._process is not None
        header = Header(
            t=time.monotonic_ns(),
            memprobe=memprobe.__version__,
            context="script",
            pid=self._process.pid,
            start=self._start,
            program=self._command.program,
            argc=self._command.argc,
            session=self._session.config["session"],
            method="run",
            limits=Limits(**self._limits),
            interval=self._interval,
            cap=int(self._session.config["cap"]),
        )
        self._writer.write(header)
        self._meet(header)
        reason = self._reason()
        self._write(Event(t=time.monotonic_ns(), event="no-probe", detail=reason))
        return reason

    def _reason(self) -> str:
        try:
            return self._session.trouble.read_text().splitlines()[0]
        except (OSError, IndexError):
            pass
        if self._session.claimed.exists():
            return "the process ended before the probe had started"
        return "no Python 3.10 or newer with its site module started in it"
