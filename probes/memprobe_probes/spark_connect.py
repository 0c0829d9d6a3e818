"""A reading of Spark Connect: there is no JVM in reach, and so next to nothing to be read.

Whatever the server could tell would go over the program's own channel and in its own session.
So the server is not asked, and what that leaves unknown is said, line by line.
"""

from __future__ import annotations

import sys

from . import sizes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from .roots import Root

MODULE = "pyspark.sql.connect.session"
_ON_THE_SERVER = "unavailable over Spark Connect: they live on the server"
_NOT_ASKED = "unavailable over Spark Connect: the server is not asked over the program's channel"
_UNMEASURED = (
    ("Spark caches", _ON_THE_SERVER),
    ("which names reach a Spark cache", _NOT_ASKED),
    ("Spark executors", _ON_THE_SERVER),
    ("stored blocks and broadcasts", _ON_THE_SERVER),
    ("streaming queries", _NOT_ASKED),
    ("the driver's JVM", "unavailable over Spark Connect: it is the server's"),
    ("Spark's version", _NOT_ASKED),
)


def session_class() -> type | None:
    """Return Spark Connect's class of sessions, where the program has loaded it."""
    module = sys.modules.get(MODULE)
    found = vars(module).get("SparkSession") if module is not None else None
    return found if isinstance(found, type) else None


def alive(roots: Iterable[Root] = ()) -> int:
    """Return how many sessions are open: the default one, and those that a root is.

    One that only a container or an object's attribute holds is not seen.
    """
    cls = session_class()
    if cls is None:
        return 0
    default = sizes.class_namespace(cls).get("_default_session")
    found = [default, *(root.obj for root in roots)]
    return len({id(one) for one in found if type(one) is cls and _is_open(one)})


def read(cell: int | None, roots: Iterable[Root]) -> dict[str, Any] | None:
    """Return the fields of a reading in mode ``connect``; None where no session is open."""
    sessions = alive(roots)
    if not sessions:
        return None
    told = [{"what": what, "why": why} for what, why in _UNMEASURED]
    return {
        "mode": "connect",
        "cell": cell,
        "sessions": sessions,
        "shared": True,
        "unmeasured": told,
    }


def _is_open(session: Any) -> bool:
    client = (sizes.instance_dict(session) or {}).get("_client")
    return (sizes.instance_dict(client) or {}).get("_closed") is not True
