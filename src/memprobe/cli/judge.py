"""From recordings to a verdict: the reports, what failed on the way, and the exit code."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from memprobe.cli.baseline import leave_out
from memprobe.cli.output import FAILED, FILE_WIDTH, columns, emit, wants_color, write_file
from memprobe.config import Config
from memprobe.errors import MemprobeError, NothingMeasured, UsageError
from memprobe.findings import Report
from memprobe.histories import History

FOUND = 1


@dataclass
class Verdict:
    """The reports of the recordings that could be judged, the errors of those that could not.

    ``unheld``: holders that were to be looked into and are none. ``histories``: of each report what
    its recording says over time, where that was asked for.
    """

    reports: list[Report] = field(default_factory=list)
    histories: list[History] = field(default_factory=list)
    errors: list[MemprobeError] = field(default_factory=list)
    unheld: list[MemprobeError] = field(default_factory=list)

    def show(self, output_format: str, path: str | None = None, *, to_stderr: bool = False) -> None:
        """Write the reports to ``path``, or else to stdout or stderr."""
        from memprobe.reporters import render

        if path is not None and path != "-":
            write_file(path, render(self.reports, output_format, width=FILE_WIDTH))
            return
        import sys

        color = wants_color(sys.stderr if to_stderr else sys.stdout)
        text = render(self.reports, output_format, width=columns(), color=color)
        emit(text, to_stderr=to_stderr)

    def show_holders(self, output_format: str, path: str | None = None) -> None:
        """Write who holds what, as text; raises UsageError for another format."""
        if output_format != "text":
            raise UsageError(
                f"--holders is a text, not {output_format}",
                remedy="leave it out: json and markdown list the holders in every report",
                docs="verbs/report.md",
            )
        import sys

        from memprobe.reporters.text import render_holders

        if path is not None and path != "-":
            pages = [render_holders(report, width=FILE_WIDTH) for report in self.reports]
            write_file(path, "\n".join(pages))
            return
        color = wants_color(sys.stdout)
        emit("\n".join(render_holders(r, width=columns(), color=color) for r in self.reports))

    def tell_unheld(self) -> None:
        """Say on stderr which of the holders to be looked into are none, with near names."""
        from memprobe.cli.failure import print_error

        for error in self.unheld:
            print_error(error)

    def exit_code(self, *, exit_zero: bool = False) -> int:
        """Return 2 for a failure, else 1 for findings, else 5 where nothing was measured."""
        if any(not isinstance(error, NothingMeasured) for error in self.errors):
            return FAILED
        if not exit_zero and any(report.fails for report in self.reports):
            return FOUND
        return NothingMeasured.exit_code if self.errors else 0


def judge(
    paths: Iterable[str], config: Config, known: frozenset[str] = frozenset(),
    inside: Sequence[str] = (), *, over_time: bool = False,
) -> Verdict:  # fmt: skip
    """Return the verdict over the recordings at ``paths``; an unreadable one is told on stderr.

    ``inside``: the holders that the recordings were to tell the inside of. ``over_time``: with
    histories.
    """
    from memprobe.cli.failure import print_error

    verdict = Verdict()
    for path in paths:
        try:
            report, history, unheld = _report(path, config, known, inside, over_time)
            verdict.reports.append(report)
            if history is not None:
                verdict.histories.append(history)
            verdict.unheld += unheld
        except UsageError:
            raise  # it concerns all of them
        except MemprobeError as error:
            print_error(error)
            verdict.errors.append(error)
    return verdict


def _report(
    path: str, config: Config, known: frozenset[str], inside: Sequence[str], over_time: bool
) -> tuple[Report, History | None, list[MemprobeError]]:
    from memprobe.analysis import build, inside_asked
    from memprobe.recording.reader import read

    recording = read(path)
    history = None
    if over_time:
        report, history = build.report_and_history(recording, config)
    else:
        report = build.report(recording, config)
    leave_out(report, known)
    missing, unheld = inside_asked.gaps(recording, inside)
    report.not_measured += missing
    return report, history, unheld
