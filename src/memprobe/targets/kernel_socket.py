"""A kernel's control channel through its Jupyter Server's WebSocket.

The server forwards everything the kernel says to every client, so a thread reads all the time and
drops what is not meant for us: else it would pile up in the server's memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import queue
import secrets
import threading
import time
from collections.abc import Callable, Coroutine
from datetime import datetime, timezone
from typing import Any, TypeVar

from memprobe.errors import TargetError
from memprobe.targets.jupyter_files import Server, tls
from memprobe.targets.remote import Disconnected, Unanswered
from memprobe.targets.server_url import DOCS, parsed

Value = TypeVar("Value")

SLICE = 0.1  # seconds between two looks at whether somebody pressed Ctrl-C
PING = 20.0  # seconds; proxies close what is silent for a minute
LARGEST = 1 << 30  # bytes of one message: a notebook's output may be large, and is dropped
CLOSING = 2.0  # seconds
FATES = {"restarting": "kernel-restarted", "dead": "kernel-died"}


class KernelSocket:
    """One connection. ``fate`` is set where the server says that the kernel has ended."""

    def __init__(self, server: Server, kernel_id: str, timeout: float) -> None:
        self.fate: str | None = None
        self.kernel_session = ""  # changes with each process of the kernel
        self.ahead = 0.0  # seconds that the kernel's clock is ahead of ours
        self._server = server
        self._session = secrets.token_hex(16)
        self._replies: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._link: Any = None
        try:
            self._link = self._done(self._connected(kernel_id, timeout), timeout + 1)
        except BaseException:
            self.close()
            raise

    def ask(
        self, kind: str, content: dict[str, Any], timeout: float, check: Callable[[], None]
    ) -> dict[str, Any]:
        """Send a control request and return the content of its reply.

        ``check`` is called now and then, and may raise to end the wait. Raises Unanswered after
        ``timeout`` seconds, and Disconnected.
        """
        number = secrets.token_hex(16)
        self._send(kind, content, number)
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            check()
            try:
                message = self._replies.get(timeout=min(left, SLICE))
            except queue.Empty:
                continue
            if message is None:
                raise self._gone("the connection was closed")
            if message["parent_header"].get("msg_id") == number:
                self.kernel_session = str(message["header"].get("session") or "")
                self.ahead = _ahead(message["header"].get("date"))
                return dict(message["content"])
        raise Unanswered(
            f"the kernel did not answer within {timeout:.0f} s",
            cause="it is gone, or C code in it holds the GIL; the request expires by itself",
            remedy="try again when the call has returned, or wait longer: --timeout 120",
            docs=DOCS,
        )

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called."""
        return self._loop.is_closed()

    def close(self) -> None:
        """Close the connection and end the thread. A second call does nothing."""
        if self._loop.is_closed():
            return
        ending = asyncio.run_coroutine_threadsafe(self._end(), self._loop)
        with contextlib.suppress(Exception):
            ending.result(CLOSING)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        """Say goodbye, and leave no task behind that the closing loop would complain about."""
        if self._link is not None:
            self._link.close()
            await asyncio.sleep(0.02)
        own = asyncio.current_task()
        tasks = [task for task in asyncio.all_tasks() if task is not own]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _send(self, kind: str, content: dict[str, Any], number: str) -> None:
        header = {
            "msg_id": number, "msg_type": kind, "session": self._session, "username": "memprobe",
            "date": datetime.now(timezone.utc).isoformat(), "version": "5.3",
        }  # fmt: skip
        message = {
            "channel": "control", "header": header, "parent_header": {}, "metadata": {},
            "content": content, "buffers": [],
        }  # fmt: skip
        self._done(self._written(json.dumps(message)), SLICE * 100)

    def _done(self, work: Coroutine[Any, Any, Value], timeout: float) -> Value:
        import concurrent.futures

        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(timeout)
        except (TimeoutError, concurrent.futures.TimeoutError, asyncio.TimeoutError):
            future.cancel()
            raise self._gone("it takes no more") from None

    async def _written(self, text: str) -> None:
        from tornado.iostream import StreamClosedError
        from tornado.websocket import WebSocketClosedError

        try:
            await self._link.write_message(text)
        except (WebSocketClosedError, StreamClosedError):
            raise self._gone("the connection was closed") from None

    async def _connected(self, kernel_id: str, timeout: float) -> Any:
        from tornado.httpclient import HTTPClientError, HTTPRequest
        from tornado.websocket import websocket_connect

        server = self._server
        where = f"{server.url.rstrip('/')}/api/kernels/{kernel_id}/channels"
        secure = where.startswith("https:")
        host = where.split("/")[2].rpartition("@")[2].split(":")[0]
        request = HTTPRequest(
            "ws" + where[4:] + f"?session_id={self._session}",
            headers={"Authorization": f"token {server.token}"} if server.token else {},
            connect_timeout=timeout, request_timeout=timeout,
            follow_redirects=False,  # the token is for this server only
            ssl_options=tls(host) if secure else None,
        )  # fmt: skip
        try:
            return await websocket_connect(
                request, on_message_callback=self._heard, ping_interval=PING,
                max_message_size=LARGEST,
            )  # fmt: skip
        except HTTPClientError as error:
            raise self._refused(error.code) from None
        except OSError as error:
            raise self._gone(error.strerror or type(error).__name__) from None
        except Exception as error:  # tornado has one of its own for most things
            raise self._gone(type(error).__name__) from None

    def _heard(self, text: str | bytes | None) -> None:
        """Keep a reply to us; runs on the thread for every message, so most are not even parsed."""
        if text is None:
            self._replies.put(None)
        elif isinstance(text, str) and (self._session in text or _may_tell_fate(text)):
            self._sort(text)

    def _sort(self, text: str) -> None:
        try:
            message = json.loads(text)
            channel, parent = message["channel"], message["parent_header"]
            told = message["content"].get("execution_state")
        except (ValueError, KeyError, TypeError, AttributeError):
            return  # not a message of Jupyter's
        if channel == "control" and parent.get("session") == self._session:
            self._replies.put(message)
        elif channel == "iopub" and told in FATES:
            self.fate = FATES[told]

    def _gone(self, cause: str) -> Disconnected:
        return Disconnected(
            f"the connection to {parsed(self._server.url).shown} is gone",
            cause=cause.lower(),
            remedy="attach again when the server answers; the probe leaves by itself within 60 s",
            docs=DOCS,
        )

    def _refused(self, status: int) -> TargetError:
        from memprobe.targets.server_kernels import refused

        shown = parsed(self._server.url)
        if status == 404:
            return TargetError(
                f"the kernel is no longer on {shown.shown}",
                cause="it has ended",
                remedy=f"see what runs there: memprobe ps {shown.shown}",
                docs=DOCS,
            )
        return refused(shown, status)


def _may_tell_fate(text: str) -> bool:
    return len(text) < 4096 and any(f'"{state}"' in text for state in FATES)


def _ahead(date: Any) -> float:
    """Return how far the clock that wrote ``date`` is ahead; 0 where that is less than a message.

    A message takes its time, and servers write dates with a Z that Python 3.10 cannot read.
    """
    try:
        told = datetime.fromisoformat(str(date).replace("Z", "+00:00"))
        ahead = told.timestamp() - time.time()
    except ValueError:
        return 0.0
    return ahead if abs(ahead) > 2 else 0.0
