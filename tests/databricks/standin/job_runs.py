"""Runs of one task each: a real process for a Python file, a real kernel for a notebook."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from standin.api_workspace import notebooks, plain
from standin.contexts import KILLED
from standin.mounts import local, root, translated
from standin.router import ApiError

if TYPE_CHECKING:
    from standin.cluster import Cluster
    from standin.workspace import Workspace

LAUNCHER = Path(__file__).parent / "driver/job_launcher.py"
SEPARATOR = "# COMMAND ----------"
STARTING = 0.2  # seconds that a run is pending at least
SERVERLESS = "client.2.1"


class JobRun:
    """PENDING, RUNNING, TERMINATED with a result; INTERNAL_ERROR where the cluster failed it."""

    def __init__(
        self, workspace: Workspace, identity: int, name: str, task: dict[str, Any],
        job: int | None, environments: list[Any],
    ) -> None:  # fmt: skip
        self.workspace = workspace
        self.identity, self.task_id = identity, identity + 1
        self.name, self.task, self.job = name, task, job
        self.environments = environments
        self.life, self.result, self.message = "PENDING", "", ""
        self.error: str | None = None
        self.trace: str | None = None
        self.logs = ""
        self.process: subprocess.Popen[bytes] | None = None
        self.begun = time.time()
        self.ended: float | None = None
        self.executing: float | None = None
        self._cancelled = threading.Event()
        self._context: Any = None
        self._cluster = self._compute()
        self._own = "existing_cluster_id" not in task
        self._check()

    def start(self) -> None:
        threading.Thread(target=self._run, daemon=True).start()

    def cancel(self) -> None:
        """End the run; as with the real one, the answer comes before it has ended."""
        self._cancelled.set()
        if self.life in ("PENDING", "RUNNING"):
            self.life = "TERMINATING"
        if self.process is not None:
            _signal(self.process, signal.SIGKILL)
        elif self._context is not None:
            self._cluster.destroy(self._context)

    def described(self) -> dict[str, Any]:
        state = {"life_cycle_state": self.life, "state_message": self.message}
        state["user_cancelled_or_timedout"] = self.result == "CANCELED"  # type: ignore[assignment]
        if self.result:
            state["result_state"] = self.result
        times = {"start_time": int(self.begun * 1000), "end_time": int((self.ended or 0) * 1000)}
        if self.ended is not None and self.executing is not None:
            times["execution_duration"] = int((self.ended - self.executing) * 1000)
            times["setup_duration"] = int((self.executing - self.begun) * 1000)
        page = f"{self.workspace.host}/?o=1#job/0/run/{self.identity}"
        task = {**self.task, "run_id": self.task_id, "state": state, **times, "attempt_number": 0}
        task["cluster_instance"] = {"cluster_id": self._cluster.cluster_id}
        task["run_page_url"] = page
        return {
            "run_id": self.identity, "job_id": self.job or 1, "run_name": self.name,
            "state": state, "tasks": [task], "run_page_url": page, **times,
            "run_type": "JOB_RUN" if self.job else "SUBMIT_RUN",
            "creator_user_name": self.workspace.user,
        }  # fmt: skip

    def output(self) -> dict[str, Any]:
        told: dict[str, Any] = {"metadata": self.described()["tasks"][0]}
        if "notebook_task" in self.task:
            told["notebook_output"] = {"result": "", "truncated": False}
        else:
            told |= {"logs": self.logs, "logs_truncated": False}
        if self.error:
            told |= {"error": self.error, "error_trace": self.trace}
        return told

    def _check(self) -> None:
        kinds = [kind for kind in ("spark_python_task", "notebook_task") if kind in self.task]
        if len(kinds) != 1:
            raise ApiError(400, "The task has no known type.", "INVALID_PARAMETER_VALUE")

    def _compute(self) -> Cluster:
        from standin.cluster import Cluster

        name = self.task.get("existing_cluster_id")
        if name is not None:
            found = self.workspace.clusters.get(name)
            if found is None:
                told = f"Cluster {name} does not exist"
                raise ApiError(400, told, "INVALID_PARAMETER_VALUE")
            return found
        spec = self.task.get("new_cluster")
        if spec is not None:
            if "spark_version" not in spec:
                raise ApiError(400, "spark_version is missing.", "INVALID_PARAMETER_VALUE")
            mode = spec.get("data_security_mode", "SINGLE_USER")
            runtime = spec["spark_version"]
            return Cluster(self.workspace, "job-cluster", mode=mode, runtime=runtime)
        if self.task.get("environment_key") or "notebook_task" in self.task:
            return Cluster(self.workspace, "serverless", mode="SERVERLESS", runtime=SERVERLESS)
        raise ApiError(400, "The task names no compute.", "INVALID_PARAMETER_VALUE")

    def _run(self) -> None:
        try:
            if self._await_cluster():
                self.life, self.executing = "RUNNING", time.time()
                self._run_notebook() if "notebook_task" in self.task else self._run_file()
        except ApiError as refused:
            self._end("INTERNAL_ERROR", "FAILED", refused.message)
        except Exception as error:
            self.workspace.troubles.append(f"run {self.identity}: {error!r}")
            self._end("INTERNAL_ERROR", "FAILED", repr(error))
        finally:
            if self._own:
                self._cluster.stop()

    def _await_cluster(self) -> bool:
        if self._cluster.state == "TERMINATED":
            self._cluster.start()
        if not self._cancelled.wait(STARTING):
            while self._cluster.state == "PENDING" and not self._cancelled.wait(0.05):
                pass
        if self._cancelled.is_set():
            self._end("TERMINATED", "CANCELED", "Run cancelled.")
            return False
        if self._cluster.state != "RUNNING":
            told = f"Cluster {self._cluster.cluster_id} could not be started."
            self._end("INTERNAL_ERROR", "FAILED", told)
            return False
        return True

    def _end(self, life: str, result: str, message: str = "") -> None:
        self.ended, self.message, self.result = time.time(), message, result
        self.life = life  # last: whoever reads it may read all

    # A Python file.

    def _run_file(self) -> None:
        task = self.task["spark_python_task"]
        shown = local(self.workspace, task["python_file"])
        if not shown.is_file():
            raise ApiError(404, f"Cannot read the python file {task['python_file']}.")
        folder = self._cluster.folder
        own = folder / f"task-{self.task_id}.py"
        own.write_text(translated(self.workspace, shown.read_text()))
        error = folder / f"task-{self.task_id}.json"
        log = folder / f"task-{self.task_id}.log"
        parameters = [translated(self.workspace, one) for one in task.get("parameters") or ()]
        kind = "serverless" if self._cluster.mode == "SERVERLESS" else "classic"
        environment = self._cluster._environment()
        if kind == "serverless":
            environment["IS_SERVERLESS"] = "TRUE"
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, str(LAUNCHER), str(own), str(shown), str(error),
                 str(root(self.workspace, "Volumes")), kind, *parameters],
                env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                start_new_session=True,
            )  # fmt: skip
        self._cluster.processes.append(self.process)
        status = self.process.wait()
        _signal(self.process, signal.SIGKILL)  # what it has started
        self.logs = log.read_text(errors="replace")
        self._judge(status, error)

    def _judge(self, status: int, error: Path) -> None:
        if self._cancelled.is_set():
            self._end("TERMINATED", "CANCELED", "Run cancelled.")
        elif self._cluster.state != "RUNNING":
            self._end("INTERNAL_ERROR", "FAILED", "Driver of the cluster is not responding.")
        elif status < 0:
            self.error = KILLED
            self._end("TERMINATED", "FAILED", KILLED)
        elif status:
            told = json.loads(error.read_text())
            self.error, self.trace = told["error"], told["error_trace"]
            self._end("TERMINATED", "FAILED", "Workload failed, see run output for details")
        else:
            self._end("TERMINATED", "SUCCESS")

    # A notebook.

    def _run_notebook(self) -> None:
        path = plain(self.task["notebook_task"]["notebook_path"])
        source = notebooks(self.workspace).get(path)
        if source is None:
            raise ApiError(404, f"Unable to access the notebook {path}.")
        self._context = self._cluster.new_context(notebook=path)
        kernel = self._context.kernel
        for cell in _cells(source):
            command = self._context.execute(translated(self.workspace, cell))
            while command.status in ("Queued", "Running"):
                if self._cancelled.wait(0.02):
                    break
            if self._cancelled.is_set():
                self._end("TERMINATED", "CANCELED", "Run cancelled.")
                return
            results = command.results or {}
            if command.status != "Finished" or results.get("resultType") == "error":
                self.error, self.trace = results.get("summary"), results.get("cause")
                break
        dead = kernel.process.poll() is not None
        self._cluster.destroy(self._context)
        if self._cluster.state != "RUNNING":
            self._end("INTERNAL_ERROR", "FAILED", "Driver of the cluster is not responding.")
        elif dead:
            self.error = KILLED
            self._end("TERMINATED", "FAILED", KILLED)
        elif self.error:
            self._end("TERMINATED", "FAILED", "Workload failed, see run output for details")
        else:
            self._end("TERMINATED", "SUCCESS")


def _cells(source: str) -> list[str]:
    """Return the Python cells of a notebook in source form, or of an .ipynb file."""
    if source.lstrip().startswith("{"):
        cells = json.loads(source)["cells"]
        return ["".join(one["source"]) for one in cells if one["cell_type"] == "code"]
    body = source.partition("\n")[2]
    parts = [part.strip("\n") for part in body.split(f"\n{SEPARATOR}\n")]
    return [part for part in parts if part and not part.startswith("# MAGIC")]


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
