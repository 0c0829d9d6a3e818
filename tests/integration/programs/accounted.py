"""Holds data of several libraries and tells its own account: for test_account_real.py."""

import json
import os
import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

from memprobe_probes import account_words, native_walker, roots
from memprobe_probes.native import Native

values = np.random.default_rng(1).random(5_000_000)
texts = pd.Series([f"text {n}" for n in range(200_000)], dtype=object)
column = pa.array(np.arange(2_000_000)).filter(pa.array(np.ones(2_000_000, dtype=bool)))
frame = pl.select(pl.int_range(2_000_000).alias("n"))
gone = [bytes(3000) for _ in range(20_000)]
kept = gone[::50]
del gone

walker, why = native_walker.load()
assert walker is not None, why
before = sys.getrefcount(values), len(os.listdir("/proc/self/fd"))
tables = Native(walker).at_rest(roots.script_roots(), roots.stop_ids(None), (), 10**10)
inside = account_words.Balance(tables["account"])
print(json.dumps({
    "rss": inside.rss, "buckets": inside.buckets, "blocks": inside.live_blocks,
    "trimmable": inside.trimmable, "unmeasured": inside.unmeasured(),
    "python_blocks": sys.getallocatedblocks(), "nbytes": values.nbytes,
    "arrow": pa.total_allocated_bytes(), "polars": frame.estimated_size(),
    "unchanged": before == (sys.getrefcount(values), len(os.listdir("/proc/self/fd"))),
}), flush=True)  # fmt: skip
sys.stdin.readline()  # the test reads from outside meanwhile
