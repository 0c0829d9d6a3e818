"""A notebook's cells in rounds, in one execution context on a cluster: what stays there.

Each cell is a command of its own, as on a notebook's page; how long it took is measured on the
driver. The context is ours and destroyed at the end, whatever has happened.
"""

from __future__ import annotations

import contextlib
import re
import time
import uuid
from collections.abc import Callable
from typing import Any

from memprobe.databricks import job_source, stores
from memprobe.databricks.parts import Parts
from memprobe.databricks.workspace import Workspace
from memprobe.errors import TargetError
from memprobe.recording.schema import End
from memprobe.recording.writer import RecordingWriter
from memprobe.targets.interrupts import Interrupts
from memprobe.targets.rounds import Failure
from memprobe_probes.rounds import SETTLE

DOCS = "databricks.md"
FILE = "memprobe_first.py"
STARTING = 120.0  # seconds for a context to start on a driver that is busy
FIRST_LOOK, LONGEST_LOOK = 0.05, 1.0  # seconds between two looks at a command
LAST_PARTS = 30.0  # seconds that the last parts of the recording may take to be seen
NOISE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|</?\w+[^>]{0,200}>")


class ContextRun:
    """Runs ``cells`` ``rounds`` times in one new context of a cluster, recorded by ``writer``.

    ``told`` is called with the round and the cell that begin. ``failure``: the cell that failed;
    ``completed``: rounds that were run to their end.
    """

    def __init__(
        self, workspace: Workspace, cluster_id: str, cells: list[Any], rounds: int,
        writer: RecordingWriter, config: dict[str, Any], volume: str,
        told: Callable[[int, int], None],
    ) -> None:  # fmt: skip
        self.failure: Failure | None = None
        self.completed = 0
        self._workspace = workspace
        self._api = workspace.client.command_execution
        self._cluster_id = cluster_id
        self._cells = cells
        self._rounds = rounds
        self._writer = writer
        self._config = config
        self._told = told
        self._context = ""
        self._stores = stores.candidates(workspace, uuid.uuid4().hex[:16], volume)
        self._parts = Parts(self._stores, writer)

    def run(self, interrupts: Interrupts) -> None:
        """Run to the end. Raises TargetError, and KeyboardInterrupt after all was taken down."""
        try:
            path = self._upload()
            self._create(interrupts)
            error = self._command(self._first(path), interrupts)
            if error:
                raise self._broken(error)
            self._run_rounds(interrupts)
            self._end()
        finally:
            self._destroy()
            stores.remove_all(self._workspace, self._stores)

    def _first(self, path: str) -> str:
        """Return the first command: the probe comes from a file, for it is long."""
        folders = stores.for_recordings(self._stores)
        return (
            f"exec(compile(open({path!r}).read(), '<memprobe>', 'exec'))\n"
            f"__import__('sys').modules['memprobe_probes.job'].copy_to({folders!r})"
        )

    def _upload(self) -> str:
        def files(store: stores.Store) -> dict[str, bytes]:
            config = {**self._config, "folders": [], "cells": len(self._cells)}
            return {FILE: job_source.first_cell(config)}

        store = stores.first_that_takes(self._workspace, self._stores, files)
        return f"{store.on_driver}/{FILE}"

    def _create(self, interrupts: Interrupts) -> None:
        from databricks.sdk.service.compute import Language

        with self._workspace.asked("make an execution context on the cluster"):
            made = self._api.create(cluster_id=self._cluster_id, language=Language.PYTHON)
            self._context = str(made.context_id)
        deadline, pause = time.monotonic() + STARTING, FIRST_LOOK
        while (status := self._status()) != "Running":
            if status == "Error" or time.monotonic() > deadline:
                raise self._broken(f"it is {status.lower()} after {STARTING:.0f} s")
            pause = self._pause(pause, interrupts)

    def _status(self) -> str:
        with self._workspace.asked("look at the execution context"):
            status = self._api.context_status(self._cluster_id, self._context).status
        return str(getattr(status, "value", status))

    def _run_rounds(self, interrupts: Interrupts) -> None:
        for number in range(1, self._rounds + 1):
            for position, cell in enumerate(self._cells, start=1):
                self._told(number, position)
                error = self._command(cell["source"], interrupts)
                self._command(SETTLE, interrupts)
                if error and "raises-exception" not in cell.get("metadata", {}).get("tags", []):
                    self.failure = Failure(position, number, error)
                    return
            self.completed = number

    def _command(self, code: str, interrupts: Interrupts) -> str:
        """Run one command to its end and return the error that its code ended with, if any."""
        from databricks.sdk.service.compute import Language

        with self._workspace.asked("run a cell on the cluster"):
            started = self._api.execute(
                cluster_id=self._cluster_id, context_id=self._context, language=Language.PYTHON,
                command=code,
            )  # fmt: skip
        pause = FIRST_LOOK
        while True:
            with self._workspace.asked("look at a cell on the cluster"):
                told = self._api.command_status(
                    self._cluster_id, self._context, str(started.command_id)
                )
            status = str(getattr(told.status, "value", told.status))
            results: Any = told.results
            if status in ("Error", "Cancelled"):
                why = getattr(results, "cause", None) or getattr(results, "summary", None)
                raise self._broken(_plain(why) or f"a command ended in status {status}")
            if status == "Finished":
                kind = getattr(getattr(results, "result_type", None), "value", None)
                return _plain(results.summary or results.cause) if kind == "error" else ""
            pause = self._pause(pause, interrupts)

    def _pause(self, pause: float, interrupts: Interrupts) -> float:
        if interrupts.wait(pause):
            raise KeyboardInterrupt  # what runs there ends with its context
        return min(pause * 1.6, LONGEST_LOOK)

    def _broken(self, why: str) -> TargetError:
        return TargetError(
            "the execution context on the cluster cannot be used",
            cause=why,
            remedy="try again, on a cluster with more memory if that is why it ended",
            docs=DOCS,
        )

    def _end(self) -> None:
        """End the recording over there and fetch it, as far as that can still be done."""
        with (
            contextlib.suppress(TargetError, KeyboardInterrupt), Interrupts() as own,
        ):  # fmt: skip
            self._command(job_source.LAST_CELL.strip(), own)
        with contextlib.suppress(TargetError), self._workspace.asked("fetch the recording"):
            self._parts.fetch_rest(LAST_PARTS)
        if self._parts.header is not None:
            self._writer.write(self._parts.end or End(t=self._parts.last, reason="connection-lost"))

    def _destroy(self) -> None:
        context, self._context = self._context, ""
        if context:
            with contextlib.suppress(Exception), self._workspace.waits.cleaning_up():
                self._api.destroy(self._cluster_id, context)


def _plain(text: str | None) -> str:
    return " ".join(NOISE.sub("", text or "").split())[:500]
