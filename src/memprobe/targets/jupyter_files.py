"""What Jupyter leaves in its runtime folder: connection files and running servers."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from memprobe.targets.kernel_argv import is_connection_file

SERVER_TIMEOUT = 1.0  # seconds that one server may take to list its sessions
_LARGEST_ANSWER = 8 * 1024 * 1024


@dataclass(frozen=True)
class Server:
    """A running Jupyter server, as its file in the runtime folder or a user says."""

    url: str
    token: str = field(repr=False)
    root: str  # the folder that notebook paths are relative to
    pid: int
    socket: str = ""  # path of a unix socket instead of a port


@dataclass(frozen=True)
class NotebookSession:
    """A notebook open on a server. ``state`` is the server's word for its kernel: idle, busy…"""

    kernel_id: str
    kernel_name: str
    path: str
    name: str
    state: str
    server: str


def runtime_folders() -> list[Path]:
    """Return Jupyter's runtime folder: ``JUPYTER_RUNTIME_DIR``, else the platform's default."""
    environ = os.environ
    if environ.get("JUPYTER_RUNTIME_DIR"):
        return [Path(environ["JUPYTER_RUNTIME_DIR"])]
    if environ.get("JUPYTER_DATA_DIR"):
        return [Path(environ["JUPYTER_DATA_DIR"], "runtime")]
    if sys.platform == "darwin":
        return [Path(os.path.expanduser("~/Library/Jupyter/runtime"))]
    # Path.home() would raise for a user without a home, as containers have them.
    data = environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    return [Path(data, "jupyter/runtime")]


def connection_files(folders: Iterable[Path]) -> list[Path]:
    """Return every connection file in these folders, also those whose kernel has ended."""
    return [file for file in _json_files(folders, "*") if is_connection_file(file)]


def running_servers(folders: Iterable[Path], alive: Iterable[int]) -> list[Server]:
    """Return the servers with a file in these folders whose process is among ``alive``."""
    pids = set(alive)
    folders = list(folders)
    files = [*_json_files(folders, "jpserver-*"), *_json_files(folders, "nbserver-*")]
    servers = (_server(file) for file in files)
    return [server for server in servers if server is not None and server.pid in pids]


def sessions(server: Server, timeout: float = SERVER_TIMEOUT) -> list[NotebookSession]:
    """Ask a server which notebooks are open. One that does not answer has none to tell."""
    rows = _get(server, "api/sessions", timeout)
    found = (session_of(row, server) for row in rows if isinstance(row, dict))
    return [session for session in found if session is not None]


def _json_files(folders: Iterable[Path], pattern: str) -> list[Path]:
    found: list[Path] = []
    for folder in folders:
        try:
            found.extend(sorted(folder.glob(f"{pattern}.json")))
        except OSError:
            continue  # a folder of another user
    return found


def _server(file: Path) -> Server | None:
    try:
        content = json.loads(file.read_text())
        return Server(
            url=str(content["url"]),
            token=str(content.get("token") or ""),
            root=str(content.get("root_dir") or content.get("notebook_dir") or ""),
            pid=int(content["pid"]),
            socket=str(content.get("sock") or ""),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # half written, or no server's file


def session_of(row: dict[str, Any], server: Server) -> NotebookSession | None:
    """Return one entry of a server's list of sessions; None where it belongs to no kernel."""
    kernel = row.get("kernel")
    if not isinstance(kernel, dict) or not kernel.get("id"):
        return None
    old = row.get("notebook")  # servers before 2017 nest the path here
    path = str(row.get("path") or (old.get("path") if isinstance(old, dict) else "") or "")
    return NotebookSession(
        kernel_id=str(kernel["id"]),
        kernel_name=str(kernel.get("name") or ""),
        path=os.path.join(server.root, path) if path else "",
        name=os.path.basename(path) or str(row.get("name") or ""),
        state=str(kernel.get("execution_state") or "unknown"),
        server=server.url,
    )


def _get(server: Server, path: str, timeout: float) -> list[Any]:
    """GET a list from a server's REST interface, empty on any failure."""
    from http.client import HTTPException

    try:
        content = json.loads(_answer(server, path, timeout))
    except (OSError, ValueError, HTTPException):
        return []  # its file is stale, it is busy, or it speaks something else
    return content if isinstance(content, list) else []


def _answer(server: Server, path: str, timeout: float) -> bytes:
    status, content = ask(server, path, timeout)
    return content if status == 200 else b"[]"


def ask(server: Server, path: str, timeout: float) -> tuple[int, bytes]:
    """GET ``path`` below the server's URL; return status and content. Raises what http does.

    The server itself is asked: neither a proxy nor a redirect's goal ever sees the token.
    """
    from urllib.parse import urlsplit

    parts = urlsplit(server.url)
    link = _connection(server, parts.hostname or "", parts.port, parts.scheme, timeout)
    try:
        headers = {"Authorization": f"token {server.token}"} if server.token else {}
        link.request("GET", f"{parts.path.rstrip('/')}/{path}", headers=headers)
        answer = link.getresponse()
        content: bytes = answer.read(_LARGEST_ANSWER)
        return answer.status, content
    finally:
        link.close()


def _connection(server: Server, host: str, port: int | None, scheme: str, timeout: float) -> Any:
    import http.client
    import socket

    if server.socket:
        link = http.client.HTTPConnection("localhost", timeout=timeout)
        link.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        link.sock.settimeout(timeout)
        link.sock.connect(server.socket)
        return link
    reachable = "127.0.0.1" if host in ("", "0.0.0.0", "::") else host
    if scheme != "https":
        return http.client.HTTPConnection(reachable, port, timeout=timeout)
    context = tls(reachable)
    return http.client.HTTPSConnection(reachable, port, timeout=timeout, context=context)


def tls(host: str) -> Any:
    """Return how to verify a server: not on this machine, where certificates are self-signed."""
    import ssl

    context = ssl.create_default_context()
    if host in ("127.0.0.1", "localhost", "::1"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
