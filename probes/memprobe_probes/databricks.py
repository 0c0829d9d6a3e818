"""Which kind of Databricks compute this process runs on, as far as it can tell by itself.

Only the environment and ``sys.modules`` are looked at: no session is asked and nothing is imported.
The host knows more (a cluster's access mode stands in its description) and passes it on.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

RUNTIME = "DATABRICKS_RUNTIME_VERSION"  # 15.4 on a cluster, client.2.5 on serverless compute
MOST = 40  # characters of what an environment says
DEDICATED, STANDARD, SERVERLESS, UNKNOWN = "dedicated", "standard", "serverless", "unknown"


def place(told: dict[str, Any] | None = None) -> dict[str, Any] | None:
    """Return ``{"runtime", "mode", "connect"}``, or None: this is not Databricks.

    ``mode`` is ``dedicated``, ``standard``, ``serverless`` or ``unknown``; ``connect``: Spark is
    another process, reached by Spark Connect. ``told`` (from the host) wins.
    """
    runtime = os.environ.get(RUNTIME)
    if runtime is None and not told:
        return None
    found = {"runtime": (runtime or "")[:MOST], "mode": _mode(runtime or ""), "connect": remote()}
    found.update({key: value for key, value in (told or {}).items() if value is not None})
    return found


def remote() -> bool:
    """Whether the Spark session of this process is one of Spark Connect."""
    if os.environ.get("SPARK_REMOTE") or os.environ.get("SPARK_CONNECT_MODE_ENABLED"):
        return True
    module = sys.modules.get("pyspark.sql.connect.session")
    session = getattr(module, "SparkSession", None)
    if session is None or classic():
        return False
    active = getattr(session, "_default_session", None)
    return active is not None


def classic() -> bool:
    """Whether there is a SparkContext with a JVM beside this process."""
    module = sys.modules.get("pyspark.core.context") or sys.modules.get("pyspark.context")
    context = getattr(module, "SparkContext", None)
    return getattr(context, "_active_spark_context", None) is not None


def _mode(runtime: str) -> str:
    """Return the access mode, where one of them is the only one that looks like this."""
    if runtime.startswith("client.") or os.environ.get("IS_SERVERLESS", "").lower() == "true":
        return SERVERLESS
    if classic():
        return DEDICATED
    return STANDARD if remote() else UNKNOWN
