"""The HTTP side: who may ask, what goes wrong on purpose, and a journal of all that was sent."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from standin.router import ApiError, Raw, Request

if TYPE_CHECKING:
    from standin.workspace import Workspace

OPEN = ("/.well-known/databricks-config",)  # asked before anybody has logged in


class Server(ThreadingHTTPServer):
    """A server on a free port of the loopback interface; a thread per connection."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.workspace = workspace
        self._open: set[socket.socket] = set()
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def stop(self) -> None:
        self.shutdown()
        self.server_close()
        for connection in list(self._open):  # kept alive by clients
            self.shutdown_request(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is none of our errors."""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on stderr: the journal has it."""

    def _answer(self) -> None:
        workspace = self.server.workspace
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        # Through a proxy (databricks-cli drops the port) the whole address is on the line.
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        workspace.journal.append((self.command, self.path, dict(self.headers), body))
        try:
            if workspace.switchboard.take(path, "drop"):
                self._hang_up()
                return
            self._check(path)
            self._fail_on_purpose(path)
            handler, named = workspace.router.find(self.command, path)
            fields = _fields(
                self.command, parts.query, body, self.headers.get("Content-Type") or ""
            )
            request = Request(
                workspace, self.command, path, fields, body, dict(self.headers), named
            )
            self._send(handler(request))
        except ApiError as error:
            content = json.dumps(error.body(path)).encode()
            self._send(Raw(content, error.status, error.headers))
        except Exception as error:  # else a client would wait for ever
            workspace.troubles.append(f"{self.command} {path}: {error!r}")
            self._send(Raw(json.dumps({"error_code": "INTERNAL_ERROR"}).encode(), 500))
            raise

    def _check(self, path: str) -> None:
        if path in OPEN:
            return
        told = self.headers.get("Authorization") or ""
        if told.removeprefix("Bearer ") != self.server.workspace.token:
            raise ApiError(403, "Invalid access token.", "403")

    def _fail_on_purpose(self, path: str) -> None:
        rule = self.server.workspace.switchboard.take(
            path, "429", "503", "cluster-not-ready", "permission-denied", "slow"
        )
        if rule is None:
            return
        if rule.kind == "429":
            wait = {"Retry-After": str(rule.value or 1)}
            raise ApiError(429, "Current request rate is too high.", "REQUEST_LIMIT_EXCEEDED", wait)
        if rule.kind == "503":
            raise ApiError(503, "The service is temporarily down.", "TEMPORARILY_UNAVAILABLE")
        if rule.kind == "cluster-not-ready":
            raise ApiError(400, rule.value or "Cluster is not ready.", "ClusterNotReadyException")
        if rule.kind == "permission-denied":
            told = rule.value or f"{self.server.workspace.user} does not have the permission."
            raise ApiError(403, told, "PERMISSION_DENIED")
        time.sleep(rule.value)

    def _send(self, answer: Any) -> None:
        if not isinstance(answer, Raw):
            answer = Raw(json.dumps({} if answer is None else answer).encode())
        self.send_response(answer.status)
        headers = {"Content-Type": "application/json", **answer.headers}
        for name, value in {**headers, "Content-Length": str(len(answer.content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.content)

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


def _fields(method: str, query: str, body: bytes, kind: str) -> dict[str, Any]:
    fields: dict[str, Any] = dict(parse_qsl(query))
    if kind.startswith("multipart/form-data"):
        fields.update(_form(kind, body))
    if method != "GET" and body[:1] == b"{":
        try:
            fields.update(json.loads(body))
        except ValueError:
            raise ApiError(400, "Could not parse the request.", "MALFORMED_REQUEST") from None
    return fields


def _form(kind: str, body: bytes) -> dict[str, Any]:
    """Return the fields of a form; a file in it as bytes, under ``file``."""
    boundary = b"--" + kind.partition("boundary=")[2].strip('"').encode()
    fields: dict[str, Any] = {}
    for part in body.split(boundary)[1:-1]:
        head, _, content = part.removesuffix(b"\r\n").partition(b"\r\n\r\n")
        named = dict(re.findall(rb'(\w+)="([^"]*)"', head))
        if b"filename" in named:
            fields["file"] = content
        else:
            fields[named[b"name"].decode()] = content.decode()
    return fields
