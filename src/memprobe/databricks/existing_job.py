"""A job that is there and records itself: run now, waited for, and its new recording fetched."""

from __future__ import annotations

import uuid
from typing import Any

from memprobe.databricks import stores
from memprobe.databricks.following import Followed, Following, Say
from memprobe.databricks.parts import Parts
from memprobe.databricks.run_end import Ending, ended
from memprobe.databricks.workspace import Workspace
from memprobe.errors import UsageError
from memprobe.recording.writer import RecordingWriter
from memprobe.targets.interrupts import Interrupts
from memprobe_probes.copies import PARTS

DOCS = "databricks.md"
SUFFIX = ".memprobe"


class ExistingJob:
    """One run of job ``job_id``; what appears at ``place`` meanwhile is its recording.

    ``place`` is a recording's path, or a folder in which the job makes a new one each time.
    """

    def __init__(
        self, workspace: Workspace, job_id: int, place: str, writer: RecordingWriter, *,
        say: Say, progress: Say,
    ) -> None:  # fmt: skip
        self._workspace = workspace
        self._job_id = job_id
        self._place = place.rstrip("/")
        self._writer = writer
        self._say = say
        self._following = Following(workspace, f"of job {job_id}", say, progress)
        own = self._place.endswith(SUFFIX)
        folder, _, self._name = self._place.rpartition("/") if own else (self._place, "", "")
        self._store = stores.at(workspace.client, folder)

    def run(self, interrupts: Interrupts) -> Ending:
        """Run it to its end and fetch the recording. Raises TargetError, KeyboardInterrupt."""
        before = set(self._names())
        former = self._store.get(self._name) if self._name in before else None
        interrupts.check()
        with self._workspace.asked(f"run job {self._job_id}"):
            answer: Any = self._workspace.client.jobs.run_now(
                self._job_id, idempotency_token=uuid.uuid4().hex
            )
        followed = Followed(int(answer.response.run_id))
        try:
            run = self._following.follow(followed, interrupts, lambda: "")
        except BaseException:
            self._following.cancel(followed)
            raise
        with self._workspace.asked("fetch the recording"):
            parts = self._fetched(before, former)
        with self._workspace.asked("fetch the output of the run"):
            ending = ended(self._workspace, run, followed, parts)
        if parts.header is None:
            ending.trouble = f"no new recording has appeared in {self._place}"
        ending.write(self._writer, parts, self._facts())
        return ending

    def _names(self) -> list[str]:
        with self._workspace.asked(f"look into {self._place}"):
            return self._store.names()

    def _fetched(self, before: set[str], former: bytes | None) -> Parts:
        """Fetch the new recording, the whole one before its parts.

        ``former`` is what the one that was named held before the run: that is of another run.
        """
        wanted = [name for name in self._names() if self._is_ours(name, before)]
        whole = sorted(name for name in wanted if name.endswith(SUFFIX))
        if len(wanted) > 1:
            self._say(f"several recordings have appeared: {', '.join(sorted(wanted))}")
        if whole:
            parts = Parts([], self._writer)
            content = self._store.get(whole[-1])
            if content != former:
                parts.take_whole(content)
            return parts
        folders = sorted(name for name in wanted if name.endswith(SUFFIX + PARTS))[-1:]
        found = [stores.at(self._workspace.client, f"{self._store.root}/{one}") for one in folders]
        parts = Parts(found, self._writer)
        parts.fetch()
        return parts

    def _is_ours(self, name: str, before: set[str]) -> bool:
        if self._name:
            return name == self._name or (name == self._name + PARTS and name not in before)
        return name not in before and name.endswith((SUFFIX, SUFFIX + PARTS))

    def _facts(self) -> dict[str, Any]:
        """Return what a recording's header says where the job has written none."""
        return {
            "context": "script", "method": "databricks-job", "program": f"job {self._job_id}",
            "argc": 0, "interval": 1.0, "cap": 0,
        }  # fmt: skip


def checked(place: str) -> str:
    """Return where a job keeps its recordings. Raises UsageError."""
    if place.startswith(("/Volumes/", "/Workspace/", "/Users/", "/Shared/", "/dbfs/", "dbfs:/")):
        return place
    raise UsageError(
        "it is not said where the job keeps its recording" if not place else f"{place} is no place",
        cause="a job's recording lies in a volume, in the workspace or in DBFS",
        remedy="--recording /Volumes/CATALOG/SCHEMA/NAME/FOLDER, as in its memprobe.record(…)",
        docs=DOCS,
    )
