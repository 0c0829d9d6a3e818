"""A real Jupyter Server as a hub starts it (below /user/ada/), and a browser connected to it."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import secrets
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import websocket
from kernels import PATIENCE

BASE = "/user/ada/"
NOTEBOOK = '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'


class JupyterServer:
    """A server on a free port of the loopback interface, with folders of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.token = secrets.token_hex(12)
        self.port = 0

    def __enter__(self) -> JupyterServer:
        for name in ("runtime", "config", "ipython", "root/team"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "root/team/etl.ipynb").write_text(NOTEBOOK)
        environment = {
            **os.environ, "JUPYTER_RUNTIME_DIR": str(self.folder / "runtime"),
            "JUPYTER_CONFIG_DIR": str(self.folder / "config"),
            "IPYTHONDIR": str(self.folder / "ipython"), "JUPYTER_TOKEN": self.token,
            "XDG_RUNTIME_DIR": str(self.folder),
        }  # fmt: skip
        arguments = ["--ServerApp.ip=127.0.0.1", "--ServerApp.port=0", "--allow-root"]
        arguments += ["--no-browser", f"--ServerApp.root_dir={self.folder / 'root'}"]
        arguments += [f"--ServerApp.base_url={BASE}"]
        self.log = self.folder / "log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "jupyter_server", *arguments],
                env=environment, stdout=log, stderr=log,
            )  # fmt: skip
        told = self.folder / f"runtime/jpserver-{self.process.pid}.json"
        deadline = time.monotonic() + PATIENCE
        while not self._answers(told):
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(PATIENCE)

    @property
    def url(self) -> str:
        """The server's address without its token."""
        return f"http://127.0.0.1:{self.port}{BASE}"

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(
            self.url + path, json.dumps(body).encode() if body is not None else None,
            {"Authorization": f"token {self.token}"}, method=method,
        )  # fmt: skip
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def open_notebook(self, path: str = "team/etl.ipynb") -> str:
        """Open a notebook with a new kernel and return the kernel's id."""
        body = {"path": path, "name": Path(path).name, "type": "notebook"}
        session = self.ask("POST", "api/sessions", {**body, "kernel": {"name": "python3"}})
        return str(session["kernel"]["id"])

    def _answers(self, told: Path) -> bool:
        try:
            self.port = json.loads(told.read_text())["port"]
            return self.ask("GET", "api/status") is not None
        except (OSError, ValueError, urllib.error.URLError):
            return False


class Browser:
    """What a notebook's page does: it stays connected and runs cells."""

    def __init__(self, server: JupyterServer, kernel_id: str) -> None:
        self._session = secrets.token_hex(8)
        self._link = websocket.create_connection(
            f"ws{server.url[4:]}api/kernels/{kernel_id}/channels?session_id={self._session}",
            header=[f"Authorization: token {server.token}"],
        )  # fmt: skip
        self._messages: queue.Queue[str] = queue.Queue()
        # Reads all the time, as a browser does: else the server's pings are not answered.
        threading.Thread(target=self._read, daemon=True).start()

    def start(self, code: str, **content: Any) -> str:
        """Send a cell and return its message id."""
        number = secrets.token_hex(8)
        header = {
            "msg_id": number, "msg_type": "execute_request", "session": self._session,
            "username": "ada", "version": "5.3", "date": "2024-01-01T00:00:00+00:00",
        }  # fmt: skip
        content = {"code": code, "silent": False, "store_history": True, "allow_stdin": False,
                   "stop_on_error": False, "user_expressions": {}, **content}  # fmt: skip
        self._link.send(json.dumps({
            "channel": "shell", "header": header, "parent_header": {}, "metadata": {},
            "content": content, "buffers": [],
        }))  # fmt: skip
        return number

    def finish(self, number: str) -> tuple[dict[str, Any], str]:
        """Return a cell's reply, and what it has printed."""
        text = ""
        while True:
            message = self._next()
            if message["parent_header"].get("msg_id") != number:
                continue
            if message["msg_type"] == "stream":
                text += message["content"]["text"]
            if message["msg_type"] == "execute_reply":
                return message["content"], text

    def wait_for_output(self, number: str, text: str) -> None:
        """Wait until a cell has printed ``text``."""
        while True:
            message = self._next()
            if message["parent_header"].get("msg_id") == number and text in str(
                message["content"].get("text")
            ):
                return

    def run(self, code: str, **content: Any) -> dict[str, Any]:
        """Run a cell to its end and return its reply."""
        reply, _ = self.finish(self.start(code, **content))
        assert reply["status"] == "ok", reply
        return reply

    def value(self, expression: str) -> Any:
        """Return the value of an expression that JSON can tell; no name is left there."""
        asked = {"it": f"__import__('json').dumps({expression})"}
        reply = self.run("", silent=True, store_history=False, user_expressions=asked)
        told = reply["user_expressions"]["it"]
        assert told["status"] == "ok", told
        import ast

        return json.loads(ast.literal_eval(told["data"]["text/plain"]))

    def close(self) -> None:
        self._link.close()

    def _next(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self._messages.get(timeout=PATIENCE))
        return message

    def _read(self) -> None:
        with contextlib.suppress(websocket.WebSocketException, OSError):
            while text := self._link.recv():
                self._messages.put(text)


@contextlib.contextmanager
def browser(server: JupyterServer, kernel_id: str) -> Iterator[Browser]:
    page = Browser(server, kernel_id)
    try:
        page.run("None")
        yield page
    finally:
        page.close()
