"""A real ipykernel under the tests' control."""

from __future__ import annotations

import ast
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jupyter_client.manager import KernelManager

PATIENCE = 180.0  # seconds until a test gives up on an event, on a machine busy with others


class Kernel:
    """Starts a kernel in a folder of its own, runs cells, and stops it at the end."""

    def __init__(self, folder: Path, environment: dict[str, str] | None = None) -> None:
        self._manager = KernelManager(connection_file=str(folder / "kernel-test.json"))
        # A history of its own: the user's stays as it is.
        self._environment = {**(environment or os.environ), "IPYTHONDIR": str(folder / "ipython")}

    def __enter__(self) -> Kernel:
        self._manager.start_kernel(env=self._environment)
        self.client = self._manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=PATIENCE)
        self.connection_file = Path(self._manager.connection_file)
        self.pid: int = self._manager.provisioner.process.pid  # type: ignore[union-attr]
        return self

    def __exit__(self, *_: object) -> None:
        self.client.stop_channels()
        self._manager.shutdown_kernel(now=True)

    def restart(self) -> None:
        """Restart the kernel as Jupyter does: same connection file, new process."""
        self._manager.restart_kernel(now=False)

    def start_cell(self, code: str, **options: Any) -> str:
        """Send a cell and return its message id without waiting."""
        # Else a kernel that is slow to notice answers the next request with "aborted".
        options.setdefault("stop_on_error", False)
        return str(self.client.execute(code, **options))

    def finish(self, message: str) -> dict[str, Any]:
        """Wait for a cell's reply and return its content."""
        return self._reply(message)

    def run(self, code: str, *, may_fail: bool = False, **options: Any) -> dict[str, Any]:
        """Run a cell to its end."""
        content = self._reply(self.start_cell(code, **options))
        assert may_fail or content["status"] == "ok", content
        return content

    def value(self, expression: str) -> Any:
        """Return the literal value of an expression in the kernel, leaving no name there."""
        content = self.run("", user_expressions={"it": f"repr({expression})"}, silent=True)
        told = content["user_expressions"]["it"]
        assert told["status"] == "ok", told
        return ast.literal_eval(ast.literal_eval(told["data"]["text/plain"]))

    def control_info(self) -> None:
        """Ask the kernel what it is over its control channel, as any client may."""
        self.client.control_channel.send(self.client.session.msg("kernel_info_request", {}))
        self.client.get_control_msg(timeout=PATIENCE)

    def wait_for_output(self, message: str, text: str) -> None:
        """Wait until the cell has printed ``text``."""
        seen = ""
        deadline = time.monotonic() + PATIENCE
        while text not in seen:
            assert time.monotonic() < deadline, seen
            answer = self.client.get_iopub_msg(timeout=PATIENCE)
            if answer["parent_header"].get("msg_id") == message:
                seen += answer["content"].get("text", "")

    def wait_for(self, attachment: Any, enough: Callable[[list[Any]], bool]) -> list[Any]:
        """Poll an attachment until its records are ``enough``; return them all."""
        records: list[Any] = []
        deadline = time.monotonic() + PATIENCE
        while not enough(records):
            assert time.monotonic() < deadline, records
            records += attachment.poll()
            time.sleep(0.02)
        return records

    def _reply(self, message: str) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            reply = self.client.get_shell_msg(timeout=PATIENCE)
            if reply["parent_header"].get("msg_id") == message:
                return dict(reply["content"])
        raise AssertionError("the kernel did not answer")
