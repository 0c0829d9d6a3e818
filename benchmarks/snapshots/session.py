"""The heap of a notebook in use: pandas, scikit-learn, matplotlib and Spark, with data in each.

Run in a kernel, in its namespace. Whatever a library builds for itself is there as in any session;
bytes are known only for the names whose data is plain buffers and texts.
"""

from __future__ import annotations

import os
import shutil
from typing import Any

from snapshots.heaps import Truth, total

ROWS = 200_000
COLUMNS = 40
COLLECTED = 50_000


def build(namespace: dict[str, Any]) -> Truth:
    """Fill the namespace as the cells of a notebook would."""
    truth = Truth(0)
    _frames(namespace, truth)
    _model(namespace)
    _figure(namespace)
    _spark(namespace, truth)
    truth.exclusive["readings"] += _labels(namespace["readings"])
    return truth


def _frames(namespace: dict[str, Any], truth: Truth) -> None:
    import numpy
    import pandas

    random = numpy.random.default_rng(4)
    readings = pandas.DataFrame(random.random((ROWS, COLUMNS)))
    texts = [f"customer {number:08d}" for number in range(ROWS)]
    namespace["readings"] = readings
    namespace["customers"] = pandas.Series(texts, dtype=object)
    namespace["totals"] = readings.groupby(numpy.arange(ROWS) % 1000).sum()
    namespace["view"] = readings[readings[0] > 0.5]
    kept = int((readings[0] > 0.5).sum())
    # A selection keeps the labels of its rows as well.
    truth.exclusive["readings"] = ROWS * COLUMNS * 8
    truth.exclusive["view"] = kept * COLUMNS * 8 + kept * 8
    truth.exclusive["customers"] = total(texts) + ROWS * 8


def _labels(frame: Any) -> int:
    """Return the bytes of a frame's numbers, which are written out when somebody draws it."""
    import numpy

    return sum(one.nbytes for one in frame.index._cache.values() if isinstance(one, numpy.ndarray))


def _model(namespace: dict[str, Any]) -> None:
    from sklearn.ensemble import RandomForestRegressor

    readings = namespace["readings"].iloc[:4000]
    model = RandomForestRegressor(n_estimators=20, n_jobs=1, random_state=4)
    namespace["model"] = model.fit(readings, readings[0] + readings[1])


def _figure(namespace: dict[str, Any]) -> None:
    from matplotlib import pyplot

    figure, axes = pyplot.subplots()
    axes.plot(namespace["readings"][1])
    namespace["figure"] = figure


def _spark(namespace: dict[str, Any], truth: Truth) -> None:
    """Start a session, with rows and a frame collected from it."""
    if shutil.which("java") is None:
        truth.said.append("no Spark session: there is no Java here")
        return
    try:
        from pyspark.sql import SparkSession

        # The driver's own address: a machine without a network resolves no name.
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        quiet = {"spark.ui.enabled": "false", "spark.driver.memory": "1g"}
        builder = SparkSession.builder.master("local[1]").appName("session")
        for key, value in quiet.items():
            builder = builder.config(key, value)
        spark = builder.getOrCreate()
        namespace["spark"] = spark
        namespace["sold"] = spark.range(COLLECTED).selectExpr("id", "id * 2 AS twice")
        namespace["rows"] = namespace["sold"].collect()
        namespace["sold_frame"] = namespace["sold"].toPandas()
    except Exception as error:
        truth.said.append(f"no Spark session: {type(error).__name__}")
