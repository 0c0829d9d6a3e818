"""Execution contexts: each a real kernel that runs one command after the other."""

from __future__ import annotations

import queue
import secrets
import threading
import time
from typing import TYPE_CHECKING, Any

from standin.driver_kernel import DriverKernel

if TYPE_CHECKING:
    from standin.cluster import Cluster

KILLED = (
    "The Python process exited with exit code 137 (SIGKILL: Killed). This may have been caused by "
    "an OOM error. Check your command's memory usage."
)
RED, PLAIN = "\x1b[0;31m", "\x1b[0m"


class Command:
    """One command. ``status`` goes Queued, Running, then Finished, Cancelled or Error."""

    def __init__(self, text: str, failure: str = "") -> None:
        self.identity = secrets.token_hex(16)
        self.text = text
        self.failure = failure
        self.status = "Queued"
        self.results: dict[str, Any] | None = None

    def described(self) -> dict[str, Any]:
        return {"id": self.identity, "status": self.status, "results": self.results}

    def end(self, status: str, results: dict[str, Any] | None) -> None:
        if self.status not in ("Cancelled", "Error", "Finished"):
            self.results, self.status = results, status


class ExecutionContext:
    """A kernel, and the thread that hands it commands. ``language`` other than python: no kernel.

    ``notebook``: the path of the notebook that it belongs to; empty where it came by the API.
    """

    def __init__(
        self, cluster: Cluster, identity: str, language: str, kernel: DriverKernel | None,
        notebook: str = "",
    ) -> None:  # fmt: skip
        self.cluster = cluster
        self.identity = identity
        self.language = language
        self.kernel = kernel
        self.notebook = notebook
        self.status = "Pending" if kernel is not None else "Running"
        self.commands: dict[str, Command] = {}
        self.used = time.time()
        self._queue: queue.Queue[Command | None] = queue.Queue()
        if kernel is not None:
            threading.Thread(target=self._work, args=(kernel,), daemon=True).start()

    def execute(self, text: str, failure: str = "") -> Command:
        """Queue a command; with ``failure`` it ends in status Error without being run."""
        command = Command(text, failure)
        self.commands[command.identity] = command
        self.used = time.time()
        if self.kernel is None:
            command.end("Error", _error("Unsupported", f"no {self.language} in the stand-in"))
        else:
            self._queue.put(command)
        return command

    def cancel(self, command: Command) -> None:
        if command.status == "Queued":
            command.end("Cancelled", None)
        elif command.status == "Running" and self.kernel is not None:
            command.status = "Cancelling"
            self.kernel.interrupt()

    def close(self) -> None:
        """End the kernel and what waits for it."""
        self.status = "Error"
        self._queue.put(None)
        if self.kernel is not None:
            self.kernel.stop()
        for command in self.commands.values():
            command.end("Cancelled", None)

    def _work(self, kernel: DriverKernel) -> None:
        try:
            client = kernel.client
            time.sleep(self.cluster.slow_contexts)
            self.status = "Running" if self.status == "Pending" else self.status
            while (command := self._queue.get()) is not None:
                self._run(kernel, client, command)
                self.used = time.time()
        except Exception as error:
            if self.status != "Error":
                self.cluster.workspace.troubles.append(f"context {self.identity}: {error!r}")
            self.status = "Error"

    def _run(self, kernel: DriverKernel, client: Any, command: Command) -> None:
        if command.status != "Queued":
            return
        if command.failure:
            command.end("Error", _error(command.failure, command.failure))
            return
        if kernel.process.poll() is not None:
            self._died(command)
            return
        command.status = "Running"
        number = client.execute(command.text, stop_on_error=False)
        outcome = Outcome(number)
        while not outcome.done:
            try:
                outcome.take(client.get_iopub_msg(timeout=0.2))
            except queue.Empty:
                if kernel.process.poll() is not None:
                    self._died(command)
                    return
        if command.status == "Cancelling":
            command.end("Cancelled", None)
        else:
            command.end("Finished", outcome.results())

    def _died(self, command: Command) -> None:
        self.status = "Error"
        command.end("Error", _error("The Python process exited with exit code 137", KILLED))


class Outcome:
    """What a kernel says while one request runs, as the API tells it."""

    def __init__(self, number: str) -> None:
        self._number = number
        self._text: list[str] = []
        self._error: dict[str, Any] | None = None
        self.done = False

    def take(self, message: dict[str, Any]) -> None:
        if message["parent_header"].get("msg_id") != self._number:
            return
        kind, content = message["msg_type"], message["content"]
        if kind == "stream":
            self._text.append(content["text"])
        elif kind in ("execute_result", "display_data"):
            number = content.get("execution_count")
            shown = content["data"].get("text/plain", "")
            self._text.append(f"Out[{number}]: {shown}" if number else shown)
        elif kind == "error":
            self._error = content
        elif kind == "status" and content["execution_state"] == "idle":
            self.done = True

    def results(self) -> dict[str, Any]:
        if self._error is None:
            return {"resultType": "text", "data": "".join(self._text)}
        name, value = self._error["ename"], self._error["evalue"]
        trace = "\n".join(self._error["traceback"])
        return _error(f'<span class="ansi-red-fg">{name}</span>: {value}', trace)


def _error(summary: str, cause: str) -> dict[str, Any]:
    return {"resultType": "error", "summary": summary, "cause": f"{RED}{cause}{PLAIN}"}
