"""A notebook with 200 cached plans and 500 DataFrame variables under memprobe: what it costs."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

from machine import load
from sparks.fixes import spark

PLANS, FRAMES, CELLS, IDLE = 200, 500, 60, 90
LONGEST = 1800
BUILD = f"""
from pyspark.sql import SparkSession, functions as F
spark = SparkSession.builder.appName("scale").getOrCreate()
base = spark.range(0, 1000, 1, 1)
for number in range({PLANS}):
    globals()[f"cached_{{number}}"] = base.select((F.col("id") + number).alias("x")).cache()
"""
WATCH = """
import json, time
_spent, _trigger = [], get_ipython().events.trigger
def _timed(event, *words, **named):
    begin = time.perf_counter()
    _trigger(event, *words, **named)
    if event == "post_run_cell":
        _spent.append((time.perf_counter() - begin) * 1000)
get_ipython().events.trigger = _timed
"""
FILL = f"""
for number in range({PLANS}):
    globals()[f"cached_{{number}}"].count()
"""
DERIVE = f"""
for number in range({FRAMES - PLANS}):
    globals()[f"derived_{{number}}"] = globals()[f"cached_{{number % {PLANS}}}"].filter("x > 1")
"""
IDLE_CELL = f"import time\ntime.sleep({IDLE})"
# A second apart, as somebody works: the cells of a script in one go share a reading.
CELL = """
derived_{number} = cached_{number}.filter('x > 2')
cached_{number}.limit(1).count()
time.sleep(1)
"""
SAY = "open('spent.json', 'w').write(json.dumps(_spent))"
FIRST = 5  # the number of the first of those cells


def measured() -> dict[str, Any]:
    """Run the notebook; return what its recording tells of the readings of Spark."""
    work = [CELL.format(number=number) for number in range(CELLS)]
    sources = [BUILD, FILL, DERIVE, WATCH, *work, IDLE_CELL, SAY]
    cells = [new_code_cell(source) for source in sources]
    busy = load()
    with tempfile.TemporaryDirectory() as folder, spark.marked(spark.environment()) as environment:
        program, recording = Path(folder, "scale.ipynb"), Path(folder, "scale.memprobe")
        nbformat.write(new_notebook(cells=cells), program)
        line = [sys.executable, "-m", "memprobe", "run", "-q", "-o", str(recording), str(program)]
        done = subprocess.run(
            line, cwd=folder, env=environment, capture_output=True, text=True, timeout=LONGEST
        )
        if done.returncode:
            raise RuntimeError(done.stderr[-500:])
        lines = [json.loads(text) for text in recording.read_text(encoding="utf-8").splitlines()]
        spent = json.loads(Path(folder, "spent.json").read_text(encoding="utf-8"))
    # The first end that was timed is that of the cell that began to time them.
    return {**told(lines), "end_ms": spent[1 : CELLS + 1], "load": busy}


def told(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the readings after the notebook was built, and the sampler's share while it slept."""
    readings = [one for one in lines if one["kind"] == "spark" and one.get("caches")]
    whole = [one for one in readings if len(one["caches"]) >= PLANS]
    after = [one for one in whole if (one.get("cell") or 0) >= FIRST]
    ends = [one for one in after if one["reason"] == "cell"]
    return {
        "caches": max((len(one["caches"]) for one in readings), default=0),
        "known": sum(cache.get("known", True) for cache in whole[-1]["caches"]) if whole else 0,
        "user_ms": [one["user_ns"] / 1e6 for one in ends if one.get("user_ns") is not None],
        "took_ms": [one["took_ns"] / 1e6 for one in after if one.get("took_ns") is not None],
        **_idle(lines),
    }


def _idle(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the CPU share of the probe within the cell that only slept, and its interval."""
    marks = [one for one in lines if one["kind"] == "marker" and one.get("cell") == CELLS + FIRST]
    begin = min((one["t"] for one in marks), default=0)
    end = max((one["t"] for one in marks), default=0)
    samples = [one for one in lines if one["kind"] == "sample" and begin <= one["t"] <= end]
    samples = [one for one in samples if one.get("cost")]
    if len(samples) < 3:
        return {"share": None, "interval": None}
    first, last = samples[0], samples[-1]
    spent = last["cost"]["cpu_ns"] - first["cost"]["cpu_ns"]
    return {
        "share": spent / (last["t"] - first["t"]),
        "interval": (last["t"] - first["t"]) / 1e9 / (len(samples) - 1),
    }
