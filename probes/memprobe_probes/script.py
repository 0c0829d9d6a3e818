"""The probe in a script: measured from garbage collections and at exit, without a thread."""

from __future__ import annotations

import atexit
import os
import sys
import time

from . import artists, bootstrap, plain_json
from .descriptors import close_own, identity, out_of_the_way
from .gc_trigger import GcTrigger

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Seconds between two looks at RSS (20 µs each): memory can go from half to full in one second.
LOOK = 0.05
_LONGEST_REQUEST = 65536  # bytes: what a FIFO holds

_steps: tuple[Any, Any] | None = None  # the plan and the recorder of a run in steps


def start(folder: str, began: int | None = None) -> bool:
    """Start the probe for the session in ``folder`` and arm it. May raise; the caller reports.

    ``began`` (monotonic ns): since when this process has been busy with the probe. Returns
    whether the modules that are loaded now must stay: memray's hooks live in some of them.
    """
    global _steps
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
        config = plain_json.loads(file.read())
    bootstrap.start(config)
    probe = bootstrap.active()
    if probe is None:
        return False
    watch = ScriptWatch(probe, float(config["interval"]), os.path.join(folder, "alive"))
    # Registered before any line of the program, so it runs after everything of the program.
    atexit.register(watch.finish)
    os.register_at_fork(after_in_child=watch.forked)
    watch.begin()
    if config.get("steps"):
        # Here, where library modules that only we need are taken out of sys.modules again.
        from . import steps

        _steps = steps.Plan(config["steps"]), steps.StepRecorder(probe)
        if began is not None:
            seconds = (time.monotonic_ns() - began) / 1e9
            probe.recorder.write(
                "marker", marker="phase", phase="end", name="probe", seconds=seconds
            )
    probe.trace_allocations()
    return bool(config.get("memray"))


def run_in_steps() -> None:
    """Go on as the script that ``sys.argv[1]`` names, with a marker and a snapshot per step."""
    from . import steps

    if _steps is None:  # the probe could not start: the script runs all the same
        steps.run(steps.Plan({"starts": []}), lambda step, work: work())
        return
    plan, recorder = _steps
    steps.run(plan, recorder.around)


class ScriptWatch:
    """Takes samples and snapshots when they are due, and the last ones at exit."""

    def __init__(self, probe: Any, interval: float, alive: str) -> None:
        self._probe: Any = probe
        self._next_sample = time.monotonic() + interval
        self._owner = os.getpid()
        self._sees_figures = False
        self._trigger = GcTrigger(self._measure)
        self._spark: Any = None  # the thread that reads Spark, once pyspark is there
        self._control = os.path.join(os.path.dirname(alive), "control")
        # Held open and never written: when it closes, the host sees an exit or an exec.
        self._alive = out_of_the_way(os.open(alive, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC))
        self._fifo = identity(self._alive)

    def begin(self) -> None:
        """Arm, unless this interpreter has no GIL: the trigger relies on it."""
        if getattr(sys, "_is_gil_enabled", lambda: True)():
            self._trigger.arm(LOOK)

    def forked(self) -> None:
        """In a forked child: measure nothing, write nothing."""
        try:
            self._trigger.disarm()
            bootstrap.forked_child()
            close_own(self._alive, self._fifo)
        except BaseException:
            pass

    def finish(self) -> None:
        """At exit, after the program's own handlers and before anything is torn down."""
        if os.getpid() != self._owner or bootstrap.active() is None:
            return
        try:
            self._trigger.disarm()
            if self._spark is not None:
                self._spark.stop()
            self._probe.close("exit", final_snapshot="exit")
        except BaseException:  # Ctrl-C in here: the program is over already
            pass
        try:
            bootstrap.stop("exit")
        except BaseException:
            pass

    def _measure(self) -> float:
        """Look at the limit; take a sample and a snapshot where they are due. Return a delay."""
        now = time.monotonic()
        self._await_figures()
        self._await_spark()
        if now < self._next_sample:
            self._probe.watch_limit(on_user_thread=True)
            return LOOK
        self._probe.sample(on_user_thread=True)
        asked = self._obey()
        if not asked and _steps is None and self._probe.due():
            self._probe.snapshot("interval", on_user_thread=True)
        self._next_sample = now + float(self._probe.interval)
        return min(LOOK, float(self._probe.interval))

    def _obey(self) -> bool:
        """Take the snapshots that somebody outside asks for; return whether there were any.

        A request is in the FIFO only while whoever made it holds that open: it waits for us.
        """
        asked = False
        for line in _waiting_in(self._control).split(b"\n"):
            try:
                message = plain_json.loads(line.decode())
            except ValueError:
                continue
            if isinstance(message, dict) and message.get("verb") == "snapshot":
                bootstrap.command(message)
                asked = True
        return asked

    def _await_spark(self) -> None:
        """Once there is a SparkContext, read it on a thread."""
        if "pyspark" in sys.modules:
            if self._spark is None:
                from .spark_thread import SparkThread

                self._spark = SparkThread(self._probe)
            self._spark.ensure()

    def _await_figures(self) -> None:
        """Once matplotlib is there, register to look before its own exit handler closes all."""
        if not self._sees_figures and "matplotlib._pylab_helpers" in sys.modules:
            self._sees_figures = True
            atexit.register(self._before_figures_go)

    def _before_figures_go(self) -> None:
        """At exit, take a snapshot of figures that were left open: at the end none is seen."""
        try:
            ours = os.getpid() == self._owner and bootstrap.active() is not None
            if ours and len(artists.open_figures()) >= artists.MANY_OPEN:
                self._trigger.disarm()
                self._probe.snapshot("exit", on_user_thread=True, unhurried=True)
        except BaseException:
            pass


def _waiting_in(fifo: str) -> bytes:
    """Return what was written into the FIFO and not read yet, without waiting."""
    try:
        fd = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(fd, _LONGEST_REQUEST)
    except OSError:
        return b""
    finally:
        os.close(fd)
