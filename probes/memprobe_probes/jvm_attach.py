"""What a JVM tells of itself, by the attach protocol of HotSpot, spoken directly.

The same that ``jcmd`` does: a file in the temporary folder and SIGQUIT make the JVM open a socket,
which stays until it ends. Where that signal would do anything else (a thread dump on its output,
its end), it is not sent: ``Silent`` says why.
"""

from __future__ import annotations

import os
import sys
import time
from _signal import SIGQUIT  # type: ignore[import-not-found]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SECONDS = 2.0  # for everything that one JVM is asked
LONGEST = 4 << 20  # bytes of an answer
# Options with which SIGQUIT is no request.
_DEAF = ("-XX:+DisableAttachMechanism", "-XX:+ReduceSignalUsage", "-Xrs")
_REST = 0.01  # seconds


class Silent(Exception):
    """Why a JVM cannot be asked, or does not answer."""


class Jvm:
    """One JVM of this user, by its pid as seen from here."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._until = 0.0
        self._trigger: str | None = None  # the file that asks it to listen

    def ask(self, commands: tuple[str, ...]) -> list[str]:
        """Return the answers to ``commands`` of jcmd. Raises ``Silent``."""
        self._until = time.monotonic() + SECONDS
        try:
            path = self._socket_path()
            return [self._answer(path, command) for command in commands]
        except OSError as error:
            told = error.strerror or type(error).__name__
            raise Silent(f"it does not answer: {told}") from None

    def close(self) -> None:
        """Take back a request that was never answered."""
        trigger, self._trigger = self._trigger, None
        if trigger is not None:
            try:
                os.unlink(trigger)
            except OSError:
                pass

    def _socket_path(self) -> str:
        status = _status(self.pid)
        inner = status.get("NSpid", str(self.pid)).split()[-1]  # in a namespace of its own
        folder = f"/proc/{self.pid}/root/tmp"
        path = f"{folder}/.java_pid{inner}"
        if not os.path.exists(path):
            _refuse_deaf(self.pid, status)
            self._ask_to_listen(f"{folder}/.attach_pid{inner}", path)
        return path

    def _ask_to_listen(self, trigger: str, path: str) -> None:
        """Have it open its socket. Until it has, the file stays: else it would print threads."""
        if self._trigger is None:
            os.close(os.open(trigger, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            self._trigger = trigger
            os.kill(self.pid, SIGQUIT)
        while not os.path.exists(path):
            if time.monotonic() > self._until:
                raise Silent(f"it did not answer within {SECONDS:g} s")
            time.sleep(_REST)
        self.close()

    def _answer(self, path: str, command: str) -> str:
        socket = _socket_module()
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(max(0.01, self._until - time.monotonic()))
            connection.connect(path)
            connection.sendall(b"\0".join((b"1", b"jcmd", command.encode(), b"", b"", b"")))
            return self._received(connection)

    def _received(self, connection: Any) -> str:
        content = b""
        while len(content) < LONGEST:
            left = self._until - time.monotonic()
            if left <= 0:
                raise Silent(f"it did not answer within {SECONDS:g} s")
            connection.settimeout(left)
            part = connection.recv(1 << 16)
            if not part:
                break
            content += part
        code, _, text = content.decode("utf-8", "replace").partition("\n")
        if code.strip() != "0":
            raise Silent("it refused the question")
        return text


def _socket_module() -> Any:
    """Return ``_socket``'s wrapper, which a program with a JVM beside it has loaded."""
    module = sys.modules.get("socket")
    if module is None or not hasattr(module, "AF_UNIX"):
        raise Silent("this Python has not loaded the module socket")
    return module


def _refuse_deaf(pid: int, status: dict[str, str]) -> None:
    if status.get("State", "?")[:1] in "TtZX":
        raise Silent("it is stopped")
    if status.get("Uid", "").split()[:1] != [str(os.geteuid())]:
        raise Silent("it belongs to another user")
    if not int(status.get("SigCgt", "0"), 16) >> (SIGQUIT - 1) & 1:
        raise Silent("it does not listen to signals (-Xrs), or has only begun")
    told = _content(f"/proc/{pid}/cmdline") + _content(f"/proc/{pid}/environ")
    if any(option.encode() in told for option in _DEAF) or b"\0@" in told:
        raise Silent("it was told not to be attached to")


def _status(pid: int) -> dict[str, str]:
    lines = _content(f"/proc/{pid}/status").decode("utf-8", "replace").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _content(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(1 << 20)
