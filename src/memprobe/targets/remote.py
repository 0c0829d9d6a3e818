"""A kernel on another machine as its transport sees it: somebody to ask over its control channel.

A transport is a ``Remote``: a Jupyter Server's kernel, a notebook on a Databricks driver. What
attaches to one asks it through a ``Line``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from memprobe.errors import TargetError


class Disconnected(TargetError):
    """The connection to the kernel is gone; another one may be made."""


class Unanswered(TargetError):
    """The kernel has not answered in time."""


class Line(Protocol):
    """One connection to a kernel's control channel."""

    fate: str | None  # the reason of the end, where the other side says that the kernel has ended
    kernel_session: str  # changes with each process of the kernel
    ahead: float  # seconds that the kernel's clock is ahead of ours

    def ask(
        self, kind: str, content: dict[str, Any], timeout: float, check: Callable[[], None]
    ) -> dict[str, Any]:
        """Send a control request and return the content of its reply.

        ``check`` is called now and then, and may raise to end the wait. Raises Unanswered after
        ``timeout`` seconds, and Disconnected.
        """

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called."""

    def close(self) -> None:
        """Close the connection. A second call does nothing."""


class Remote(Protocol):
    """One kernel that is reached through something else than files of this machine."""

    @property
    def method(self) -> str:
        """How it is entered, as ``entering.SAID`` knows it."""

    @property
    def label(self) -> str:
        """The notebook's name, for messages."""

    @property
    def place(self) -> dict[str, Any]:
        """What the probe is told of where it is, as keys of its configuration."""

    def connect(self, timeout: float, check: Callable[[], None]) -> Line:
        """Return a new connection. ``check`` may raise to end the wait. Raises TargetError."""

    def is_gone(self) -> bool:
        """Whether the kernel has certainly ended."""

    def refuse_unwatched(self) -> None:
        """Raise TargetError where connecting would take from the user what others keep for him."""
