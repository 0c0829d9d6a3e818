"""A Jupyter kernel of our own: started as a child, given cells, stopped again.

It runs with this interpreter and not with whatever a kernelspec names, so that the demo works in
every environment that has ipykernel.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty
from typing import Any

from memprobe.errors import TargetError
from memprobe.targets.kernel_ready import wait_until_ready

READY = 60.0  # seconds a kernel may take to start
LEAVE = 5.0  # seconds it may take to stop before it is killed


class DemoKernel:
    """A running kernel: its process, its connection file and a client."""

    def __init__(self, folder: Path) -> None:
        """Start it; ``folder`` gets its connection file. Raises TargetError where it cannot."""
        self.connection_file = folder / "kernel-demo.json"
        self._client = _connection(self.connection_file)
        self._process = _start(self.connection_file)
        self.pid = self._process.pid
        self._client.start_channels()
        try:
            wait_until_ready(self._client, lambda: self._process.poll() is None, READY)
        except RuntimeError as error:
            self.stop()
            raise TargetError(
                "the demo's kernel did not start",
                cause=str(error),
                remedy=f"see what it says: {sys.executable} -m ipykernel_launcher",
                docs="verbs/demo.md",
            ) from error

    def run(self, source: str) -> str | None:
        """Run one cell to its end and return the type of its error, or None."""
        reply = self._client.execute_interactive(source, timeout=READY, output_hook=_ignore)
        error: str | None = reply["content"].get("ename")
        return error

    def begin(self, source: str) -> None:
        """Begin a cell and return as soon as it has printed something. It goes on running.

        Raises TargetError where it ends or stays silent instead.
        """
        request = self._client.execute(source)
        deadline = time.monotonic() + READY
        while time.monotonic() < deadline:
            try:
                message = self._client.get_iopub_msg(timeout=deadline - time.monotonic())
            except Empty:
                break
            if message["parent_header"].get("msg_id") != request:
                continue
            if message["msg_type"] == "stream":
                return
            if message["msg_type"] == "error":
                break
        raise TargetError(
            "the demo's last cell did not begin", remedy="try again", docs="verbs/demo.md"
        )

    def stop(self) -> None:
        """Stop the kernel, in the middle of its cell, and wait for its end."""
        self._client.stop_channels()
        self._process.terminate()
        try:
            self._process.wait(LEAVE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def started(folder: Path) -> Iterator[DemoKernel]:
    """Give a kernel that is stopped when the block ends, however it ends."""
    kernel = DemoKernel(folder)
    try:
        yield kernel
    finally:
        kernel.stop()


def _connection(path: Path) -> Any:
    from jupyter_client.blocking.client import BlockingKernelClient
    from jupyter_client.connect import write_connection_file

    write_connection_file(str(path))
    client = BlockingKernelClient()
    client.load_connection_file(str(path))
    return client


def _start(connection_file: Path) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "JPY_PARENT_PID": str(os.getpid()),  # it ends by itself, should we be killed
        "IPYTHONDIR": str(connection_file.parent / "ipython"),  # no start-up files, no history
    }
    line = [sys.executable, "-m", "ipykernel_launcher", "-f", str(connection_file)]
    return subprocess.Popen(
        line,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for us; we then stop the kernel
    )


def _ignore(message: dict[str, Any]) -> None:
    """Show nothing of what a cell displays."""
