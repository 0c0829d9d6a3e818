"""A checklist for a real workspace: it tries what memprobe relies on, and writes a support file.

    python -m memprobe.databricks.check databricks:CLUSTER[/NOTEBOOK] [FILE]

Without NOTEBOOK nothing is entered. The file is JSON and meant to be sent to somebody: it holds
versions, times, shapes and messages; no host, no token, no name of a user, cluster or notebook.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from memprobe import __version__
from memprobe.databricks import clusters, notebooks
from memprobe.databricks.address import Address, is_databricks, parsed
from memprobe.databricks.clusters import ClusterFacts
from memprobe.databricks.line import PATIENCE
from memprobe.databricks.side_context import SideContext
from memprobe.databricks.workspace import Workspace, connect
from memprobe.errors import MemprobeError, UsageError
from memprobe.targets.kernel import AttachOptions

DOCS = "databricks.md"
FILE = "memprobe-support.json"
ROUNDS = 5  # round trips whose times are told
SIZES = (10_000, 100_000, 1_000_000, 5_000_000)  # signs that are sent and brought back
RECORDED = 10.0  # seconds that a notebook is recorded
DOMAINS = ("azuredatabricks.net", "databricks.com", "gcp.databricks.com", "databricks.azure.cn")


class Checklist:
    """The steps so far. What a step returns is told; what it raises is told, and ends the list."""

    def __init__(self, target: str) -> None:
        self.address: Address = parsed(target)
        self.steps: list[dict[str, Any]] = []
        self.private: list[str] = [self.address.cluster, self.address.notebook]
        self.workspace: Workspace
        self.cluster: ClusterFacts
        self._context = ""  # the side context's id

    def run(self) -> bool:
        """Go through the list; return whether all of it went well."""
        steps: list[tuple[str, Callable[[], dict[str, Any]]]] = [
            ("versions", _versions), ("login", self._login), ("cluster", self._cluster),
            ("side context", self._side_context), ("notebook", self._notebook),
            ("nothing left", self._nothing_left),
        ]  # fmt: skip
        return all(self._step(name, step) for name, step in steps)

    def _step(self, name: str, step: Callable[[], dict[str, Any]]) -> bool:
        begun = time.monotonic()
        try:
            told: dict[str, Any] = {"ok": True, **step()}
        except Exception as error:
            lines = error.lines() if isinstance(error, MemprobeError) else [repr(error)]
            told = {"ok": False, "error": lines}
        seconds = round(time.monotonic() - begun, 2)
        self.steps.append({"step": name, "seconds": seconds, **self._masked(told)})
        print(f"{'ok  ' if told['ok'] else 'FAIL'} {name}  {seconds} s", file=sys.stderr)
        for line in told.get("error", []):
            print(f"     {line}", file=sys.stderr)
        return bool(told["ok"])

    def _login(self) -> dict[str, Any]:
        self.workspace = connect()
        config = self.workspace.client.config
        self.private.append(self.workspace.host)
        with self.workspace.asked("ask who you are"):
            user = self.workspace.client.current_user.me().user_name
        self.private.append(str(user or ""))
        name = self.workspace.host.split(":")[0]
        domain = next((one for one in DOMAINS if name.endswith(one)), "another domain")
        return {"auth_type": str(config.auth_type), "domain": domain}

    def _cluster(self) -> dict[str, Any]:
        found = clusters.found(self.workspace, self.address.cluster)
        self.private += [found.name, found.cluster_id, found.single_user]
        self.cluster = clusters.running(self.workspace, found, PATIENCE, time.sleep)
        facts = self.cluster
        return {"runtime": facts.runtime, "mode": facts.mode, "state": facts.state}

    def _side_context(self) -> dict[str, Any]:
        begun = time.monotonic()
        with SideContext(self.workspace, self.cluster.cluster_id, PATIENCE) as context:
            opened = time.monotonic() - begun
            self._context = context.identity
            times = []
            for _ in range(ROUNDS):
                begun = time.monotonic()
                survey = context.call("survey")
                times.append(round(time.monotonic() - begun, 3))
            return {
                "opened": round(opened, 2), "round_trips": times,
                "driver": _shape(context.call("describe")), "survey": _shape(survey),
                "sent": _largest(lambda size: _sent(context, size)),
                "brought_back": _largest(lambda size: _brought_back(context, size)),
            }  # fmt: skip

    def _notebook(self) -> dict[str, Any]:
        if not self.address.notebook:
            return {"skipped": "no notebook was named"}
        from memprobe.recording.reader import read
        from memprobe.targets.entering import attach_to

        target = self.address.shown
        context = notebooks.chosen(target, "attach", "attach to", lambda text: None)
        self.private += [context.name, context.notebook or ""]
        with tempfile.TemporaryDirectory(prefix="memprobe-check-") as folder:
            file = Path(folder, "check.memprobe")
            attachment = attach_to(context, AttachOptions(output=file, timeout=PATIENCE))
            until = time.monotonic() + RECORDED
            while attachment.ended is None and time.monotonic() < until:
                attachment.poll()
                time.sleep(0.2)
            heard = attachment.detach()
            recording = read(file)
        return {
            "name_known": bool(context.notebook), "heard": heard,
            "reason": recording.end.reason if recording.end else None,
            "python": recording.header.python, "samples": len(recording.samples),
            "engines": [one.engine for one in recording.snapshots],
            "skipped": [one.skipped for one in recording.snapshots],
            "events": sorted({f"{one.event}: {one.detail}" for one in recording.events}),
        }  # fmt: skip

    def _nothing_left(self) -> dict[str, Any]:
        """Ask for the context that was destroyed: what does the API say?"""
        api = self.workspace.client.command_execution
        try:
            status = api.context_status(self.cluster.cluster_id, self._context).status
        except Exception as error:
            return {"destroyed": True, "told": self.workspace.clean(str(error))}
        return {"destroyed": False, "told": str(status)}

    def _masked(self, told: Any) -> Any:
        """Return what may be sent to somebody: without names of people, places and notebooks."""
        if isinstance(told, dict):
            return {key: self._masked(value) for key, value in told.items()}
        if isinstance(told, list):
            return [self._masked(one) for one in told]
        if isinstance(told, str):
            for name in sorted(filter(None, self.private), key=len, reverse=True):
                told = told.replace(name, "…")
        return told


def _versions() -> dict[str, Any]:
    return {
        "memprobe": __version__, "python": sys.version.split()[0], "platform": sys.platform,
        "sdk": metadata.version("databricks-sdk"),
    }  # fmt: skip


def _shape(told: Any) -> Any:
    """Return an answer with every id and every home, mail address and workspace path masked."""
    if isinstance(told, dict):
        return {key: _shape(value) for key, value in told.items() if key not in ("user", "folder")}
    if isinstance(told, list):
        return [_shape(one) for one in told]
    if isinstance(told, str):
        told = re.sub(r"[\w.+-]+@[\w.-]+", "MAIL", told)
        told = re.sub(r"/(?:Users|Repos|home)/[^/\s]+", "/HOME", told)
        return re.sub(r"[0-9a-fA-F-]{12,}|\d{6,}", "ID", told)
    return told


def _largest(works: Callable[[int], bool]) -> dict[str, Any]:
    """Return the largest of ``SIZES`` that works, and what the next one met."""
    largest = 0
    for size in SIZES:
        try:
            if not works(size):
                return {"largest": largest, "next": "cut"}
        except MemprobeError as error:
            return {"largest": largest, "next": error.lines()}
        largest = size
    return {"largest": largest, "next": None}


def _sent(context: SideContext, size: int) -> bool:
    return str(size) in context.run(f"print(len({'x' * size!r}))")


def _brought_back(context: SideContext, size: int) -> bool:
    return context.run(f"print('x' * {size})").count("x") >= size


def main(arguments: list[str]) -> int:
    """Run the checklist and write its file; return the exit code."""
    if not 1 <= len(arguments) <= 2 or not is_databricks(arguments[0]):
        raise UsageError(
            "the checklist needs a cluster",
            remedy="python -m memprobe.databricks.check databricks:CLUSTER[/NOTEBOOK] [FILE]",
            docs=DOCS,
        )
    checklist = Checklist(arguments[0])
    well = checklist.run()
    file = Path(arguments[1] if len(arguments) > 1 else FILE)
    told = {"checklist": 1, "well": well, "steps": checklist.steps}
    file.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    print(f"support file: {file} (read it before you send it)", file=sys.stderr)
    return 0 if well else 2


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except MemprobeError as refused:
        print("\n".join(refused.lines()), file=sys.stderr)
        sys.exit(refused.exit_code)
