# ruff: noqa: E501 - cells of notebooks keep their own lines
"""The ETL that is measured: cells of a notebook, and the tables that it reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SIZES = {"small": 300_000, "medium": 1_200_000, "large": 4_800_000}  # rows of the events
KEYS = 10_000
SESSION = """\
import os, sys, warnings
warnings.simplefilter("ignore")
os.environ["PYSPARK_PYTHON"] = sys.executable
from pyspark.sql import SparkSession, functions as F
builder = SparkSession.builder.appName("etl").master("local[2]")
for name, value in {settings!r}.items():
    builder = builder.config(name, value)
spark = builder.getOrCreate()
spark.sparkContext.setLogLevel("OFF")"""
CELLS = (
    'events = spark.read.format("{form}").load("{tables}/events")\n'
    'names = spark.read.format("{form}").load("{tables}/names")',
    'large = events.filter("column_x > 100")',
    'joined = large.join(names, "key")',
    'sums = joined.groupBy("column_y").agg(F.sum("column_z").alias("total"))',
    'sums.write.format("{form}").mode("overwrite").save("{tables}/sums")',
    'result = spark.read.format("{form}").load("{tables}/sums").orderBy("column_y").collect()\n'
    "result",
    "print(len(result), sum(row.total for row in result))",
)
MAKE = """\
import numpy as np
rows = {rows}
events = spark.range(rows).select(
    (F.col("id") % {keys}).alias("key"), (F.rand(1) * 1000).alias("column_x"),
    (F.rand(2) * 50).cast("int").alias("column_y"), F.rand(3).alias("column_z"))
events.write.format("{form}").mode("overwrite").save("{tables}/events")
names = spark.range({keys}).select(F.col("id").alias("key"), F.concat(F.lit("k"), "id").alias("name"))
names.write.format("{form}").mode("overwrite").save("{tables}/names")
spark.stop()
"""
BASE = {
    "spark.driver.memory": "2g",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.shuffle.partitions": "4",
}
DELTA = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}


def session(settings: dict[str, str]) -> str:
    """Return the cell that makes the session."""
    return SESSION.format(settings={**BASE, **settings})


def cells(settings: dict[str, str], form: str, tables: Path) -> list[str]:
    """Return the cells of the ETL over the tables in a folder; ``form``: delta or parquet."""
    return [session(settings), *(one.format(form=form, tables=tables) for one in CELLS)]


def maker(settings: dict[str, str], form: str, tables: Path, rows: int) -> str:
    """Return the program that writes the tables."""
    text = MAKE.format(rows=rows, keys=KEYS, form=form, tables=tables)
    return f"{session(settings)}\n{text}"


def write_notebook(path: Path, sources: list[str]) -> None:
    """Write a notebook of code cells."""
    import nbformat

    make: Any = nbformat.v4
    cells = [make.new_code_cell(one, id=f"cell-{at}") for at, one in enumerate(sources, 1)]
    nbformat.write(make.new_notebook(cells=cells), path)
