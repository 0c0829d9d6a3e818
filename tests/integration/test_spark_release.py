"""``memprobe release`` of what Spark stores: exactly the named entries, and all of their bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import spark_clusters
from kernels import Kernel

from memprobe.config import Config
from memprobe.findings import Finding
from memprobe.targets import release
from memprobe.targets.interrupts import Interrupts
from memprobe.targets.kernel import AttachOptions

MB = 10**6
ROWS = "spark.range({rows}).selectExpr('id', 'rand() as price').cache()"


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    folder = tmp_path_factory.mktemp("spark")
    cluster = spark_clusters.local(folder)
    with cluster.kernel(folder) as running:
        running.run(cluster.session())
        yield running


def test_spark_lets_go_of_the_named_entries_and_of_nothing_else(
    kernel: Kernel, tmp_path: Path
) -> None:
    kernel.run(f"lost = {ROWS.format(rows=4_500_000)}\nlost.count();")
    kernel.run("del lost")
    kernel.run(f"stale = {ROWS.format(rows=4_800_000)}\nstale.count();")
    kernel.run(f"used = {ROWS.format(rows=5_100_000)}\nused.count();")
    kernel.run(
        "import numpy\nweights = spark.sparkContext.broadcast(numpy.random.rand(2_000_000))\n"
        "spark.sparkContext.parallelize(range(2), 1)"
        ".map(lambda n: float(weights.value[n])).sum();"
    )
    for number in range(6):
        kernel.run(f"step = {number}\nused.first();")
    options = AttachOptions(output=tmp_path / "look.memprobe", max_pause=5.0, timeout=120.0)
    with (
        Interrupts() as interrupts,
        release.look(kernel.connection_file, kernel.pid, options, Config(), interrupts) as found,
    ):
        wanted = [one for one in found.report.findings if one.code in ("MP401", "MP402", "MP404")]
        by_code: dict[str, Finding] = {one.code: one for one in wanted}
        assert set(by_code) == {"MP401", "MP402", "MP404"}
        assert all(one.release for one in wanted)
        assert [cut.says for cut in by_code["MP402"].cuts] == ["stale.unpersist()"]
        assert by_code["MP401"].cuts[0].says.endswith("].unpersist()")
        assert by_code["MP404"].cuts[0].says == "weights.destroy()"
        answer = release.release(found, wanted)
    assert [row["state"] for row in answer["findings"]] == ["done"] * 3, answer
    stored = answer["places"]["executors"]
    assert stored["after"] == 0
    assert stored["before"] == sum(one.reclaim.bytes for one in wanted)
    heap = answer["places"]["driver-jvm"]  # Spark's records of the entries, some MB, go with them
    assert heap["before"] - heap["after"] == pytest.approx(stored["before"], rel=0.15)
    assert kernel.value("[one.is_cached for one in (used, stale)]") == [True, False]
    left = "spark.sparkContext._jsc.sc().getRDDStorageInfo()"
    assert kernel.value(f"len({left})") == 1
    assert kernel.value("used.count()") == 5_100_000
