"""Spark Connect: what can be known without a word to its server, and that the rest is said."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import spark_clusters
from kernels import Kernel

READER = """
from memprobe_probes.spark import SparkReader
written = []
def write(kind, **fields):
    written.append((kind, fields))
reader = SparkReader(write, 0.01, lambda: 7, get_ipython())
"""
LISTS = ("caches", "executors", "broadcasts", "blocks", "streams")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Kernel, Any]]:
    """A kernel with a session of Spark Connect, and what ends the server."""
    folder = tmp_path_factory.mktemp("connect")
    with contextlib.ExitStack() as server:
        cluster = server.enter_context(spark_clusters.connect(folder))
        with cluster.kernel(Path(folder)) as kernel:
            kernel.run(cluster.session())
            kernel.run("kept = spark.range(1000).cache(); kept.count()")
            kernel.run(READER)
            yield kernel, server.close


def test_what_is_unknown_is_said_and_is_not_empty(served: tuple[Kernel, Any]) -> None:
    kernel, _ = served
    kernel.run("reader.read('cell')")
    ((kind, fields),) = kernel.value("written")
    assert kind == "spark"
    assert (fields["mode"], fields["sessions"], fields["cell"]) == ("connect", 1, 7)
    assert all(fields.get(name) is None for name in LISTS)
    told = {one["what"]: one["why"] for one in fields["unmeasured"]}
    assert told["Spark caches"] == "unavailable over Spark Connect: they live on the server"


def test_it_is_said_once_and_when_it_is_asked(served: tuple[Kernel, Any]) -> None:
    kernel, _ = served
    kernel.run("written.clear(); reader.read('cell')")
    assert kernel.value("written") == []
    kernel.run("reader.read('exit')")
    assert kernel.value("[fields['reason'] for _, fields in written]") == ["exit"]
    kernel.run("written.clear(); another = spark.newSession(); reader.read('cell')")
    assert kernel.value("[fields['sessions'] for _, fields in written]") == [2]


def test_the_server_is_not_asked(served: tuple[Kernel, Any]) -> None:
    kernel, stop = served
    stop()
    kernel.run("written.clear(); reader.read('request')")
    assert kernel.value("[fields['mode'] for _, fields in written]") == ["connect"]


def test_a_session_that_is_closed_is_none(served: tuple[Kernel, Any]) -> None:
    kernel, _ = served
    kernel.run(
        "spark.client.close(); another.client.close(); written.clear(); reader.read('request')"
    )
    assert kernel.value("written") == []
