"""``with memprobe.record("etl.memprobe"):``: measure a block of code from inside."""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager

from . import bootstrap, copies, courier, notebook
from .gc_trigger import GcTrigger

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_NEVER = 1e9  # seconds


@contextmanager
def record(path: str | os.PathLike[str], **options: Any) -> Iterator[str]:
    """Record the block into ``path`` (new, 0600) and yield the path.

    ``options`` are ``interval`` (seconds), ``max_pause`` (seconds) and ``cap`` (bytes). Raises
    FileExistsError, PermissionError or another OSError where ``path`` cannot be written, and
    RuntimeError where a probe is in this process already: in both cases the block does not run.
    The last snapshot is taken when the block ends, also by an exception. No thread is started
    unless there is a SparkContext, or ``path`` lies on a mount that takes whole files only
    (``/Volumes``, ``/Workspace``, ``/dbfs``): then the recording is copied there as it grows.
    """
    if bootstrap.active() is not None:
        raise RuntimeError("memprobe is already recording in this process")
    target = os.fspath(path)
    if copies.is_remote(target):
        with _copied(target, options):
            yield target
        return
    shell = notebook.running_shell()
    program = os.path.basename(sys.argv[0]) if sys.argv and sys.argv[0] else "python"
    bootstrap.start(
        {
            "context": "script" if shell is None else "notebook", "method": "record",
            "program": program, "argc": max(0, len(sys.argv) - 1), "spool": target, **options,
        }
    )  # fmt: skip
    probe = bootstrap.active()
    assert probe is not None
    if probe.recorder.failed:
        _give_up(target, probe.recorder.failed)
    between = Between(probe)
    try:
        yield target
    finally:
        between.end()
        if probe.alive:
            bootstrap.stop("exit")


class Between:
    """What measures between beginning and end where the probe has no thread of its own."""

    def __init__(self, probe: Any) -> None:
        self._probe = probe
        self._spark = _spark_thread(probe)
        self._trigger = GcTrigger(lambda: _measure(probe, self._spark))
        self._trigger.arm(probe.interval)
        probe.sample(on_user_thread=True)

    def end(self) -> None:
        """Stop, and take the last snapshot; nothing in a forked child."""
        self._trigger.disarm()
        self._spark.stop()
        if self._probe.alive:
            self._probe.snapshot("exit", on_user_thread=True, unhurried=True)


@contextmanager
def _copied(target: str, options: dict[str, Any]) -> Iterator[None]:
    """Record on the local disk, and copy it to ``target`` until the block has ended."""
    if bootstrap.active() is not None:
        raise RuntimeError("memprobe is already recording in this process")
    folder = bootstrap.new_session_folder()
    spool = os.path.join(folder, "spool.memprobe")
    copy: copies.Copy | None = None
    try:
        with record(spool, **options):
            copy = copies.Copy(spool, target)
            yield
    finally:
        if copy is None or copy.finish():
            courier._remove(folder)
        else:
            _warn(f"{target} could not be written ({copy.failed}); the recording is {spool}")


def _warn(text: str) -> None:
    """Tell the program's author that a file is missing; where warnings are errors, nothing."""
    import warnings

    try:
        warnings.warn(f"memprobe: {text}", RuntimeWarning, stacklevel=4)
    except RuntimeWarning:
        return


def _give_up(path: str, reason: str) -> None:
    """Leave nothing of a recording that cannot even hold its header, and raise OSError."""
    bootstrap.stop("failed")
    os.unlink(path)
    raise OSError(f"cannot write the recording {path}: {reason}")


def _spark_thread(probe: Any) -> Any:
    from .spark_thread import SparkThread

    thread = SparkThread(probe)
    thread.ensure()
    return thread


def _measure(probe: Any, spark: Any) -> float:
    """Sample, take a snapshot where one is due, and return the seconds to the next time."""
    if not probe.alive:
        return _NEVER  # a forked child
    begun = time.monotonic()
    spark.ensure()
    probe.sample(on_user_thread=True)
    if probe.due():
        probe.snapshot("interval", on_user_thread=True)
    return max(float(probe.interval), (time.monotonic() - begun) * 10)
