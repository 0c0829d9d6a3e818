"""MP206: what counts as idle, and what does not."""

from __future__ import annotations

from typing import Any

import pytest
from test_evidence import Cell, Held, findings, notebook

from memprobe.findings import Finding
from memprobe.recording.reader import Recording
from memprobe.recording.schema import Databricks, Spark, SparkStream

HOUR = 3600.0


def idle(seconds: float | None, held: int = 200, **fields: Any) -> Recording:
    """Return a notebook whose only cell made ``held`` MB, then nothing for ``seconds``."""
    recording = notebook(Cell("features"), held=[Held("features", held)])
    last = recording.snapshots[-1]
    last.idle, last.busy = seconds, False
    for name, value in fields.items():
        setattr(last, name, value)
    return recording


def codes(recording: Recording, **settings: Any) -> list[str]:
    return [one.code for one in findings(recording, **settings)]


def test_fires_once_for_the_whole_context_and_says_what_to_do() -> None:
    (found,) = findings(idle(2 * HOUR))
    assert (found.code, found.status) == ("MP206", "suspect")
    assert [holder.expr for holder in found.holders] == ["features"]
    assert "2 h" in found.title
    assert found.fix == "shut the kernel down, or let go of it:\ndel features"


@pytest.mark.parametrize(
    "recording",
    [idle(600.0), idle(None), idle(2 * HOUR, held=50), idle(2 * HOUR, busy=True),
     idle(2 * HOUR, awaited=["features"])],
    ids=["a moment ago", "unknown", "little", "busy", "read by a timer"],
)  # fmt: skip
def test_does_not_fire(recording: Recording) -> None:
    assert codes(recording) == []


def test_does_not_fire_while_the_process_computes_or_a_stream_runs() -> None:
    recording = idle(2 * HOUR)
    last = recording.snapshots[-1]
    first = replace_snapshot(last, t=last.t - 10**10, cpu=5.0)
    recording.snapshots.insert(0, first)
    last.cpu = 5.1
    assert codes(recording) == ["MP206"]
    last.cpu = 9.0  # 40 % of a core
    assert codes(recording) == []
    last.cpu = 5.1
    recording.spark.append(Spark(t=last.t, streams=[SparkStream(id="q", active=True)]))
    assert codes(recording) == []


def replace_snapshot(snapshot: Any, **fields: Any) -> Any:
    import msgspec

    return msgspec.structs.replace(snapshot, **fields)


def test_thresholds_are_configurable() -> None:
    assert codes(idle(600.0), idle_seconds=300.0) == ["MP206"]
    assert codes(idle(2 * HOUR), idle_bytes=10**9) == []


def _on_databricks(seconds: float, minutes: int | None) -> Finding:
    recording = idle(seconds)
    recording.header.databricks = Databricks(mode="dedicated", autotermination=minutes)
    (found,) = findings(recording)
    return found


@pytest.mark.parametrize(
    ("seconds", "minutes", "said"),
    [
        (HOUR, 120, "its cluster ends by itself only when nobody has used it for 2 h"),
        (3 * HOUR, 120, "its cluster would have ended after 2 h: others keep it running"),
        (3 * HOUR, 0, "its cluster never ends by itself"),
    ],
)
def test_on_a_cluster_says_when_that_would_end_by_itself(
    seconds: float, minutes: int, said: str
) -> None:
    found = _on_databricks(seconds, minutes)
    assert said in found.why
    assert found.fix.startswith("detach the notebook from its cluster, or let go of it:\ndel ")


def test_where_the_setting_is_unknown_nothing_is_said_of_it() -> None:
    assert "its cluster" not in _on_databricks(HOUR, None).why
