"""A script or notebook as one run of Databricks Jobs, recorded: sent there, waited for, fetched.

The run is ours from its submission to its end: where we stop waiting for it, it is cancelled, and
what is uploaded for it is removed once its recording is here.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memprobe.databricks import job_source, stores
from memprobe.databricks.compute import ENVIRONMENT, ENVIRONMENT_VERSION, Compute
from memprobe.databricks.following import Followed, Following, Say
from memprobe.databricks.parts import Parts
from memprobe.databricks.run_end import Ending, ended, lost
from memprobe.databricks.workspace import Workspace
from memprobe.errors import TargetError
from memprobe.recording.writer import RecordingWriter
from memprobe.targets.interrupts import Interrupts

DOCS = "databricks.md"
TASK = "memprobe"
WRAPPER = "memprobe_job.py"
FETCH = 5.0  # seconds between two looks for new parts
LAST_PARTS = 20.0  # seconds that the last parts may take to be seen


@dataclass
class Work:
    """What to run: a file of this machine, with ``argv``, and what its probe is told."""

    path: Path
    argv: tuple[str, ...]
    probe: dict[str, Any]
    notebook: bool
    every: float  # seconds between two copies of the recording
    steps: dict[str, Any] | None = None  # where a script's steps begin, for a contrast


class JobRun:
    """One run of ``work`` on ``compute``, recorded by ``writer``."""

    def __init__(
        self, workspace: Workspace, compute: Compute, work: Work, writer: RecordingWriter, *,
        volume: str, say: Say, progress: Say,
    ) -> None:  # fmt: skip
        self.identity = uuid.uuid4().hex[:16]
        self._workspace = workspace
        self._compute = compute
        self._work = work
        self._say = say
        self._following = Following(workspace, f"on {compute.name}", say, progress)
        self._stores = stores.candidates(workspace, self.identity, volume)
        self._parts = Parts(self._stores, writer)
        self._writer = writer
        self._next_fetch = 0.0
        self._unfetched = ""  # why the rest of the recording could not be fetched
        self.followed: Followed | None = None

    def run(self, interrupts: Interrupts) -> Ending:
        """Submit and wait to the end; the recording is complete then, whatever has happened.

        Raises TargetError where the run never began or the workspace was lost, KeyboardInterrupt
        where it was interrupted before there was a run.
        """
        try:
            run_id = self._submit(interrupts)
        except BaseException:
            self._clean_up()
            raise
        self.followed = followed = Followed(run_id)
        try:
            run = self._following.follow(followed, interrupts, self._fetched)
        except BaseException:
            self._following.cancel(followed)
            lost(self._writer, self._parts)
            raise
        self._fetch_rest()
        try:
            with self._workspace.asked("fetch the output of the run"):
                ending = ended(self._workspace, run, followed, self._parts)
            ending.write(self._writer, self._parts, self._work.probe)
        finally:
            self._clean_up()
        return ending

    # Sending it there.

    def _submit(self, interrupts: Interrupts) -> int:
        from databricks.sdk.service import compute, jobs

        task = jobs.SubmitTask.from_dict({"task_key": TASK, **self._compute.task, **self._task()})
        environments = None
        if self._compute.serverless and not self._work.notebook:
            task.environment_key = ENVIRONMENT
            # Older SDKs know the version under its former name only.
            known = getattr(compute.Environment, "__dataclass_fields__", {})
            key = "environment_version" if "environment_version" in known else "client"
            spec = compute.Environment.from_dict({key: ENVIRONMENT_VERSION})
            environments = [jobs.JobEnvironment(environment_key=ENVIRONMENT, spec=spec)]
        interrupts.check()
        with self._workspace.asked("submit a run"):
            answer: Any = self._workspace.client.jobs.submit(
                run_name=f"memprobe {self._work.path.name}", tasks=[task],
                environments=environments, idempotency_token=self.identity,
            )  # fmt: skip
        return int(answer.response.run_id)

    def _task(self) -> dict[str, Any]:
        """Upload what the task needs and return it."""
        if self._work.notebook:
            return {"notebook_task": {"notebook_path": self._put_notebook(), "source": "WORKSPACE"}}
        name = self._work.path.name

        def files(store: stores.Store) -> dict[str, bytes]:
            config = self._config(script=f"{store.on_driver}/{name}")
            return {name: self._work.path.read_bytes(), WRAPPER: job_source.script_task(config)}

        store = stores.first_that_takes(self._workspace, self._stores, files)
        self._say(f"uploaded to {store.name}")
        task: dict[str, Any] = {"python_file": f"{store.in_task}/{WRAPPER}"}
        if self._work.argv:
            task["parameters"] = list(self._work.argv)
        return {"spark_python_task": task}

    def _put_notebook(self) -> str:
        own = next(one for one in self._stores if isinstance(one, stores.WorkspaceFiles))
        try:
            content = job_source.notebook_task(self._work.path, self._config())
        except ValueError as error:
            raise TargetError(
                f"{self._work.path} is no notebook", cause=str(error).lower(),
                remedy="export it again", docs=DOCS,
            ) from error  # fmt: skip
        name, jupyter = self._work.path.stem, self._work.path.suffix == ".ipynb"
        with self._workspace.asked("import the notebook"):
            own.make()
            return own.put_notebook(name, content, jupyter=jupyter)

    def _config(self, **more: Any) -> dict[str, Any]:
        """Return what the task is told. It stands in a file of the workspace: nothing secret."""
        from memprobe.targets import walker_file

        return {
            "probe": self._work.probe, "walker": walker_file.carried(),
            "folders": stores.for_recordings(self._stores), "every": self._work.every,
            "steps": self._work.steps, **more,
        }  # fmt: skip

    # Its recording.

    def _fetched(self) -> str:
        self._fetch()
        return f" · {self._parts.number} parts of the recording" if self._parts.number else ""

    def _fetch(self) -> None:
        """Fetch new parts where that is due; what fails now is tried again."""
        if time.monotonic() < self._next_fetch:
            return
        self._next_fetch = time.monotonic() + FETCH
        with contextlib.suppress(TargetError), self._workspace.asked("fetch the recording"):
            self._parts.fetch()

    def _fetch_rest(self) -> None:
        try:
            with self._workspace.asked("fetch the recording"):
                self._parts.fetch_rest(LAST_PARTS)
        except TargetError as error:
            self._unfetched = error.cause or error.summary

    def _clean_up(self) -> None:
        """Remove what was uploaded, unless a part of the recording is still there alone."""
        missing = self._parts.outcome is not None and not self._parts.complete
        if self._unfetched or missing:
            places = " or ".join(store.root for store in self._stores)
            why = self._unfetched or "not all of it was there"
            self._say(f"the recording was not fetched whole: {why}")
            self._say(f"its parts stay in {places}")
            return
        stores.remove_all(self._workspace, self._stores)
