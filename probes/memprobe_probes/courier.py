"""The probe as seen from another machine: commands and the recording over the control channel.

Where the host shares no files with this process, it sends messages of a kind of their own on the
kernel's control channel. They run no cell: no callback of the user fires, nothing enters a
namespace. Each is ``{verb, args}`` and is answered by ``{ok, result | error, clock}``.

``pull`` returns the next bytes of the spool, so many at most, and renews the client's lease. All
other verbs are the probe's own; what measures is passed to the probe's thread through its FIFO.

Everything here is imported at once: while a probe leaves, its modules are no longer to be found.
"""

from __future__ import annotations

import binascii
import os
import stat
import time
import zlib

from . import bootstrap, plain_json
from .descriptors import close_own, identity, out_of_the_way

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

REQUEST, REPLY = "memprobe_request", "memprobe_reply"
LARGEST = 256 * 1024  # bytes of the spool in one message, before they are packed
LINGER = 10.0  # seconds without a pull after which nobody fetches the last records any more
_DIRECT = ("status", "lease")  # answered here: they measure nothing

_present: Courier | None = None


def enter(config: dict[str, Any], kernel: Any) -> dict[str, Any]:
    """Start or join the probe for a host that sees no file of this machine; say where to begin.

    Raises what ``bootstrap.start`` does; nothing is left then.
    """
    global _present
    bootstrap.outlive_departure()
    made = ""
    if bootstrap.active() is None:
        made = bootstrap.new_session_folder()
        config = {**config, "folder": made, "walker": _unpacked(config.get("walker"), made)}
    try:
        answer = bootstrap.start(config)
        if _present is None or _present.kernel is not kernel or _present.left:
            _present = Courier(kernel, str(answer["spool"]), made)
        _present.clients.add(str(config["client"]))
    except BaseException:
        _remove(made)
        raise
    return {**answer, "clock": time.monotonic_ns()}


def see_off(*, wait: bool) -> None:
    """Leave nothing; with ``wait`` only when who follows from afar has the last records."""
    global _present
    courier, _present = _present, None
    if courier is not None:
        if wait:
            courier.linger()
        courier.leave()


def abandon(*, remove: bool) -> None:
    """Leave at once: the process ends, or (without ``remove``) is a forked child."""
    global _present
    courier, _present = _present, None
    if courier is not None:
        courier.leave(remove=remove)


class Courier:
    """Answers the host's messages in one kernel. ``folder`` is the session folder if it is ours."""

    def __init__(self, kernel: Any, spool: str, folder: str) -> None:
        self.kernel = kernel
        self.folder = folder
        self.clients: set[str] = set()  # who has not fetched everything yet
        self.left = False
        self._last_pull = time.monotonic()
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        self._spool = out_of_the_way(os.open(spool, flags))
        self._file = identity(self._spool)
        kernel.control_handlers[REQUEST] = self.handle

    def handle(self, stream: Any, idents: Any, message: Any) -> None:
        """Answer one message; the kernel calls this on the thread of its control channel."""
        try:
            content = message.get("content") or {}
            answer = self._answer(str(content.get("verb")), content.get("args") or {})
            answer["clock"] = time.monotonic_ns()
            self.kernel.session.send(stream, REPLY, answer, message, ident=idents)
        except Exception:
            return

    def _answer(self, verb: str, args: dict[str, Any]) -> dict[str, Any]:
        try:
            if verb == "pull":
                return {"ok": True, "result": self._pull(args)}
            if verb == "detach":
                return self._detach(args)
            if verb in _DIRECT:
                return bootstrap.command({"verb": verb, "args": args})
            line = plain_json.dumps({"id": "", "verb": verb, "args": args}).encode()
            return {"ok": bootstrap.post(line), "result": {}}
        except Exception as error:
            return {"ok": False, "error": type(error).__name__}

    def _pull(self, args: dict[str, Any]) -> dict[str, Any]:
        """Return what follows ``offset`` in the spool, packed, and whether that is all there is."""
        self._last_pull = time.monotonic()
        client, offset = str(args.get("client")), max(0, int(args.get("offset", 0)))
        gone = bootstrap.active() is None  # asked first: what it still wrote counts
        if not gone and client in self.clients:  # not one that has said goodbye
            bootstrap.command({"verb": "lease", "args": {"client": client}})
        if identity(self._spool) != self._file:
            return {"lost": True, "gone": gone}
        data = os.pread(self._spool, min(LARGEST, int(args.get("most", LARGEST))), offset)
        size = os.fstat(self._spool).st_size
        if gone and offset >= size:
            self.clients.discard(client)
            if not self.clients:  # the answer says that nothing is left
                bootstrap.wait_for_departure()
        packed = binascii.b2a_base64(zlib.compress(data, 1), newline=False).decode()
        return {"data": packed, "size": size, "gone": gone}

    def _detach(self, args: dict[str, Any]) -> dict[str, Any]:
        """Drop a client; while others keep the probe, this one fetches no last records."""
        answer = bootstrap.command({"verb": "detach", "args": args})
        if answer.get("result", {}).get("left"):
            self.clients.discard(str(args.get("client")))
        return answer

    def linger(self) -> None:
        """Wait, on the probe's own thread, while somebody fetches the last records."""
        self._last_pull = time.monotonic()
        while self.clients and time.monotonic() - self._last_pull < LINGER:
            time.sleep(0.01)

    def leave(self, *, remove: bool = True) -> None:
        """Take the handler out, close the spool, and remove the session folder if it is ours."""
        self.left = True
        handlers = self.kernel.control_handlers
        if getattr(handlers.get(REQUEST), "__self__", None) is self:
            del handlers[REQUEST]
        close_own(self._spool, self._file)
        if remove:
            _remove(self.folder)


def _unpacked(walker: Any, folder: str) -> Any:
    """Write the walker for this processor into our private folder; return where it is.

    ``walker`` came in the message: ``{"name", "built": [{"machine", "sha256", "content"}]}``.
    """
    if not isinstance(walker, dict) or "built" not in walker:
        return walker
    machine = os.uname().machine
    fits = [one for one in walker.pop("built") if one["machine"] == machine]
    if not fits:
        return {"missing": f"did not come along for this kind of processor ({machine})"}
    path = os.path.join(folder, str(walker["name"]))
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(path, flags, 0o600)
    try:
        data = memoryview(zlib.decompress(binascii.a2b_base64(fits[0]["content"])))
        while data:
            data = data[os.write(fd, data) :]
    finally:
        os.close(fd)
    return {"path": path, "sha256": fits[0]["sha256"]}


def _remove(folder: str) -> None:
    """Remove a session folder, which holds files and FIFOs only."""
    try:
        if not folder or not stat.S_ISDIR(os.lstat(folder).st_mode):
            return
        for name in os.listdir(folder):
            os.unlink(os.path.join(folder, name))
        os.rmdir(folder)
    except OSError:
        return
