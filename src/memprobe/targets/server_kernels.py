"""The kernels of a Jupyter Server that is known by its address: listed, and one of them chosen."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn

from memprobe.errors import MemprobeError, TargetError
from memprobe.targets.jupyter_files import (
    NotebookSession,
    Server,
    ask,
    running_servers,
    runtime_folders,
    session_of,
)
from memprobe.targets.remote import Line
from memprobe.targets.server_url import ServerUrl, chosen_token, parsed

TIMEOUT = 10.0  # seconds for one answer
DOCS = "verbs/attach.md"
TOKENS = (
    "append ?token=… to the address, or set JUPYTER_TOKEN; `jupyter server list` shows it on the "
    "server's machine, a hub has a page of tokens"
)


@dataclass(frozen=True)
class ServerKernel:
    """One kernel as its server tells of it; it may run on any machine."""

    server: Server
    kernel_id: str
    kernel_name: str
    notebook: str  # path below the server's root; empty: none
    state: str
    language: str
    connections: int | None  # clients that are connected; None: the server does not tell
    idle: float | None  # seconds since it last did something

    method = "server"

    @property
    def label(self) -> str:
        """The notebook's name, for messages."""
        return name_of(self)

    @property
    def place(self) -> dict[str, Any]:
        """Nothing: a server does not tell what its kernels run on."""
        return {}

    def connect(self, timeout: float, check: Callable[[], None]) -> Line:
        """Return a new connection through the server's WebSocket. Raises TargetError."""
        from memprobe.targets.kernel_socket import KernelSocket

        return KernelSocket(self.server, self.kernel_id, timeout)

    def is_gone(self) -> bool:
        """Whether the server answers, and has no such kernel."""
        with contextlib.suppress(MemprobeError):
            return kernel_now(self) is None
        return False

    def refuse_unwatched(self) -> None:
        """Refuse a kernel that no client is connected to: its server would drop what it keeps.

        A server keeps a kernel's output for the browser that lost its connection, until that one
        comes back or somebody else connects; then it is gone. Raises TargetError.
        """
        told = kernel_now(self)
        if told is None or told.get("connections") != 0:
            return
        raise TargetError(
            f"no browser is connected to {name_of(self)} on {parsed(self.server.url).shown}",
            cause="the server keeps its output for the one that was, and drops it when we connect",
            remedy="let that browser connect again, or accept the loss: --drop-output",
            docs=DOCS,
        )


def found_server(target: str, configured: str = "") -> tuple[Server, str]:
    """Return the server behind ``target`` and what of it names a notebook or a kernel.

    Raises TargetError where nobody answers there, or no Jupyter Server does.
    """
    address = parsed(target)
    token = chosen_token(address, configured)
    answers = []
    for base, rest in address.candidates():
        status, content = _answer(Server(base, "", "", 0), "api", address)
        if status == 200 and "version" in _object(content):
            return Server(base, token or _token_on_disk(base), "", 0), rest
        answers.append(status)
    raise _no_server(address, answers)


def kernels(server: Server) -> list[ServerKernel]:
    """Return the server's kernels, those with a notebook first. Raises TargetError."""
    address = parsed(server.url)
    running = _list(server, "api/kernels", address)
    sessions = [session_of(row, server) for row in _list(server, "api/sessions", address)]
    notebooks = {session.kernel_id: session for session in sessions if session is not None}
    languages = _languages(server, address)
    found = [
        _kernel(row, notebooks.get(str(row["id"])), languages, server)
        for row in running
        if isinstance(row, dict) and row.get("id")
    ]
    return sorted(found, key=lambda kernel: (not kernel.notebook, kernel.notebook))


def _kernel(
    row: dict[str, Any], session: NotebookSession | None, languages: dict[str, str], server: Server
) -> ServerKernel:
    name = str(row.get("name") or "")
    connections = row.get("connections")
    return ServerKernel(
        server=server,
        kernel_id=str(row["id"]),
        kernel_name=name,
        notebook=(session.path or session.name) if session else "",
        state=str(row.get("execution_state") or "unknown"),
        language=languages.get(name, "Python"),  # the kernel itself is asked on entering
        connections=connections if isinstance(connections, int) else None,
        idle=_since(row.get("last_activity")),
    )


def _languages(server: Server, address: ServerUrl) -> dict[str, str]:
    """Return kernel name → language, as far as the server tells."""
    status, content = _answer(server, "api/kernelspecs", address)
    specs = _object(content).get("kernelspecs") if status == 200 else None
    found = {}
    for name, row in specs.items() if isinstance(specs, dict) else ():
        spec = row.get("spec") if isinstance(row, dict) else None
        language = spec.get("language") if isinstance(spec, dict) else None
        if isinstance(language, str) and language:
            found[str(name)] = "Python" if language.lower() == "python" else language
    return found


def kernel_now(kernel: ServerKernel) -> dict[str, Any] | None:
    """Return what the server says of one kernel now; None where it has none such any more."""
    address = parsed(kernel.server.url)
    status, content = _answer(kernel.server, f"api/kernels/{kernel.kernel_id}", address)
    if status == 404:
        return None
    if status != 200:
        raise refused(address, status)
    return _object(content)


def _list(server: Server, path: str, address: ServerUrl) -> list[Any]:
    status, content = _answer(server, path, address)
    if status != 200:
        raise refused(address, status)
    try:
        rows = json.loads(content)
    except ValueError:
        rows = None
    if not isinstance(rows, list):
        raise TargetError(
            f"{address.shown} does not answer as a Jupyter Server",
            cause=f"{path} holds no list",
            remedy="check the address: http://HOST:PORT/ or https://HUB/user/NAME/",
            docs=DOCS,
        )
    return rows


def refused(address: ServerUrl, status: int) -> TargetError:
    """Return the error for an answer that is none: token, rights, or something else."""
    if status in (401, 403) or 300 <= status < 400:
        return TargetError(
            f"{address.shown} refuses the token, or none was given",
            cause=f"it answers {status}",
            remedy=TOKENS,
            docs=DOCS,
        )
    return TargetError(
        f"{address.shown} does not answer as a Jupyter Server",
        cause=f"it answers {status}",
        remedy="try again; if it stays, look into the server's log",
        docs=DOCS,
    )


def _answer(server: Server, path: str, address: ServerUrl) -> tuple[int, bytes]:
    """Ask; a server that cannot be reached is an error that names the address and no secret."""
    from http.client import HTTPException

    try:
        return ask(server, path, TIMEOUT)
    except HTTPException as error:
        _unreachable(address, f"what answers there does not speak HTTP ({type(error).__name__})")
    except (OSError, ValueError) as error:
        _unreachable(address, _why(error))


def _unreachable(address: ServerUrl, cause: str) -> NoReturn:
    raise TargetError(
        f"cannot reach {address.shown}",
        cause=cause,
        remedy="check the address, and that the server runs and can be reached from this machine",
        docs=DOCS,
    ) from None


def _why(error: Exception) -> str:
    import socket
    import ssl

    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted here: {error.verify_message}"
    if isinstance(error, TimeoutError):
        return f"no answer within {TIMEOUT:.0f} s"
    if isinstance(error, socket.gaierror):
        return "there is no host of that name"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return type(error).__name__


def _no_server(address: ServerUrl, answers: list[int]) -> TargetError:
    told = ", ".join(str(status) for status in dict.fromkeys(answers))
    hub = any(300 <= status < 400 or status in (424, 503) for status in answers)
    remedy = "give it as http://HOST:PORT/ or https://HUB/user/NAME/"
    if hub:
        remedy += "; on a hub, the user's server has to be running"
    return TargetError(
        f"no Jupyter Server answers at {address.shown}",
        cause=f"there and above it the answers are {told}",
        remedy=remedy,
        docs=DOCS,
    )


def _token_on_disk(base: str) -> str:
    """Return the token that a server of this user on this machine left in its file."""
    from memprobe.targets.processes import read_processes

    wanted = base.replace("//localhost", "//127.0.0.1").rstrip("/")
    try:
        alive = read_processes().by_pid
    except TargetError:  # no /proc here
        return ""
    for server in running_servers(runtime_folders(), alive):
        if server.url.replace("//localhost", "//127.0.0.1").rstrip("/") == wanted:
            return server.token
    return ""


def _object(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _since(moment: Any) -> float | None:
    """Return the seconds since an ISO time, which servers write with a Z that 3.10 cannot read."""
    try:
        then = datetime.fromisoformat(str(moment).replace("Z", "+00:00"))
    except ValueError:
        return None
    return max(0.0, time.time() - then.timestamp()) if then.tzinfo else None


def name_of(kernel: ServerKernel) -> str:
    """Return what a kernel is called: its notebook, else its id."""
    return os.path.basename(kernel.notebook) or kernel.kernel_id
