"""A context of our own beside the notebooks: code goes in, one answer comes out, always destroyed.

The Command Execution API runs text in a new Python process on the driver and gives back what that
has printed, possibly cut, coloured, or with something printed in between. So an answer is framed
and counted, and fetched in smaller pieces where it did not come through whole.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import re
import secrets
import time
import zlib
from importlib import resources
from typing import Any

from memprobe.databricks import clusters
from memprobe.databricks.workspace import Workspace, last_attempt
from memprobe.errors import MemprobeError, TargetError
from memprobe.targets.remote import Disconnected, Unanswered

DOCS = "databricks.md"
LEASE = 180.0  # seconds of silence after which the context's process ends by itself
LARGEST = 200_000  # signs of one command; what is longer goes in several
PIECE = 1_000_000  # signs of an answer in one piece, until that turns out to be too much
SMALLEST = 500
FIRST_LOOK, LONGEST_LOOK = 0.05, 1.0  # seconds between two looks at a command
GRACE = 10.0  # seconds that a command may take longer than what it was asked to do
MODULE = "_memprobe_on_driver"
FRAME = re.compile(r"\{memprobe (\w+) (\d+) (\d+) (\d+):([A-Za-z0-9+/=]*):memprobe\}")
NOISE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|<[^>]{1,200}>")  # colours, and the HTML of a summary
GONE = ("contextnotfound", "context not found", "contextidnotfound", "execution context")


class ContextLost(Disconnected):
    """The side context is not there any more, but another may be made."""


class SideContext:
    """One execution context; what the workspace checks while it waits may end every wait here."""

    def __init__(
        self, workspace: Workspace, cluster_id: str, timeout: float, lease: float = LEASE
    ) -> None:
        self.workspace = workspace
        self.cluster_id = cluster_id
        self._api = workspace.client.command_execution
        self._timeout = timeout
        self._piece = PIECE
        self._context = ""
        try:
            self._create()
            self._run(_arrival(lease), timeout)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> SideContext:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def call(self, errand: str, seconds: float = 0.0, **arguments: Any) -> Any:
        """Run one of ``on_driver``'s errands, which may take ``seconds``; return its answer.

        Raises ContextLost where the context is gone, TargetError for everything else.
        """
        packed = zlib.compress(json.dumps([errand, arguments]).encode(), 9)
        text = base64.b64encode(packed).decode()
        limit = self._timeout + seconds
        number = secrets.token_hex(8)
        while len(text) > LARGEST:
            self._run(f"{MODULE}.receive({number!r}, {text[:LARGEST]!r})", limit)
            text = text[LARGEST:]
        said = self._run(f"print({MODULE}.run({number!r}, {text!r}, {self._piece}))", limit)
        answer = json.loads(zlib.decompress(base64.b64decode(self._whole(number, said))))
        if not answer["ok"]:
            raise TargetError(
                "the driver's side failed",
                cause=str(answer["error"]),
                remedy="try again",
                docs=DOCS,
            )
        return answer["result"]

    @property
    def identity(self) -> str:
        """The context's id; empty after its end."""
        return self._context

    def run(self, code: str) -> str:
        """Run any code in the context and return what it has printed, as it came."""
        return self._run(code, self._timeout)

    def close(self) -> None:
        """Destroy the context. A second call does nothing."""
        context, self._context = self._context, ""
        if not context:
            return
        # Whatever goes wrong: without us its process ends when the lease has run out.
        with contextlib.suppress(Exception), self.workspace.waits.cleaning_up():
            self._api.destroy(self.cluster_id, context)

    def _create(self) -> None:
        from databricks.sdk.service.compute import Language

        with self._asked():
            made = self._api.create(cluster_id=self.cluster_id, language=Language.PYTHON)
            self._context = str(made.context_id)
        deadline, pause = time.monotonic() + self._timeout, FIRST_LOOK
        while (status := self._status()) != "Running":
            if status == "Error":
                raise self._broken("it ended in status Error")
            if time.monotonic() >= deadline:
                raise self._broken(f"it did not start within {self._timeout:.0f} s")
            pause = self._pause(pause)

    def _status(self) -> str:
        with self._asked():
            status = self._api.context_status(self.cluster_id, self._context).status
        return str(getattr(status, "value", status))

    def _whole(self, number: str, said: str) -> str:
        """Return an answer's text, asking for what did not come through, in smaller pieces."""
        text = ""
        while True:
            found = next((one for one in FRAME.finditer(said) if one[1] == number), None)
            if found and int(found[2]) == len(text) and len(found[5]) == int(found[3]):
                text += found[5]
                if len(text) >= int(found[4]):
                    return text
            elif self._piece > SMALLEST:
                self._piece = max(SMALLEST, self._piece // 4)
            else:
                raise TargetError(
                    "the cluster's answer did not come through",
                    cause="its output is cut or changed on the way",
                    remedy="try again; if it stays, report it",
                    docs=DOCS,
                )
            ask = f"print({MODULE}.piece({number!r}, {len(text)}, {self._piece}))"
            said = self._run(ask, self._timeout)

    def _run(self, code: str, timeout: float) -> str:
        """Run code in the context and return what it has printed."""
        from databricks.sdk.service.compute import Language

        if not self._context:
            raise ContextLost("the side context was closed")
        with self._asked():
            started = self._api.execute(
                cluster_id=self.cluster_id, context_id=self._context, language=Language.PYTHON,
                command=code,
            )  # fmt: skip
        command = str(started.command_id)
        try:
            return self._printed(self._finished(command, timeout + GRACE))
        except (KeyboardInterrupt, Unanswered):
            with contextlib.suppress(Exception), self.workspace.waits.cleaning_up():
                self._api.cancel(
                    cluster_id=self.cluster_id, context_id=self._context, command_id=command
                )
            raise

    def _finished(self, command: str, timeout: float) -> Any:
        """Wait for a command's end and return its results."""
        deadline, pause = time.monotonic() + timeout, FIRST_LOOK
        while True:
            with self._asked():
                told = self._api.command_status(self.cluster_id, self._context, command)
            status = str(getattr(told.status, "value", told.status))
            if status == "Finished":
                return told.results
            if status in ("Error", "Cancelled"):
                raise self._ended(told.results, status)
            if time.monotonic() >= deadline:
                raise self._late(timeout)
            pause = self._pause(pause)

    def _printed(self, results: Any) -> str:
        kind = str(getattr(results.result_type, "value", results.result_type)) if results else ""
        if kind == "error":
            raise TargetError(
                "the code that looks around on the driver failed",
                cause=_plain(results.summary or results.cause or "no reason was given"),
                remedy="report it with the cluster's runtime version",
                docs=DOCS,
            )
        return str(results.data or "") if results else ""

    def _ended(self, results: Any, status: str) -> TargetError:
        why = _plain(getattr(results, "cause", None) or getattr(results, "summary", None) or "")
        return ContextLost(
            "the side context's Python has ended",
            cause=why or f"its command ended in status {status}",
            remedy="try again",
            docs=DOCS,
        )

    def _asked(self) -> contextlib.AbstractContextManager[None]:
        return _Asked(self)

    def lost(self, error: Exception) -> TargetError:
        """Return what an error of the API means: the context, the cluster, or only a request."""
        error = last_attempt(error)
        told = str(error).lower()
        if any(words in told for words in GONE):
            self._context = ""  # nothing is left to destroy
            return ContextLost(
                "the side context is gone",
                cause="the driver evicts idle contexts when it has too many, and loses all on a "
                "restart",
                remedy="try again",
                docs=DOCS,
            )
        if "clusternotready" in told.replace(" ", ""):
            with contextlib.suppress(MemprobeError):
                cluster = clusters.by_id(self.workspace, self.cluster_id)
                if cluster.state not in clusters.RUNNING:
                    self._context = ""
                    return clusters.not_running(cluster)
        return self.workspace.refused("run code in a side context", error)

    def _late(self, timeout: float) -> Unanswered:
        return Unanswered(
            "the side context does not answer",
            cause=f"a command in it did not end within {timeout:.0f} s: the driver is overloaded",
            remedy="try again, or wait longer: --timeout 120",
            docs=DOCS,
        )

    def _broken(self, why: str) -> TargetError:
        return TargetError(
            "no side context could be used on the cluster",
            cause=why,
            remedy="try again, or wait longer: --timeout 120",
            docs=DOCS,
        )

    def _pause(self, pause: float) -> float:
        self.workspace.waits.check()
        self.workspace.waits.sleep(pause)
        return min(pause * 1.6, LONGEST_LOOK)


class _Asked(contextlib.AbstractContextManager[None]):
    """What the API raises in this block becomes an error about the side context."""

    def __init__(self, context: SideContext) -> None:
        self._context = context

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, Exception) and not isinstance(error, MemprobeError):
            raise self._context.lost(error) from None


def _plain(text: str) -> str:
    return " ".join(NOISE.sub("", text).split())[:500]


@functools.lru_cache(maxsize=1)
def _source() -> str:
    text = resources.files("memprobe.databricks").joinpath("on_driver.py").read_text("utf-8")
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def _arrival(lease: float) -> str:
    """Return what makes ``on_driver`` a module there, once, in no file."""
    return f"""
import base64, sys, types, zlib
{MODULE} = sys.modules[{MODULE!r}] = types.ModuleType({MODULE!r})
exec(compile(zlib.decompress(base64.b64decode({_source()!r})), "<memprobe>", "exec"),
     {MODULE}.__dict__)
{MODULE}.keep_watch({lease!r})
"""
