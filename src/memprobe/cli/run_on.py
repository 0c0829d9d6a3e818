"""``memprobe run --on databricks:…``: the same on a cluster, and all of it comes home."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from memprobe.errors import UsageError

if TYPE_CHECKING:
    from memprobe.config import Config
    from memprobe.databricks.run_end import Ending
    from memprobe.recording.writer import RecordingWriter
    from memprobe.targets.outcome import Outcome

DOCS = "databricks.md"
METHOD = "databricks-job"


class Where(NamedTuple):
    """What the options say of the place; empty: not given."""

    on: str
    job_cluster: str | None
    volume: str
    recording: str


def run(
    where: Where, target: tuple[str, ...], output: str | None, force: bool, settings: Config,
    inside: tuple[str, ...],
) -> Outcome:  # fmt: skip
    """Run ``target`` where ``on`` says and return how it ended. Raises UsageError, TargetError."""
    from memprobe.databricks import compute
    from memprobe.databricks.workspace import connect
    from memprobe.targets.interrupts import Interrupts

    place = compute.parsed(where.on, where.job_cluster)
    if place.kind == "job":
        return _run_job(int(place.name), where.recording, target, output, force)
    path, notebook = _checked(target)
    workspace = connect()  # the SDK may retry in here, where only a real Ctrl-C reaches it
    with Interrupts() as interrupts:
        workspace.waits.check = interrupts.check
        chosen = compute.compute_for(workspace, place)
        writer = _recording(output, path, force)
        try:
            return _run(
                workspace, chosen, writer, where.volume, interrupts,
                work=_work(path, target[1:], notebook, settings, inside, chosen.facts),
            )  # fmt: skip
        except BaseException:
            if writer.written:
                ProgressLine().say(f"what has come of the recording is {writer.path}")
                writer.close()
            else:
                writer.discard()
            raise


def _run(
    workspace: Any,
    compute: Any,
    writer: RecordingWriter,
    volume: str,
    interrupts: Any,
    *,
    work: Any,
) -> Outcome:
    from memprobe.databricks.job_run import JobRun
    from memprobe.targets.outcome import Outcome

    line = ProgressLine()
    running = JobRun(
        workspace, compute, work, writer, volume=volume, say=line.say, progress=line.show
    )
    workspace.waits.check = lambda: None  # from here on Ctrl-C is looked at where nothing is lost
    try:
        ending = running.run(interrupts)
    finally:
        line.show("")
    _print(ending)
    writer.close()
    return Outcome(ending.status, writer.path, incomplete=ending.trouble)


def _run_job(
    job_id: int, recording: str, target: tuple[str, ...], output: str | None, force: bool
) -> Outcome:
    """Run a job that is there. Raises UsageError, TargetError."""
    from memprobe.databricks import existing_job
    from memprobe.databricks.workspace import connect
    from memprobe.targets.interrupts import Interrupts
    from memprobe.targets.outcome import Outcome

    if target:
        raise UsageError(
            f"a job runs what it is made of, not {target[0]}",
            remedy=f"leave it out: memprobe run --on databricks:job/{job_id} --recording PATH",
            docs=DOCS,
        )
    place = existing_job.checked(recording)
    workspace, line = connect(), ProgressLine()
    with Interrupts() as interrupts:
        writer = _recording(output, Path(f"job-{job_id}"), force)
        try:
            running = existing_job.ExistingJob(
                workspace, job_id, place, writer, say=line.say, progress=line.show
            )
            ending = running.run(interrupts)
        except BaseException:
            writer.discard()
            raise
        finally:
            line.show("")
    _print(ending)
    writer.close()
    return Outcome(ending.status, writer.path, incomplete=ending.trouble)


def _checked(target: tuple[str, ...]) -> tuple[Path, bool]:
    """Return the file to run and whether it is a notebook. Raises UsageError."""
    from memprobe.targets import command as commands

    if not target or not target[0].endswith((".py", ".ipynb")):
        raise UsageError(
            f"{target[0] if target else 'nothing'} cannot be run on Databricks",
            cause="a script or a notebook of this machine can: SCRIPT.py, NOTEBOOK.ipynb or .py",
            remedy="memprobe run --on databricks:CLUSTER etl.py",
            docs=DOCS,
        )
    commands.check_readable(target[0])
    notebook = commands.is_notebook(target)
    if notebook and len(target) > 1:
        raise UsageError(
            "a notebook takes no arguments", cause="its parameters are widgets",
            remedy="leave them out", docs=DOCS,
        )  # fmt: skip
    return Path(target[0]), notebook


def _recording(output: str | None, program: Path, force: bool) -> RecordingWriter:
    import os

    from memprobe.recording.naming import default_path, free
    from memprobe.recording.writer import RecordingWriter

    if output is not None:
        return RecordingWriter.create(Path(output), force=force)
    return RecordingWriter.create(free(default_path(program.name, f"databricks-{os.getpid()}")))


def _work(
    path: Path, argv: tuple[str, ...], notebook: bool, settings: Config, inside: tuple[str, ...],
    facts: dict[str, Any],
) -> Any:  # fmt: skip
    from memprobe.databricks.job_run import Work

    probe = {
        "context": "notebook" if notebook else "script", "method": METHOD, "program": path.name,
        "argc": len(argv), "interval": settings.interval, "max_pause": settings.max_pause,
        "cap": settings.cap, "cpu_share": settings.cpu_share, "inside": list(inside),
        "databricks": facts,
    }  # fmt: skip
    return Work(path, argv, probe, notebook, settings.databricks_copy)


def _print(ending: Ending) -> None:
    """Give the script's output to stdout, and what failed to stderr."""
    from memprobe.reporters.printable import printable

    with suppress(OSError, ValueError):
        sys.stdout.write(ending.logs)
        sys.stdout.flush()
    lines = [f"memprobe: {note}" for note in ending.notes]
    if ending.truncated:
        lines.append("memprobe: the output is longer than what the workspace keeps of it")
    if ending.error and ending.error not in ending.logs:
        lines.append((ending.trace or ending.error).rstrip())
    with suppress(OSError, ValueError):
        for line in lines:
            print("\n".join(map(printable, line.split("\n"))), file=sys.stderr, flush=True)


class ProgressLine:
    """One line on a terminal that the next replaces; elsewhere only what is worth a line."""

    def __init__(self) -> None:
        self._tty = sys.stderr is not None and sys.stderr.isatty()

    def show(self, text: str) -> None:
        """Replace the line."""
        if self._tty:
            with suppress(OSError, ValueError):
                sys.stderr.write(f"\r\x1b[K{text[:79]}")
                sys.stderr.flush()

    def say(self, text: str) -> None:
        """Print a line that stays."""
        self.show("")
        with suppress(OSError, ValueError):
            print(f"memprobe: {text}", file=sys.stderr, flush=True)
