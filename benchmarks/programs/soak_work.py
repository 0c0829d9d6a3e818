"""What goes on in a kernel while snapshots are taken: each kind of work checks its own results.

Run in a kernel: ``start(names)`` starts a thread per kind, ``told()`` says what each has done.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import threading
import time
import traceback
import zlib
from collections.abc import Callable, Iterator
from typing import Any

ROWS = 100_000
REST = 0.002  # seconds after each piece: all kinds of work go on, and none of them starves another


class Work:
    """One thread that does a piece of work again and again, each of which says if it was right."""

    def __init__(self, name: str, pieces: Callable[[], Iterator[bool]]) -> None:
        self.name = name
        self.done = 0
        self.wrong = 0
        self.trouble = ""
        self.longest = 0.0  # seconds of one piece
        self._pieces = pieces
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def told(self) -> dict[str, Any]:
        """Return what it has done so far."""
        alive = self._thread.is_alive()
        return {"done": self.done, "wrong": self.wrong, "trouble": self.trouble, "alive": alive,
                "longest": self.longest}  # fmt: skip

    def _run(self) -> None:
        began = time.monotonic()
        try:
            for right in self._pieces():
                if stopping.is_set():
                    return
                self.done += 1
                self.wrong += not right
                self.longest = max(self.longest, time.monotonic() - began)
                time.sleep(REST)
                began = time.monotonic()
        except BaseException:
            seconds = time.monotonic() - began
            self.trouble = f"{traceback.format_exc()} after {seconds:.1f} s"


works: list[Work] = []
stopping = threading.Event()


def start(namespace: dict[str, Any], *, spark: bool) -> list[str]:
    """Fill the namespace with data that stands still, start the work; return what is left out."""
    hold(namespace)
    left_out = []
    kinds: dict[str, Callable[[], Iterator[bool]]] = {
        "BLAS": blas, "memory": memory, "compression": compression, "ticker": ticker,
    }  # fmt: skip
    for name, kind, needed in (("Arrow", arrow, "pyarrow"), ("gRPC", grpc, "grpc")):
        if has(needed):
            kinds[name] = kind
        else:
            left_out.append(f"{name}: {needed} is not installed")
    if spark and has("pyspark") and shutil.which("java"):
        kinds["Spark"] = spark_jobs(namespace)
    else:
        left_out.append("Spark: not asked for, or no pyspark, or no Java")
    works.extend(Work(name, kind) for name, kind in kinds.items())
    return left_out


def told() -> dict[str, dict[str, Any]]:
    """Return what each kind of work has done."""
    return {work.name: work.told() for work in works}


def has(module: str) -> bool:
    """Whether a module can be imported."""
    try:
        __import__(module)
    except ImportError:
        return False
    return True


def hold(namespace: dict[str, Any]) -> None:
    """Data that nobody changes: every snapshot must say the same of it."""
    import numpy

    namespace["held_rows"] = [{"id": n, "name": f"row {n}"} for n in range(ROWS)]
    namespace["held_array"] = numpy.ones(5_000_000)
    namespace["held_texts"] = {f"key {n}": f"text number {n}" for n in range(ROWS)}


def blas() -> Iterator[bool]:
    """Products of matrices: OpenBLAS has threads of its own."""
    import numpy

    left = numpy.random.default_rng(1).random((300, 300))
    expected = left @ left
    while True:
        yield bool(numpy.array_equal(left @ left, expected))


def memory() -> Iterator[bool]:
    """Blocks of every size, asked for and given back."""
    chance = random.Random(2)
    kept: list[bytearray] = []
    while True:
        kept.append(bytearray(chance.choice((30, 3000, 300_000, 3_000_000))))
        kept[-1][-1] = 7
        if len(kept) > 30:
            kept.pop(chance.randrange(len(kept)))
        yield all(one[-1] == 7 for one in kept)


def compression() -> Iterator[bool]:
    """C code that has let go of the interpreter and asks for memory meanwhile."""
    text = bytes(random.Random(3).randrange(64) for _ in range(300_000))
    while True:
        yield zlib.decompress(zlib.compress(text, 1)) == text


def ticker() -> Iterator[bool]:
    """A thread that wakes up every millisecond: its longest piece is the longest pause."""
    while True:
        time.sleep(0.001)
        yield True


def arrow() -> Iterator[bool]:
    """Columns written to a file and read back by Arrow's own threads."""
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.table({"number": range(ROWS), "text": [f"row {n}" for n in range(ROWS)]})
    folder = tempfile.mkdtemp(prefix="memprobe-soak-")
    try:
        path = os.path.join(folder, "table.parquet")
        parquet.write_table(table, path)
        while not stopping.is_set():
            yield parquet.read_table(path, use_threads=True).equals(table)
    finally:
        shutil.rmtree(folder)


def grpc() -> Iterator[bool]:
    """Calls over a channel, to a server in the same process."""
    from concurrent import futures

    import grpc

    def double(request: bytes, _: Any) -> bytes:
        return request * 2

    handlers = {"Double": grpc.unary_unary_rpc_method_handler(double)}
    server = grpc.server(futures.ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("Soak", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary("/Soak/Double")
        while not stopping.is_set():
            yield call(b"x" * 5000, timeout=60) == b"x" * 10_000
    server.stop(None)


def spark_jobs(namespace: dict[str, Any]) -> Callable[[], Iterator[bool]]:
    """Start a session in the namespace; return the jobs: an aggregate, and rows through Arrow."""
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[1]").config("spark.driver.memory", "1g")
    builder = builder.config("spark.ui.enabled", "false")
    builder = builder.config("spark.sql.execution.arrow.pyspark.enabled", "true")
    session = namespace["spark"] = builder.getOrCreate()
    session.sparkContext.setLogLevel("OFF")

    def jobs() -> Iterator[bool]:
        numbers = session.range(ROWS)
        expected = ROWS * (ROWS - 1) // 2
        while True:
            yield numbers.selectExpr("sum(id) AS total").first()["total"] == expected
            if has("pandas"):
                yield int(numbers.selectExpr("id * 2 AS twice").toPandas()["twice"].sum()) == (
                    2 * expected
                )

    return jobs
