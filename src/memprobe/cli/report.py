"""``memprobe report``: the findings of one or more recordings."""

from __future__ import annotations

import click

from memprobe.cli.rules import known_before, rule_options
from memprobe.reporters import FORMATS

FOUND = 1


@click.command("report")
@click.argument("recordings", nargs=-1, required=True, metavar="RECORDING...")
@click.option("--output-format", type=click.Choice(FORMATS), default="text", show_default=True)
@click.option("-o", "--output", metavar="FILE", help="Write there instead of to stdout.")
@rule_options
@click.option("--holders", is_flag=True, help="Only show who holds what; judge nothing.")
@click.option("--exit-zero", is_flag=True, help="Exit with 0 even if something was found.")
def command(
    recordings: tuple[str, ...],
    output_format: str,
    output: str | None,
    select: str | None,
    ignore: str | None,
    baseline: str | None,
    holders: bool,
    exit_zero: bool,
) -> int:
    """Show the findings of RECORDINGs: what keeps memory, and how to get it back.

    Exits with 1 if one finding is leaking or suspect and not in the baseline, with 5 if nothing
    was measured.
    """
    from memprobe import config
    from memprobe.cli.judge import judge

    settings = config.load(select=select, ignore=ignore)
    known = known_before(settings, baseline)
    verdict = judge(recordings, settings, known)
    if holders:
        verdict.show_holders(output_format, output)
        return verdict.exit_code(exit_zero=True)
    if verdict.reports:
        verdict.show(output_format, output)
    return verdict.exit_code(exit_zero=exit_zero)
