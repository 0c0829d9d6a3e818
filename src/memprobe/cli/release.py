"""``memprobe release``: let go of what findings name, in the running notebook."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from memprobe.cli.output import FAILED, columns, emit, wants_color
from memprobe.errors import MemprobeError, TargetError, UsageError

if TYPE_CHECKING:
    from memprobe.config import Config
    from memprobe.findings import Finding
    from memprobe.releases import ReleaseReport
    from memprobe.targets.contexts import KernelContext
    from memprobe.targets.interrupts import Interrupts
    from memprobe.targets.release import Look

DOCS = "verbs/release.md"


@click.command("release")
@click.argument("target")
@click.argument("fingerprints", nargs=-1, metavar="FINGERPRINT…")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")
@click.option(
    "--wait", type=float, default=0.0, metavar="SECONDS",
    help="Where a cell runs that the release must not disturb: wait so long for its end.",
)  # fmt: skip
@click.option(
    "--max-pause", metavar="SECONDS", help="Longest stop for the snapshot.  [default: 0.25]"
)
@click.option(
    "--timeout", type=float, default=30.0, show_default=True, metavar="SECONDS",
    help="How long to wait for the kernel's answer.",
)  # fmt: skip
@click.option("--output-format", type=click.Choice(("text", "json")), default="text",
              show_default=True)  # fmt: skip
@click.option("-q", "--quiet", is_flag=True, help="No progress, only what was done.")
def command(
    target: str, fingerprints: tuple[str, ...], yes: bool, dry_run: bool, wait: float,
    max_pause: str | None, timeout: float, output_format: str, quiet: bool,
) -> int:  # fmt: skip
    """Let go of what findings name, in the running notebook, and say what came back.

    TARGET is a notebook's name or path, a kernel id, a connection file or a PID. FINGERPRINT is
    that of a finding of report or snapshot on it, or any beginning of one. A new snapshot is
    taken first: what is not as it was is left alone. What will be cut is shown, and asked for.
    """
    from memprobe import config
    from memprobe.targets.discovery import Asked, resolve
    from memprobe.targets.interrupts import Interrupts

    if not fingerprints:
        raise UsageError(
            "no fingerprint says what to let go of",
            remedy=f"memprobe snapshot {target} lists the findings, each with its release line",
            docs=DOCS,
        )
    if not (yes or dry_run or _someone_is_there()):
        raise UsageError(
            "nobody can be asked: this is no terminal",
            remedy="see what it would do with --dry-run, then say --yes", docs=DOCS,
        )  # fmt: skip
    settings = config.load(max_pause=max_pause)
    context = resolve(target, Asked("release"))
    if context.remote is not None:
        raise UsageError(
            f"cannot release anything of {context.name} through its server",
            cause="release is not in this version for a kernel on another machine",
            remedy="run memprobe on the machine where the kernel runs", docs=DOCS,
        )  # fmt: skip
    if context.connection_file is None:
        raise TargetError(
            f"cannot let go of anything in process {context.pid}",
            cause="it is no notebook: between which of its statements a name may go, only its own "
            "code can tell",
            remedy=f"see what it keeps, and what to change in its code: memprobe snapshot "
            f"{context.pid}",
            docs=DOCS,
        )  # fmt: skip
    with Interrupts() as interrupts:
        job = _Job(context, settings, fingerprints, timeout, wait, interrupts, quiet, output_format)
        return job.run(yes=yes, dry_run=dry_run)


@dataclass
class _Job:
    """One call of the verb."""

    context: KernelContext
    settings: Config
    fingerprints: Sequence[str]
    timeout: float
    wait: float
    interrupts: Interrupts
    quiet: bool
    output_format: str

    def run(self, *, yes: bool, dry_run: bool) -> int:
        """Show, ask, do and tell; return the exit code."""
        shown: list[Finding] | None = None
        if dry_run or not yes:
            with self._look() as found:
                shown = self._chosen(found)
            report = self._report(shown, dry_run=dry_run)
            if dry_run:
                self._show(report)
                return 0
            self._announce(report, always=True)
            if not click.confirm("Let go of this?", default=False, err=True):
                self._say("nothing was touched")
                return 0
        return self._tell(*self._done(shown))

    def _done(self, shown: list[Finding] | None) -> tuple[ReleaseReport, dict[str, Any]]:
        """Look again, compare with what was shown, and have it done; wait for a cell if asked."""
        from memprobe.targets import release

        until = time.monotonic() + self.wait
        while True:
            with self._look() as found:
                findings = self._chosen(found)
                self._compare(shown, findings)
                if shown is None:
                    self._announce(self._report(findings, dry_run=False))
                shown = findings
                answer = release.release(found, findings)
                if answer["state"] == "done":
                    report = self._report(findings, dry_run=False)
                    report.buckets = release.buckets(found)
                    return report, answer
                self._say(f"waiting: {answer['why']}" if self.wait else "")
                if not release.wait_for_cell(found, until, self.interrupts.check):
                    raise _busy(answer["why"], self.wait)

    @contextmanager
    def _look(self) -> Iterator[Look]:
        from memprobe.targets import release
        from memprobe.targets.kernel import AttachOptions

        assert self.context.connection_file is not None
        with tempfile.TemporaryDirectory(prefix="memprobe-release-") as folder:
            options = AttachOptions(
                output=Path(folder, "release.memprobe"), program=_name(self.context),
                timeout=self.timeout, max_pause=self.settings.max_pause, cap=self.settings.cap,
                cpu_share=self.settings.cpu_share,
            )  # fmt: skip
            self._say(f"looking at {_name(self.context)} (process {self.context.pid})")
            with release.look(
                self.context.connection_file, self.context.pid, options, self.settings,
                self.interrupts,
            ) as found:  # fmt: skip
                yield found

    def _chosen(self, found: Look) -> list[Finding]:
        from memprobe.analysis.release_choice import chosen

        return chosen(found.report, self.fingerprints)

    @staticmethod
    def _compare(shown: list[Finding] | None, now: list[Finding]) -> None:
        from memprobe.analysis.release_choice import changes

        why = changes(shown, now) if shown is not None else ""
        if why:
            raise TargetError(
                "changed since: nothing was released", cause=why, remedy="try again", docs=DOCS
            )

    def _report(self, findings: Sequence[Finding], *, dry_run: bool) -> ReleaseReport:
        from memprobe.analysis.release_choice import planned
        from memprobe.releases import ReleaseReport

        return ReleaseReport(
            program=_name(self.context), pid=self.context.pid, dry_run=dry_run,
            findings=planned(findings),
        )  # fmt: skip

    def _tell(self, report: ReleaseReport, answer: dict[str, Any]) -> int:
        """Show what was done; return 0, or 2 where something was left."""
        from memprobe.analysis.release_choice import told
        from memprobe.cli.failure import print_error

        self._show(told(report, answer))
        for error in map(_error, report.findings):
            if error is not None:
                print_error(error)
        return 0 if report.whole else FAILED

    def _show(self, report: ReleaseReport) -> None:
        from memprobe.reporters import release

        if self.output_format == "json":
            emit(release.render_json(report))
        else:
            emit(release.render(report, width=columns(), color=wants_color(sys.stdout)))

    def _announce(self, report: ReleaseReport, *, always: bool = False) -> None:
        """Show on stderr what is about to be done."""
        from memprobe.reporters import release

        if always or not self.quiet:
            color = wants_color(sys.stderr)
            emit(release.render(report, width=columns(), color=color), to_stderr=True)

    def _say(self, text: str) -> None:
        if text and not self.quiet:
            click.echo(text, err=True)


def _error(one: Any) -> MemprobeError | None:
    if one.state == "done":
        return None
    summaries = {
        "changed": f"{one.fingerprint} has changed since: nothing of it was touched",
        "refused": f"{one.fingerprint} cannot be let go of: nothing of it was touched",
        "failed": f"{one.fingerprint}: {one.cuts_done} of {len(one.cuts)} cuts were made",
    }
    return MemprobeError(
        summaries[one.state], cause=one.why, remedy="look what is there now: memprobe snapshot",
        docs=DOCS,
    )  # fmt: skip


def _busy(why: str, waited: float) -> TargetError:
    return TargetError(
        "nothing was released: a cell is running" + (f" after {waited:g} s" if waited else ""),
        cause=why,
        remedy="wait for its end, for ten minutes at most: --wait 600", docs=DOCS,
    )  # fmt: skip


def _someone_is_there() -> bool:
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def _name(context: KernelContext) -> str:
    return Path(context.notebook).name if context.notebook else context.name
