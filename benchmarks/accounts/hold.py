"""Builds one load, takes the account of its own process and JVM, and tells it with what it knows.

    python benchmarks/accounts/hold.py LOAD

Run by ``benchmarks/account.py`` in a process of its own for each load. The last line of the output
is JSON. ``UNAVAILABLE`` in it says why a load was not built.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import sys
import tempfile
import time
from typing import Any

from memprobe_probes import account_words, native_walker, relatives, roots
from memprobe_probes.account_context import Context
from memprobe_probes.native import Native

ROWS = 2_000_000


def numeric() -> dict[str, Any]:
    """A frame of numbers."""
    import numpy as np
    import pandas as pd

    return {"frame": pd.DataFrame(np.random.default_rng(1).random((ROWS * 2, 12)))}


def strings() -> dict[str, Any]:
    """A frame of texts as Python objects."""
    import pandas as pd

    texts = pd.Series([f"text number {n}" for n in range(ROWS)], dtype=object)
    return {"frame": pd.DataFrame({"text": texts, "n": range(ROWS)})}


def arrow() -> dict[str, Any]:
    """A pandas frame on Arrow columns, after others were let go."""
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    table = pa.table({str(n): np.random.default_rng(n).random(ROWS) for n in range(6)})
    kept = table.filter(pa.array(np.random.default_rng(9).random(ROWS) > 0.5))
    del table
    return {"frame": kept.to_pandas(types_mapper=pd.ArrowDtype), "table": kept}


def parquet() -> dict[str, Any]:
    """A table read from a Parquet file."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = os.path.join(tempfile.mkdtemp(prefix="memprobe-account-"), "table.parquet")
    columns = {str(n): np.random.default_rng(n).random(ROWS) for n in range(8)}
    pq.write_table(pa.table(columns), path)
    del columns
    table = pq.read_table(path)
    os.unlink(path)
    os.rmdir(os.path.dirname(path))
    return {"table": table}


def polars() -> dict[str, Any]:
    """A polars frame of numbers and texts."""
    import polars as pl

    frame = pl.DataFrame({"n": range(ROWS)}).with_columns(half=pl.col("n") / 2)
    return {"frame": frame.with_columns(text=pl.col("n").cast(pl.String) + " is a longer text")}


def sklearn() -> dict[str, Any]:
    """A forest of 60 trees."""
    import numpy as np
    from sklearn.ensemble import RandomForestRegressor

    values = np.random.default_rng(1).random((20_000, 10))
    return {"model": RandomForestRegressor(60, n_jobs=1).fit(values, values[:, 0])}


def figures() -> dict[str, Any]:
    """20 open figures of matplotlib that were drawn."""
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt
    import numpy as np

    for _ in range(20):
        figure = plt.figure(figsize=(12, 8))
        plt.plot(np.random.default_rng(1).random(1000))
        figure.canvas.draw()
    return {}


def torch() -> dict[str, Any]:
    """Tensors on the CPU."""
    try:
        import torch as library
    except ImportError:
        return {"UNAVAILABLE": "torch is not installed"}
    return {"tensors": [library.rand(1000, 1000) for _ in range(60)]}


def deleted() -> dict[str, Any]:
    """After a frame and many records were deleted, but for every fiftieth text of 3 KB."""
    import pandas as pd

    records = [{"a": n, "b": str(n)} for n in range(ROWS // 2)]
    frame = pd.DataFrame(records)
    large = [bytes(3000) for _ in range(60_000)]
    kept = large[::50]
    del records, frame, large
    return {"kept": kept}


def pool() -> dict[str, Any]:
    """A multiprocessing pool beside a frame."""
    workers = multiprocessing.get_context("spawn").Pool(2)
    workers.map(abs, range(100))
    return {**numeric(), "pool": workers}


def spark() -> dict[str, Any]:
    """A toPandas on a real Spark: this process and its JVM."""
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    for name in ("spark.driver.bindAddress", "spark.driver.host"):
        builder = builder.config(name, "127.0.0.1")
    session = builder.getOrCreate()
    numbers = session.range(ROWS).selectExpr("id", "id * 2 as b", "cast(id as string) as text")
    return {"frame": numbers.toPandas(), "session": session}


LOADS = {
    one.__name__: one
    for one in (numeric, strings, arrow, parquet, polars, sklearn, figures, torch, deleted, pool,
                spark)
}  # fmt: skip


def main() -> None:
    """Build the load that was named, take the account, print it."""
    held = LOADS[sys.argv[1]]()
    if "UNAVAILABLE" in held:
        print(json.dumps(held))
        return
    globals().update(held)
    walker, why = native_walker.load()
    assert walker is not None, why
    native, found = Native(walker), roots.script_roots()
    blocks, pools = sys.getallocatedblocks(), pool_bytes()
    tables = native.at_rest(found, roots.stop_ids(None), (), 60 * 10**9)
    balance = account_words.Balance(tables["account"])
    context = Context(os.getpid())
    began = time.process_time()
    others, unmeasured = context.rows("request", walker, waiting=False)
    print(json.dumps({
        "own": balance.process(os.getpid(), "driver-python"), "others": others,
        "took": balance.took_ns / 1e9, "others_took": time.process_time() - began,
        "unmeasured": balance.unmeasured() + unmeasured,
        "pool_bytes": [balance.pool_bytes, pools], "blocks": [balance.live_blocks, blocks],
        "arrow": account_words.arrow_pool()[0], "arrays": array_bytes(held),
        "rollup": rollup(),
    }))  # fmt: skip
    sys.stdout.flush()
    leave(held)


def pool_bytes() -> int | None:
    """Return the bytes in use of Python's own allocator, as it tells on its error stream."""
    with tempfile.TemporaryFile() as told:
        kept = os.dup(2)
        os.dup2(told.fileno(), 2)
        try:
            sys._debugmallocstats()
        finally:
            os.dup2(kept, 2)
            os.close(kept)
        told.seek(0)
        match = re.search(rb"bytes in allocated blocks\s*=\s*([\d,]+)", told.read())
    return int(match[1].replace(b",", b"")) if match else None


def array_bytes(held: dict[str, Any]) -> int | None:
    """Return the bytes of a frame's blocks of numbers, where it has nothing else."""
    frame = held.get("frame")
    blocks = getattr(getattr(frame, "_mgr", None), "blocks", ())
    values = [block.values for block in blocks]
    return sum(one.nbytes for one in values) if values and all(map(is_plain, values)) else None


def is_plain(values: Any) -> bool:
    """Whether it is an array of numpy's own numbers."""
    return type(values).__name__ == "ndarray" and values.dtype.kind in "fiu"


def rollup() -> int:
    """Return the resident bytes by ``smaps_rollup``."""
    with open("/proc/self/smaps_rollup", encoding="ascii") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Rss:"))


def leave(held: dict[str, Any]) -> None:
    """End what was started."""
    if "pool" in held:
        held["pool"].terminate()
        held["pool"].join()
    if "session" in held:
        jvms = [pid for pid in relatives.below(os.getpid()) if relatives.role(pid)[1]]
        held["session"].stop()
        for pid in jvms:
            os.kill(pid, 15)


if __name__ == "__main__":
    main()
