"""What ``memprobe ps databricks:CLUSTER`` prints: the driver first, then what runs on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from memprobe.databricks.notebooks import Driver

_MANY = 0.9  # of the contexts that a driver keeps
_FULL = "nearly full: for one more context, also one of memprobe's, the driver evicts an idle one"
_HIDDEN = "standard access mode keeps users apart: other users' notebooks are not to be seen here"


def show(scope: str, output_format: str) -> None:
    """Look at the cluster that ``scope`` names and print what is on its driver."""
    from memprobe.cli.output import emit
    from memprobe.cli.ps import as_json, as_text
    from memprobe.databricks import notebooks

    driver = notebooks.listed(scope, lambda text: click.echo(text, err=True))
    if output_format == "json":
        emit(as_json(driver.rows, cluster=_facts(driver)))
        return
    emit(as_text(driver.rows, _heading(driver)))


def _heading(driver: Driver) -> list[str]:
    from memprobe.cli.ps import escaped
    from memprobe.databricks.notebooks import CONTEXTS
    from memprobe.reporters.amounts import counted, percent, size

    cluster, memory = driver.cluster, driver.told["memory"]
    share = memory["used"] / memory["limit"]
    colour = "red" if share >= 0.85 else "yellow" if share >= 0.6 else "green"
    runtime = driver.told["runtime"] or cluster.runtime
    ends = _termination(cluster.autotermination)
    return [
        f"[bold]{escaped(cluster.name)}[/]  {cluster.cluster_id}  DBR {escaped(runtime)}, "
        f"{cluster.mode} access mode, {ends}",
        f"driver: {size(memory['used'])} of {size(memory['limit'])} used "
        f"([{colour}]{percent(share)}[/], {memory['source']}); "
        f"{counted(driver.contexts, 'Python context')} seen, of {CONTEXTS} contexts at most",
        *([f"[red]{_FULL}[/]"] if driver.contexts >= _MANY * CONTEXTS else []),
        *([f"[dim]{_HIDDEN}[/]"] if cluster.mode == "standard" else []),
        "" if any(row.attachable for row in driver.rows) else "\nNo notebook can be attached to.",
    ]


def _termination(minutes: int | None) -> str:
    if not minutes:
        return "never ends by itself"
    return f"ends after {minutes} min without activity"


def _facts(driver: Driver) -> dict[str, Any]:
    from dataclasses import asdict

    from memprobe.databricks.notebooks import CONTEXTS

    told = driver.told
    return {
        **asdict(driver.cluster), "memory": told["memory"], "python": told["python"],
        "python_contexts": driver.contexts, "most_contexts": CONTEXTS,
        "hidden": _HIDDEN if driver.cluster.mode == "standard" else None,
    }  # fmt: skip
