"""What Databricks' kinds of compute do not let a process see of what its work uses."""

from __future__ import annotations

from collections.abc import Iterator

from memprobe.findings import NotMeasured
from memprobe.recording.schema import Databricks

SPARK = "Spark caches, broadcasts and executors"
JVM = "the driver's JVM"
SERVERLESS = "serverless compute keeps Spark apart; only this process can be measured"
STANDARD = "in standard access mode Spark is another process, reached by Spark Connect"
CONNECT = "Spark is another process here, reached by Spark Connect"


def gaps(place: Databricks | None, *, spark_was_read: bool) -> Iterator[NotMeasured]:
    """Yield what could not be seen there; what a reading of Spark misses it tells itself."""
    if place is None:
        return
    why = why_spark_is_apart(place)
    if why is not None and not spark_was_read:
        yield NotMeasured(what=SPARK, why=why)
        yield NotMeasured(what=JVM, why=why)
    if place.mode in ("standard", "serverless"):
        yield NotMeasured(
            what="other processes on the same machine",
            why=f"{place.mode} compute keeps its users apart",
        )


def why_spark_is_apart(place: Databricks | None) -> str | None:
    """Return why Spark's own memory cannot be read from there; None: it can, or it is unknown."""
    if place is None:
        return None
    if place.mode == "serverless":
        return SERVERLESS
    if place.mode == "standard":
        return STANDARD
    return CONNECT if place.connect else None
