"""A connection of our own to the JVM of a PySpark driver, by py4j's text protocol.

py4j itself is left alone: its objects enter a table of the whole process, it logs, it retries,
and it waits without an end. Here every wait has one, exactly what was obtained is released, and
a JVM that is stopped, busy or gone makes only the reading fail that needed it.
"""

from __future__ import annotations

import _socket
import _thread
import os
import time

from .descriptors import close_own, identity, out_of_the_way
from .jvm_answers import Foreign, Handle, JvmError, Long, Thrown, answer, request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType
    from typing import Any

__all__ = ["Foreign", "Gateway", "Handle", "JvmError", "JvmGone", "Long", "strings"]

TIMEOUT = 2.0  # seconds for one answer
_LONGEST_ANSWER = 4 << 20  # bytes
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 30.0  # seconds until a JVM that did not answer is asked again
_AT_ONCE = 64  # requests that are sent before their answers are read: both fit into the buffers
_CHUNK = 65536
_QUICKACK = getattr(_socket, "TCP_QUICKACK", None)  # of Linux


class JvmGone(Exception):
    """The JVM cannot be asked now: it refused, closed, did not answer in time, or we are closed."""


class Gateway:
    """One kept connection to the gateway server of a driver.

    ``timeout`` is in seconds, for each answer. A call returns None, a bool, an int, a float, a
    str or a ``Handle``; it raises ``JvmError`` for what the JVM threw and ``JvmGone`` where it
    could not be asked. Handles live until their ``scope`` ends. Any thread may call.
    """

    def __init__(
        self, address: str, port: int, token: str | None, timeout: float = TIMEOUT
    ) -> None:
        self.address = address
        self.port = port
        self.timeout = timeout
        self.closed = False
        self.calls_made = 0
        self.remembered: dict[str, Any] = {}  # what readers keep for as long as this connection
        self._token = token
        self._pid = os.getpid()
        self._lock = _thread.allocate_lock()
        self._socket: Any = None
        self._file: tuple[int, int, int] | None = None
        self._text = bytearray()  # of the next answer
        self._awaited = 0  # answers to requests whose caller has given up
        self._owed: list[str] = []  # ids that wait to be released
        self._scopes: dict[int, list[Scope]] = {}  # thread → its open scopes
        self._kept: set[str] = set()
        self._failures = 0
        self._not_before = 0.0

    def call(self, target: Handle | Foreign | str, method: str, *args: Any) -> Any:
        """Call a method of an object, or of the class of that name."""
        return _raised(self._exchange([request(target, method, args)])[0])

    def calls(self, wanted: Iterable[tuple[Any, ...]]) -> list[Any]:
        """Call many, each (target, method, *args), in far fewer steps; a JvmError is an answer."""
        requests = [request(one[0], one[1], one[2:]) for one in wanted]
        return self._all(requests)

    def calls_at_once(self, wanted: Iterable[tuple[Any, ...]]) -> tuple[list[Any], int]:
        """As ``calls``, in one step; and how many objects the JVM kept for us just before it."""
        held: list[int] = []
        requests = [request(one[0], one[1], one[2:]) for one in wanted]
        found = self._exchange(requests, lambda: held.append(self.held))
        return found, held[0]

    def static(self, class_name: str, method: str, *args: Any) -> Any:
        """Call a static method."""
        return self.call(class_name, method, *args)

    def field(self, target: Handle | Foreign, name: str) -> Any:
        """Return a public field of an object."""
        return _raised(self._exchange([f"f\ng\n{target.id}\n{name}\ne\n"])[0])

    def reflected(self, target: Handle | Foreign, name: str, above: int = 0) -> Any:
        """Return a field of any access; ``above`` says how many superclasses up it is declared."""
        cls = self.call(target, "getClass")
        for _ in range(above):
            cls = self.call(cls, "getSuperclass")
        found = self.call(cls, "getDeclaredField", name)
        self.call(found, "setAccessible", True)
        return self.call(found, "get", target)

    def length(self, array: Handle) -> int:
        """Return the length of a Java array."""
        return int(_raised(self._exchange([f"a\ne\n{array.id}\ne\n"])[0]))

    def elements(self, array: Handle, most: int) -> list[Any]:
        """Return at most ``most`` elements of a Java array."""
        wanted = range(min(self.length(array), most))
        found = self._all([f"a\ng\n{array.id}\ni{index}\ne\n" for index in wanted])
        return [_raised(one) for one in found]

    def scope(self, timeout: float | None = None) -> Scope:
        """Return a context at whose end what this thread obtained in it is released.

        With ``timeout`` (seconds) each answer within it is waited for no longer.
        """
        return Scope(self, timeout)

    def keep(self, handle: Handle) -> Handle:
        """Take a handle out of its scope: it lives until ``release``."""
        for scope in self._scopes.get(_thread.get_ident(), ()):
            scope.obtained.discard(handle.id)
        self._kept.add(handle.id)
        return handle

    def release(self, *handles: Handle) -> None:
        """Release handles, now or as soon as the JVM answers again. Never raises JvmGone."""
        for handle in handles:
            self._kept.discard(handle.id)
            for scope in self._scopes.get(_thread.get_ident(), ()):
                scope.obtained.discard(handle.id)
        self._let_go([handle.id for handle in handles])

    def close(self) -> None:
        """Release all that is left, if the JVM answers at once, and close. Safe to call twice."""
        if self.closed:
            return
        if os.getpid() != self._pid:
            self.abandon()
            return
        self.timeout = min(self.timeout, 0.5)
        self._let_go([*self._kept])
        self._kept.clear()
        self.closed = True
        if self._lock.acquire(timeout=self.timeout):
            try:
                self._drop()
            finally:
                self._lock.release()
        else:
            self._interrupt()

    def abandon(self) -> None:
        """Close the descriptor and nothing else: what a forked child does."""
        self.closed = True
        self._drop()

    @property
    def ready_at(self) -> float:
        """``time.monotonic()`` from which on a call is tried at all; 0.0 is now."""
        return self._not_before

    @property
    def held(self) -> int:
        """How many objects the JVM keeps for us at this moment."""
        return len(self._kept) + sum(
            len(scope.obtained) for scopes in list(self._scopes.values()) for scope in scopes
        )

    def _obtained(self, found: Any) -> None:
        if type(found) is Handle:
            scopes = self._scopes.get(_thread.get_ident())
            if scopes:
                scopes[-1].obtained.add(found.id)
            else:
                self._kept.add(found.id)

    def _let_go(self, ids: list[str]) -> None:
        self._owed.extend(ids)
        if not self._owed:
            return
        try:
            self._exchange([])
        except JvmGone:
            pass

    def _all(self, requests: list[str]) -> list[Any]:
        """Send many requests; between some and the next, another thread gets its turn."""
        found: list[Any] = []
        for start in range(0, len(requests), _AT_ONCE):
            found += self._exchange(requests[start : start + _AT_ONCE])
        return found

    def _exchange(self, requests: list[str], first: Callable[[], None] | None = None) -> list[Any]:
        """Send a few requests and return their answers; what is owed goes first.

        ``first`` is called before they are sent, when nobody else can send any.
        """
        timeout = self._patience()
        if not self._lock.acquire(timeout=timeout):
            raise JvmGone("busy")
        try:
            self._get_ready(timeout)
            self._pay()
            if first is not None:
                first()
            found = self._in_one_go(requests, timeout, self._obtained)
            self.calls_made += len(requests)
            found = [self._named(one, timeout) for one in found]
            self._failures, self._not_before = 0, 0.0
            return found
        finally:
            self._lock.release()

    def _patience(self) -> float:
        scopes = self._scopes.get(_thread.get_ident()) or ()
        limits = [scope.timeout for scope in scopes if scope.timeout is not None]
        return min([self.timeout, *limits])

    def _named(self, found: Any, timeout: float) -> Any:
        """Return an answer; of what was thrown, a JvmError with its class."""
        if type(found) is not Thrown:
            return found
        if found.handle is None:
            return JvmError(found.java_class)
        self._owed.append(found.handle.id)
        cls = self._in_one_go([request(found.handle, "getClass", ())], timeout)[0]
        if type(cls) is not Handle:
            return JvmError("unknown")
        self._owed.append(cls.id)
        name = self._in_one_go([request(cls, "getName", ())], timeout)[0]
        return JvmError(name if type(name) is str else "unknown")

    def _in_one_go(
        self, requests: list[str], timeout: float, note: Callable[[Any], None] | None = None
    ) -> list[Any]:
        if not requests:
            return []
        self._send("".join(requests), len(requests), timeout)
        found = []
        for _ in requests:
            one = self._receive(timeout)
            if note is not None:
                note(one)
            found.append(one)
        return found

    def _pay(self) -> None:
        """Release what is owed, many in one go."""
        while self._owed:
            some, self._owed = self._owed[:_AT_ONCE], self._owed[_AT_ONCE:]
            sent = "".join(f"m\nd\n{one}\ne\n" for one in some)
            self._send(sent, len(some), self.timeout)
            for _ in some:
                self._receive(self.timeout)

    def _get_ready(self, timeout: float) -> None:
        if self.closed or os.getpid() != self._pid:
            raise JvmGone("closed")
        if time.monotonic() < self._not_before:
            raise JvmGone("did not answer a moment ago")
        if self._socket is not None and identity(self._socket.fileno()) != self._file:
            self._forget()  # the program closed our descriptor: its number may be another's now
        if self._socket is None:
            self._connect(timeout)
        while self._awaited:
            late = self._receive(timeout)
            if type(late) is Thrown:
                late = late.handle
            if type(late) is Handle:
                self._owed.append(late.id)

    def _connect(self, timeout: float) -> None:
        family = _socket.AF_INET6 if ":" in self.address else _socket.AF_INET
        try:
            made = _socket.socket(family, _socket.SOCK_STREAM)
            made = _socket.socket(family, _socket.SOCK_STREAM, 0, out_of_the_way(made.detach()))
            self._socket, self._file = made, identity(made.fileno())
            made.settimeout(timeout)
            made.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
            made.connect((self.address, self.port))
        except OSError as error:
            self._drop()
            raise self._failed("refused") from error
        if self._token is not None:
            self._send(f"A\n{self._token}\n", 1, timeout)
            if type(self._receive(timeout)) is Thrown:
                self._drop()
                raise self._failed("refused")

    def _send(self, text: str, answers: int, timeout: float) -> None:
        sent = False
        try:
            self._socket.settimeout(timeout)
            self._socket.sendall(text.encode("utf-8", "backslashreplace"))
            sent = True
        except OSError as error:
            raise self._failed("closed") from error
        finally:
            if sent:
                self._awaited += answers
            else:
                self._drop()  # half a request cannot be taken back

    def _receive(self, timeout: float) -> Any:
        """Return the next answer; after a time-out it stays awaited, and is read later."""
        line = self._line(time.monotonic() + timeout)
        self._awaited -= 1
        try:
            return answer(line.decode("utf-8", "replace"))
        except ValueError:
            self._drop()
            raise self._failed("spoke another language") from None

    def _line(self, deadline: float) -> bytes:
        end = self._text.find(b"\n")
        while end < 0:
            if len(self._text) > _LONGEST_ANSWER:
                self._drop()
                raise self._failed("said too much")
            searched = len(self._text)
            self._text += self._more(deadline)
            end = self._text.find(b"\n", searched)
        line = bytes(self._text[:end])
        del self._text[: end + 1]
        return line

    def _more(self, deadline: float) -> bytes:
        left = deadline - time.monotonic()
        if left <= 0:
            raise self._failed("did not answer in time")
        try:
            self._socket.settimeout(left)
            if _QUICKACK is not None:
                # The server holds its second answer back until the first was acknowledged,
                # which takes 40 ms unless it is asked for; the kernel forgets that each time.
                self._socket.setsockopt(_socket.IPPROTO_TCP, _QUICKACK, 1)
            more: bytes = self._socket.recv(_CHUNK)
        except TimeoutError:
            raise self._failed("did not answer in time") from None
        except OSError as error:
            self._drop()
            raise self._failed("closed") from error
        if not more:
            self._drop()
            raise self._failed("closed")
        return more

    def _failed(self, why: str) -> JvmGone:
        pause = min(_FIRST_PAUSE * 2**self._failures, _LONGEST_PAUSE)
        self._failures = min(self._failures + 1, 10)
        self._not_before = time.monotonic() + pause
        return JvmGone(why)

    def _drop(self) -> None:
        """Close the connection; a descriptor that is not ours any more stays as it is."""
        found = self._forget()
        if found is not None:
            close_own(found.detach(), self._file)

    def _forget(self) -> Any:
        found, self._socket = self._socket, None
        self._text, self._awaited = bytearray(), 0
        if found is not None and identity(found.fileno()) != self._file:
            found.detach()
            return None
        return found

    def _interrupt(self) -> None:
        """End the call that another thread waits in; that thread closes the connection."""
        found = self._socket
        if found is not None:
            try:
                found.shutdown(_socket.SHUT_RDWR)
            except OSError:
                pass


class Scope:
    """What one thread obtains between enter and exit; released at the exit."""

    def __init__(self, gateway: Gateway, timeout: float | None) -> None:
        self.obtained: set[str] = set()
        self.timeout = timeout
        self._gateway = gateway

    def __enter__(self) -> Scope:
        self._gateway._scopes.setdefault(_thread.get_ident(), []).append(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        step: TracebackType | None,
    ) -> None:  # fmt: skip
        gateway, thread = self._gateway, _thread.get_ident()
        obtained, self.obtained = [*self.obtained], set()
        try:
            gateway._let_go(obtained)
        finally:
            scopes = gateway._scopes.get(thread, [])
            if self in scopes:
                scopes.remove(self)
            if not scopes:
                gateway._scopes.pop(thread, None)


def _raised(found: Any) -> Any:
    if type(found) is JvmError:
        raise found
    return found


def strings(gateway: Gateway, collection: Handle, most: int) -> Iterator[str]:
    """Yield at most ``most`` texts of a Scala collection, in one call; none may hold a newline."""
    text = gateway.call(gateway.call(collection, "take", most), "mkString", "\n")
    yield from str(text).split("\n") if text else ()
