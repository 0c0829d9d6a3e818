"""``memprobe report``: the findings of one or more recordings."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from memprobe.cli.html import html_option, refuse_beside, write_page
from memprobe.cli.rules import known_before, rule_options
from memprobe.errors import UsageError
from memprobe.reporters import FORMATS, INSIDE_FORMATS

if TYPE_CHECKING:
    from memprobe.config import Config

FOUND = 1


@click.command("report")
@click.argument("recordings", nargs=-1, required=True, metavar="RECORDING...")
@click.option("--output-format", type=click.Choice(FORMATS), default="text", show_default=True)
@click.option(
    "-o",
    "--output",
    "--graph-output",
    metavar="FILE",
    help="Write there instead of to stdout; a graph as .dot, .svg, .png or .pdf.",
)
@html_option
@rule_options
@click.option("--holders", is_flag=True, help="Only show who holds what; judge nothing.")
@click.option(
    "--graph",
    "holder",
    metavar="HOLDER",
    help="Only draw what keeps and is kept by a name, an output or a finding.",
)
@click.option(
    "--inside",
    is_flag=False,
    flag_value="",
    metavar="[EXPR]",
    help="Only show what is inside of a holder that a snapshot looked into.",
)
@click.option("--exit-zero", is_flag=True, help="Exit with 0 even if something was found.")
def command(
    recordings: tuple[str, ...],
    output_format: str,
    output: str | None,
    html: str | None,
    select: str | None,
    ignore: str | None,
    baseline: str | None,
    holders: bool,
    holder: str | None,
    inside: str | None,
    exit_zero: bool,
) -> int:
    """Show the findings of RECORDINGs: what keeps memory, and how to get it back.

    Exits with 1 if one finding is leaking or suspect and not in the baseline, with 5 if nothing
    was measured.
    """
    from memprobe import config
    from memprobe.cli.judge import judge

    settings = config.load(select=select, ignore=ignore)
    if html is not None:
        refuse_beside(html, graph=holder is not None, inside=inside is not None, holders=holders)
    if holder is not None:
        _refuse_mixture("--graph", recordings, output_format, ("text",), holders)
        return _draw(recordings[0], holder, settings, output)
    if inside is not None:
        _refuse_mixture("--inside", recordings, output_format, INSIDE_FORMATS, holders)
        return _look_inside(recordings[0], inside, settings, output_format, output)
    known = known_before(settings, baseline)
    verdict = judge(recordings, settings, known, over_time=html is not None)
    if holders:
        verdict.show_holders(output_format, output)
        return verdict.exit_code(exit_zero=True)
    if verdict.reports:
        verdict.show(output_format, output)
    if html is not None and verdict.reports:
        from memprobe.reporters.html import render

        write_page(html, render(list(zip(verdict.reports, verdict.histories))))
    return verdict.exit_code(exit_zero=exit_zero)


def _refuse_mixture(
    option: str, recordings: tuple[str, ...], output_format: str, formats: tuple[str, ...],
    holders: bool,
) -> None:  # fmt: skip
    """Raise UsageError where more is asked for than one picture of one recording."""
    if len(recordings) > 1:
        problem, remedy = "is of one recording", "name the one to look into"
    elif output_format not in formats and option == "--graph":
        problem, remedy = f"is not {output_format}", "the end of -o FILE says what is written"
    elif output_format not in formats:
        problem, remedy = f"is not {output_format}", f"choose one of {', '.join(formats)}"
    elif holders:
        problem, remedy = "and --holders are two reports", "ask for one at a time"
    else:
        return
    raise UsageError(f"{option} {problem}", remedy=remedy, docs="verbs/report.md")


def _look_inside(
    path: str, expr: str, settings: Config, output_format: str, output: str | None
) -> int:
    """Write what is inside of one holder, or of all that were looked into; judge nothing."""
    from memprobe.analysis import inside_asked
    from memprobe.cli import output as place
    from memprobe.recording.reader import read
    from memprobe.reporters import render_inside

    told = inside_asked.report(read(path), settings, [expr])
    if output is not None and output != "-":
        place.write_file(output, render_inside(told, output_format, width=place.FILE_WIDTH))
        return 0
    color = place.wants_color(sys.stdout)
    place.emit(render_inside(told, output_format, width=place.columns(), color=color))
    return 0


def _draw(path: str, holder: str, settings: Config, output: str | None) -> int:
    """Write the retention paths of one holder as a graph; judge nothing."""
    from memprobe.analysis import build, named_holder
    from memprobe.cli import picture
    from memprobe.recording.reader import read
    from memprobe.reporters import graph

    picture.refuse_unknown_kind(output)
    recording = read(path)
    report = build.report(recording, settings)
    subject = named_holder.subject(recording, holder, report.findings)
    picture.write(graph.render(subject, report.recording), output)
    return 0
