"""The session folder: where host and probe meet, readable by its owner only."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from memprobe.errors import TargetError
from memprobe.targets import left_behind

DEFAULTS: dict[str, Any] = {
    "context": "script",
    "method": "run",
    "program": "",
    "argc": 0,
    "interval": 1.0,
    "max_pause": 0.25,
    "cap": 64 * 1024 * 1024,
    "cpu_share": 0.01,
    "client": "",
    "lease": None,
    "thread": False,
    "limits": None,
    "peak_reset": False,
    "steps": None,
    "memray": None,
    "tracemalloc": 0,
    "inside": (),
    "jvm_histogram": False,
}
SLICE = 0.1  # seconds between two looks at whether anybody still waits for a reply
FIFOS = ("control", "replies", "alive")


class SessionFolder:
    """One session's folder: ``config.json``, the spool and three FIFOs."""

    def __init__(self, path: Path, config: dict[str, Any]) -> None:
        self.path = path
        self.config = config
        self.spool = path / "spool.memprobe"
        self.control = path / "control"
        self.replies = path / "replies"
        self.alive = path / "alive"
        self.claimed = path / "claimed"
        self.trouble = path / "trouble"  # why the probe did not start, in its own words

    @classmethod
    def create(cls, config: dict[str, Any]) -> SessionFolder:
        """Make the folder and write the completed ``config`` into it.

        ``config`` holds the keys of ``DEFAULTS``; ``session`` and ``folder`` are filled in here.
        Raises ``TargetError`` where no private folder can be had.
        """
        base = _base()
        left_behind.sweep(base)
        session = secrets.token_hex(8)
        path = base / session
        full = {**DEFAULTS, **config, "session": session, "folder": str(path)}
        try:
            path.mkdir(mode=0o700)
            for name in FIFOS:
                os.mkfifo(path / name, 0o600)
            write_private(path / "config.json", json.dumps(full).encode())
            write_private(path / left_behind.HOST, left_behind.host_line().encode())
        except OSError as error:
            shutil.rmtree(path, ignore_errors=True)
            raise _refused(path, (error.strerror or str(error)).lower()) from error
        return cls(path, full)

    def send(
        self, verb: str, *, timeout: float = 5.0, given_up: Callable[[], bool] = lambda: False,
        **arguments: Any,
    ) -> dict[str, Any] | None:  # fmt: skip
        """Ask the probe; return its reply, or ``None`` when nobody answers in ``timeout`` s.

        ``given_up`` is asked now and then whether to wait any longer.
        """
        number = secrets.token_hex(4)
        line = json.dumps({"id": number, "verb": verb, "args": arguments}).encode() + b"\n"
        try:
            # Read-write, so that the FIFO never reports an end between two writers.
            replies = os.open(self.replies, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            return _reply(replies, number, timeout, given_up) if self._tell(line) else None
        finally:
            os.close(replies)

    @contextlib.contextmanager
    def request(self, verb: str, **arguments: Any) -> Iterator[None]:
        """Ask the probe while the block runs, also one without a thread, which looks now and then.

        Its answer is what it records. A request that nobody has read ends with the block.
        Raises TargetError where the probe is gone.
        """
        line = json.dumps({"id": "", "verb": verb, "args": arguments}).encode() + b"\n"
        try:
            # Read-write: what we wrote stays in the FIFO, whether or not somebody reads already.
            control = os.open(self.control, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise TargetError(
                "the probe has left", cause=f"{self.control}: {error.strerror}", remedy="try again"
            ) from error
        try:
            os.write(control, line)
            yield
        finally:
            os.close(control)

    def remove(self) -> None:
        """Delete the folder and what is in it."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _tell(self, line: bytes) -> bool:
        try:
            control = os.open(self.control, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return False  # nobody reads: there is no probe with a thread
        try:
            return os.write(control, line) == len(line)
        except OSError:
            return False
        finally:
            os.close(control)


def _reply(
    replies: int, number: str, timeout: float, given_up: Callable[[], bool]
) -> dict[str, Any] | None:
    deadline = time.monotonic() + timeout
    text = b""
    while (left := deadline - time.monotonic()) > 0 and not given_up():
        if not select.select([replies], [], [], min(left, SLICE))[0]:
            continue
        text += os.read(replies, 65536)
        *lines, text = text.split(b"\n")
        for line in lines:
            with contextlib.suppress(ValueError, AttributeError):
                reply: dict[str, Any] = json.loads(line)
                if reply.get("id") == number:
                    return reply
    return None


def _base() -> Path:
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime and _is_private(Path(runtime), need_mode=False):
        base = Path(runtime) / "memprobe"
    else:
        base = Path(tempfile.gettempdir()) / f"memprobe-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        try:
            base.mkdir(mode=0o700)
        except FileExistsError:
            raise
        except OSError as error:
            raise _refused(base, (error.strerror or str(error)).lower()) from error
    if not _is_private(base, need_mode=True):
        raise _refused(base, "it is not a directory that only this user can enter")
    return base


def _is_private(path: Path, *, need_mode: bool) -> bool:
    try:
        status = os.lstat(path)
    except OSError:
        return False
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        return False
    return not (need_mode and stat.S_IMODE(status.st_mode) & 0o077)


def write_private(path: Path, content: bytes) -> None:
    """Write a new file that only this user can open. Raises OSError where there is one already."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(path, flags, 0o600), "wb") as file:
        file.write(content)


def _refused(path: Path, cause: str) -> TargetError:
    return TargetError(
        f"cannot use the session folder {path}",
        cause=cause,
        remedy="remove it, or set TMPDIR to a directory of your own",
    )
