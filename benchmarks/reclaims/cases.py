"""The notebooks whose memory is let go of: each a few cells, and the rule that finds it."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

STEPS = tuple(f"step = {n}" for n in range(6))  # cells that use none of it: what was made is stale


@dataclass(frozen=True)
class Case:
    """One notebook. ``code``: the rule whose findings are released; ``fails``: cells that raise."""

    name: str
    cells: tuple[str, ...]
    code: str
    needs: tuple[str, ...] = ("numpy",)
    fails: tuple[int, ...] = ()
    refused: bool = False  # it must say so, and name the line to type
    spark: bool = False

    def missing(self) -> str:
        """Return a package that is not installed here, or nothing."""
        return next((one for one in self.needs if importlib.util.find_spec(one) is None), "")


FRAME = "import numpy, pandas"
ALLOCATE = "import numpy"
CASES = (
    Case("numeric frame", (FRAME, "df = pandas.DataFrame(numpy.random.rand(1_000_000, 12))"),
         "MP202", ("pandas",)),
    Case("frame of strings as objects",
         (FRAME, "df = pandas.DataFrame({'a': pandas.Series([f'order {n:09}' for n in "
          "range(800_000)], dtype=object)})"), "MP202", ("pandas",)),
    Case("frame of Arrow strings",
         (FRAME, "df = pandas.DataFrame({'a': pandas.Series([f'order {n:09}' for n in "
          "range(3_000_000)], dtype='string[pyarrow]')})"), "MP202", ("pandas", "pyarrow")),
    Case("Arrow table",
         ("import numpy, pyarrow", "table = pyarrow.table({f'c{n}': numpy.random.rand(1_000_000) "
          "for n in range(10)}).combine_chunks()\ntable = pyarrow.concat_tables([table, table])"
          ".combine_chunks()"), "MP202", ("pyarrow",)),
    Case("frame read from Parquet",
         ("import numpy, os, tempfile, pandas",
          "path = tempfile.mktemp()\n"
          "pandas.DataFrame(numpy.random.rand(1_000_000, 10).round(3)).rename(columns=str)"
          ".to_parquet(path)",
          "df = pandas.read_parquet(path)\nos.unlink(path)"), "MP202", ("pandas", "pyarrow")),
    Case("array and a view of it",
         (ALLOCATE, "rows = numpy.random.rand(10_000_000)\nview = rows[:10]"), "MP202"),
    Case("views of views",
         (ALLOCATE, "whole = numpy.random.rand(10_000_000)\nhalf = whole[::2]\n"
          "few = half[10:20].reshape(2, 5)\ndel whole"), "MP202"),
    Case("displayed frame, in all its places",
         (FRAME, "pandas.DataFrame(numpy.random.rand(800_000, 10))"), "MP201", ("pandas",)),
    Case("traceback of a failed cell",
         (ALLOCATE, "def load():\n    rows = numpy.random.rand(10_000_000)\n"
          "    raise ValueError\nload()"), "MP104", fails=(1,)),
    Case("exceptions that were kept",
         (ALLOCATE, "errors = []\ndef load():\n    rows = numpy.random.rand(2_000_000)\n"
          "    raise ValueError\nfor n in range(5):\n    try:\n        load()\n"
          "    except ValueError as error:\n        errors.append(error)"), "MP104"),
    Case("list of dicts",
         ("rows = [{'id': n, 'name': f'name {n}', 'price': n / 7} for n in range(300_000)]",),
         "MP202", ()),
    Case("dict with holes",
         ("prices = {n: f'price {n}' for n in range(1_200_000)}",
          "for n in range(0, 1_200_000, 2): del prices[n]"), "MP202", ()),
    Case("set of tuples", ("seen = {(n, f'{n}') for n in range(400_000)}",), "MP202", ()),
    Case("bytes of many sizes",
         ("blobs = [b'x' * (100 + n * 37 % 90_000) for n in range(2_000)]",), "MP202", ()),
    Case("strings among strings that stay",
         ("words = [f'word {n:020}' for n in range(1_000_000)]\n"
          "kept = words[:300_000:50]", "len(kept);"), "MP202", ()),
    Case("forest of sklearn",
         ("import numpy\nfrom sklearn.ensemble import RandomForestClassifier",
          "numpy.random.seed(1)\nfeatures = numpy.random.rand(20_000, 8)\n"
          "forest = RandomForestClassifier(60, n_jobs=1).fit(features, "
          "(numpy.random.rand(20_000) * 3).astype(int))\ndel features"), "MP202", ("sklearn",)),
    Case("figures",
         ("import matplotlib\nmatplotlib.use('agg')\nimport matplotlib.pyplot as plt\n"
          "import numpy\nplt.plot([1]); plt.gcf().canvas.draw(); plt.close('all')",
          "for n in range(12):\n    fig, ax = plt.subplots(figsize=(12, 9))\n"
          "    ax.plot(numpy.random.rand(1000).cumsum())\n    fig.canvas.draw()"), "MP205",
         ("matplotlib",)),
    Case("figures of noise",
         ("import matplotlib\nmatplotlib.use('agg')\nimport matplotlib.pyplot as plt\n"
          "import numpy\nplt.plot([1]); plt.gcf().canvas.draw(); plt.close('all')",
          "for n in range(12):\n    fig, ax = plt.subplots(figsize=(12, 9))\n"
          "    ax.plot(numpy.random.rand(1000))\n    fig.canvas.draw()"), "MP205",
         ("matplotlib",)),
    Case("dict of frames",
         (FRAME, "frames = {n: pandas.DataFrame(numpy.random.rand(100_000, 10)) "
          "for n in range(10)}"), "MP202", ("pandas",)),
    Case("chain of frames",
         (FRAME, "df = pandas.DataFrame(numpy.random.rand(500_000, 8))\n"
          "df2 = df.assign(**{'8': 1.0})\ndf3 = df2 * 2\ndf_clean = df3.fillna(0)"),
         "MP202", ("pandas",)),
    Case("frame in a closure",
         (FRAME, "def make():\n    held = pandas.DataFrame(numpy.random.rand(800_000, 10))\n"
          "    return lambda: held.shape\nshape = make()"), "MP202", ("pandas",)),
    Case("attributes of an object",
         (ALLOCATE, "class Store: pass\nstore = Store()\n"
          "store.a = numpy.random.rand(4_000_000)\nstore.b = {'c': numpy.random.rand(4_000_000)}"),
         "MP202"),
    Case("class attribute that grows",
         (ALLOCATE, "class Log:\n    rows = []",
          *("Log.rows.append(numpy.random.rand(2_000_000))",) * 5), "MP101"),
    Case("list that grows",
         (ALLOCATE, "frames = []", *("frames.append(numpy.random.rand(2_000_000))",) * 5), "MP101"),
    Case("lru_cache",
         (ALLOCATE, "import functools\n@functools.lru_cache(maxsize=None)\n"
          "def rows(n):\n    return numpy.random.rand(1_000_000)",
          "for n in range(10): rows(n)"), "MP102"),
    Case("hook of IPython's events",
         (ALLOCATE, "def watch(rows):\n    def compare(result): len(rows)\n"
          "    get_ipython().events.register('post_run_cell', compare)\n"
          "watch(numpy.random.rand(10_000_000))"), "MP105"),
    Case("cycles with the collector off",
         (ALLOCATE, "import gc\ngc.disable()\n"
          "class Node: pass\nfor n in range(10):\n    node = Node()\n    node.own = node\n"
          "    node.rows = numpy.random.rand(1_000_000)"), "MP103"),
    Case("frame of polars",
         ("import numpy, polars", "df = polars.DataFrame({f'c{n}': numpy.random.rand(1_000_000) "
          "for n in range(10)}) * 1"), "MP202", ("polars",)),
    Case("tensors of torch",
         ("import torch", "tensors = [torch.rand(1_000_000) for n in range(10)]"), "MP202",
         ("torch",)),
    Case("generator half way",
         (ALLOCATE, "def batches():\n    rows = numpy.random.rand(10_000_000)\n"
          "    yield rows[:5]\n    yield rows[5:]\nleft = batches()\nfirst = next(left).copy()"),
         "MP106"),
    Case("coroutine that waits",
         (ALLOCATE, "import asyncio\nasync def job():\n    rows = numpy.random.rand(10_000_000)\n"
          "    await asyncio.sleep(0)\n    return rows\nleft = job()\nleft.send(None)"),
         "MP106", refused=True),
    Case("cached DataFrame of Spark",
         ("from pyspark.sql import SparkSession\nspark = SparkSession.builder.getOrCreate()",
          "orders = spark.range(6_000_000).selectExpr('id', 'rand() as price').cache()\n"
          "orders.count()",), "MP402", ("pyspark",), spark=True),
    Case("broadcast of Spark",
         ("import numpy\nfrom pyspark.sql import SparkSession\n"
          "spark = SparkSession.builder.getOrCreate()",
          "weights = spark.sparkContext.broadcast(numpy.random.rand(4_000_000))\n"
          "spark.sparkContext.parallelize(range(4), 2).map(lambda n: float(weights.value[n]))"
          ".sum()"), "MP404", ("pyspark",), spark=True),
)  # fmt: skip
