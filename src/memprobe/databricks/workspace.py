"""The workspace, through the official SDK with its own configuration; its errors as a user's.

Who one is comes from where every Databricks tool takes it (environment, ``~/.databrickscfg``,
``databricks auth login``, the cloud's own identity): memprobe has no option for a token and stores
none. What the SDK says is shown without anything that its configuration holds as secret.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from memprobe import __version__
from memprobe.errors import MemprobeError, TargetError, UsageError
from memprobe.targets.remote import Disconnected

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

DOCS = "databricks.md"
CLEANING = 10.0  # seconds for all waits while something is cleaned up
LONGEST = 60  # seconds that a workspace may ask us to wait (Retry-After)
RETRIES = 30  # seconds in which a request is tried again; the SDK's own default is 300
FIRST = 10  # of these, while the host says what it is: the SDK goes on without that
PATIENCE = 30  # seconds for one answer
SLICE = 0.1  # seconds between two looks at whether somebody pressed Ctrl-C
MISSING = "pip install 'memprobe-spark[databricks]'"
LOGIN = (
    "log in (databricks auth login --host https://…), or set DATABRICKS_HOST and DATABRICKS_TOKEN"
)
SECRETS = ("token", "password", "client_secret", "google_credentials", "azure_client_secret")
SHORTEST_SECRET = 6


class Waits:
    """How long the SDK may wait between two attempts, and what is looked at meanwhile."""

    def __init__(
        self, check: Callable[[], None], say: Callable[[str], None] = lambda text: None
    ) -> None:
        self.check = check
        self._say = say
        self._said = False
        self._until = float("inf")

    def sleep(self, seconds: float) -> None:
        """Sleep; ``check`` may raise to end it. Nobody makes us wait longer than ``LONGEST``."""
        now = time.monotonic()
        self._judge(sys.exc_info()[1])  # what the SDK wants to wait for, and then try again
        if seconds > LONGEST:
            raise TargetError(
                "the workspace has too many requests",
                cause=f"it asks to come again in {seconds:.0f} s",
                remedy="try again then",
                docs=DOCS,
            )
        until = min(now + seconds, self._until)
        while (left := until - time.monotonic()) > 0:
            self.check()
            time.sleep(min(left, SLICE))
        if time.monotonic() >= self._until:
            raise TimeoutError

    def _judge(self, met: BaseException | None) -> None:
        """Say once that something is tried again; where that is in vain, raise it."""
        if met is None:
            return
        if _is_nowhere(met):
            raise met
        if not self._said:
            self._said = True
            self._say("the workspace does not answer as it should; trying again …")

    @contextlib.contextmanager
    def checking(self, check: Callable[[], None], seconds: float = float("inf")) -> Iterator[None]:
        """Look at ``check`` instead while the block runs, and wait ``seconds`` in all at most."""
        former = self.check, self._until
        self.check, self._until = check, time.monotonic() + seconds
        try:
            yield
        finally:
            self.check, self._until = former

    def cleaning_up(self) -> contextlib.AbstractContextManager[None]:
        """Let no Ctrl-C end a wait in the block, but let all of them together be short."""
        return self.checking(lambda: None, CLEANING)


class Workspace:
    """A client that is logged in. ``host`` without its scheme; ``client`` is the SDK's own."""

    def __init__(self, client: WorkspaceClient, waits: Waits) -> None:
        self.client = client
        self.waits = waits
        self.host = str(client.config.host or "").partition("://")[2] or "the workspace"
        self._secrets = _secrets(client.config)

    @contextlib.contextmanager
    def asked(self, doing: str) -> Iterator[None]:
        """Turn what the SDK raises in the block into a TargetError about ``doing``."""
        try:
            yield
        except MemprobeError:
            raise
        except Exception as error:
            raise self.refused(doing, error) from None  # its traceback may show a request

    def refused(self, doing: str, error: Exception) -> TargetError:
        """Return the error that says why ``doing`` failed."""
        error = last_attempt(error)
        told = self.clean(str(error))
        if _is_unreachable(error):
            return unreachable(self.host, error)
        name = type(error).__name__
        if name == "Unauthenticated" or "invalid access token" in told.lower():
            return TargetError(
                f"{self.host} refuses the login", cause=told, remedy=LOGIN, docs=DOCS
            )
        if name == "PermissionDenied":
            return Denied(
                f"{self.host} does not allow you to {doing}",
                cause=told,
                remedy="ask the cluster's owner for “Can Attach To” on it, or a workspace admin",
                docs=DOCS,
            )
        return TargetError(
            f"cannot {doing} on {self.host}",
            cause=told or name,
            remedy="try again; if it stays, look at the cluster's page in the workspace",
            docs=DOCS,
        )

    def clean(self, text: str) -> str:
        """Return what the SDK said: one line, without its configuration and without secrets."""
        text = " ".join(text.split(" Config: ")[0].split())
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


class Denied(TargetError):
    """The workspace knows who we are, and that we may not."""


def connect(
    check: Callable[[], None] = lambda: None, say: Callable[[str], None] = lambda text: None
) -> Workspace:
    """Return the workspace that the SDK's configuration means.

    ``check`` is called while the SDK waits between two attempts, and may raise; ``say`` tells the
    user that something is tried again. Raises UsageError
    where the SDK is not installed or not configured, TargetError where the host cannot be reached.
    """
    sdk = _sdk()
    logging.getLogger("databricks.sdk").addHandler(logging.NullHandler())  # we tell it ourselves
    waits = Waits(check, say)
    try:
        config = sdk.core.Config(
            product="memprobe", product_version=__version__, clock=_clock(sdk, waits),
            retry_timeout_seconds=min(FIRST, RETRIES), http_timeout_seconds=PATIENCE,
        )  # fmt: skip
        config.retry_timeout_seconds = RETRIES
        return Workspace(sdk.WorkspaceClient(config=config), waits)
    except MemprobeError:
        raise
    except Exception as error:
        raise _not_configured(error) from None


def unreachable(host: str, error: Exception) -> Disconnected:
    """Return the error for a host that does not answer."""
    nowhere = "there is no host of that name"
    return Disconnected(
        f"cannot reach {host}",
        cause=nowhere if _is_nowhere(error) else f"no answer, though asked for up to {RETRIES} s",
        remedy="check the address and your network (VPN, proxy, IP access list)",
        docs=DOCS,
    )


def _sdk() -> Any:
    try:
        import databricks.sdk.clock
        import databricks.sdk.core
    except ImportError as error:
        raise UsageError(
            "databricks: needs the Databricks SDK",
            cause=f"it cannot be imported: {error.msg}",
            remedy=MISSING,
            docs=DOCS,
        ) from None
    return databricks.sdk


def _clock(sdk: Any, waits: Waits) -> Any:
    class Clock(sdk.clock.Clock):  # type: ignore[misc]
        def time(self) -> float:
            return time.time()

        def sleep(self, seconds: float) -> None:
            waits.sleep(seconds)

    return Clock()


def _not_configured(error: Exception) -> MemprobeError:
    if _is_unreachable(error):
        return unreachable("the workspace", error)
    told = " ".join(str(error).split("Config: ")[0].split()).rstrip(". ")
    return UsageError(
        "no Databricks workspace is configured, or its configuration is incomplete",
        cause=told or type(error).__name__,
        remedy=LOGIN,
        docs=DOCS,
    )


def last_attempt(error: Exception) -> Exception:
    """Return what the last attempt met, where the SDK, or we, say only that there were many."""
    met = error.__cause__ or error.__context__
    return met if isinstance(error, TimeoutError) and isinstance(met, Exception) else error


def _is_unreachable(error: BaseException | None) -> bool:
    """Whether nobody answered: the SDK wraps that, and requests has many classes for it."""
    while error is not None:
        if isinstance(error, (ConnectionError, TimeoutError)):
            return True
        if type(error).__name__ in ("ConnectionError", "ConnectTimeout", "ReadTimeout", "SSLError"):
            return True
        error = error.__cause__
    return False


def _is_nowhere(error: BaseException) -> bool:
    """Whether the host's name leads nowhere: trying again would not help."""
    return "NameResolutionError" in repr(error) or "Name or service not known" in repr(error)


def _secrets(config: Any) -> list[str]:
    found = []
    for name in SECRETS:
        value = getattr(config, name, None)
        if isinstance(value, str) and len(value) >= SHORTEST_SECRET:
            found.append(value)
    return found
