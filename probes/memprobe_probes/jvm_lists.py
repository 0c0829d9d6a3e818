"""Many calls to the JVM in one go, and the elements of its collections."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from .jvm_wire import Gateway, Handle


def asked(gateway: Gateway, wanted: Iterable[tuple[Any, ...]]) -> list[Any]:
    """Return the answers of many calls, each (target, method, *args); raises what one threw."""
    answers = gateway.calls(wanted)
    for one in answers:
        if isinstance(one, Exception):
            raise one
    return answers


def of_seq(gateway: Gateway, seq: Handle, most: int) -> list[Any]:
    """Return at most ``most`` elements of a Scala ``Seq``."""
    size = min(gateway.call(seq, "size"), most)
    return asked(gateway, ((seq, "apply", index) for index in range(size)))


def of_list(gateway: Gateway, found: Handle, most: int) -> list[Any]:
    """Return at most ``most`` elements of a ``java.util.List``."""
    size = min(gateway.call(found, "size"), most)
    return asked(gateway, ((found, "get", index) for index in range(size)))
