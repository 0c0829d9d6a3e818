"""One real ipykernel of a driver, started as Databricks' launcher starts it."""

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
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient

from standin.machine import Machine, inner_pid, process_of

LAUNCHER = Path(__file__).parent / "driver/db_ipykernel_launcher.py"
PATIENCE = 120.0  # seconds for a kernel to come up on a busy machine


class DriverKernel:
    """A process with ``-f FOLDER/kernel-connections/ID.json``, and our client of it.

    ``facts`` is what the process can learn of itself (path of its notebook, user, cluster).
    """

    def __init__(
        self, folder: Path, identity: str, environment: dict[str, str], facts: dict[str, Any],
        machine: Machine, before: list[str],
    ) -> None:  # fmt: skip
        self.identity = identity
        self.file = folder / f"kernel-connections/{identity}.json"
        self.file.parent.mkdir(mode=0o700, exist_ok=True)
        argv = [*before, sys.executable, str(LAUNCHER), "-f", str(self.file)]
        self._log = folder / f"{identity}.log"
        self._started = machine, folder, argv, environment, facts
        self._lock = threading.Lock()
        self._client: Any = None
        self._begin()

    def _begin(self) -> None:
        machine, folder, argv, environment, facts = self._started
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                machine.command(argv, folder),
                env={**environment, "STANDIN_FACTS": json.dumps(facts)},
                cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        self.pid = process_of(self.process, bool(machine.inside))  # as this machine counts
        self.inner_pid = inner_pid(self.pid)  # as the driver counts

    @property
    def client(self) -> Any:
        """Our connection, made once the process is up. Raises ChildProcessError."""
        with self._lock:
            if self._client is None:
                self._client = self._connected()
            return self._client

    def _connected(self) -> Any:
        deadline = time.monotonic() + PATIENCE
        while not _is_complete(self.file):  # the kernel chooses its ports, then writes them
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise ChildProcessError(self._log.read_text()[-2000:])
            time.sleep(0.02)
        client = BlockingKernelClient()
        client.load_connection_file(str(self.file))
        client.start_channels()
        try:
            client.wait_for_ready(timeout=PATIENCE)
        except RuntimeError as error:
            raise ChildProcessError(str(error)) from error
        return client

    def interrupt(self) -> None:
        self._send(signal.SIGINT)

    def restart(self) -> None:
        """End the process and start another with the same connection file, and other ports."""
        self.stop()
        self._begin()

    def kill(self) -> None:
        """End it as the kernel's out-of-memory killer does; its client notices by itself."""
        self._send(signal.SIGKILL)

    def stop(self) -> None:
        """End it and everything that it started, and take its connection file away."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            self._send(number)  # not to what entered the machine for it: that has to reap it
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(10)
                break
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        with self._lock:
            if self._client is not None:
                self._client.stop_channels()
                self._client.context.destroy(linger=0)
                self._client = None
        self.file.unlink(missing_ok=True)

    def _send(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)


def _is_complete(file: Path) -> bool:
    try:
        return bool(json.loads(file.read_text())["control_port"])
    except (OSError, ValueError, KeyError):
        return False
