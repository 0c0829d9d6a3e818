"""A program of one kind, whose every output is known beforehand: ``work.py KIND``.

Step ``n`` does what its kind does and has to come out as ``str(n)``; the digest of all steps so far
is printed now and then, so that one wrong, missing or repeated step shows. It ends when its
standard input does. Any CPython from 3.10 on; no package.
"""

import asyncio
import ctypes
import hashlib
import importlib
import os
import select
import socket
import subprocess
import sys
import threading
import time

PAUSE = 0.02  # seconds of a wait
EVERY = 0.05  # seconds between two lines


def malloc(n):
    keep = [bytes(size % 7000) for size in range(300)]
    return str(n if len(keep) == 300 else -1)


def busy(n):
    total = 0
    for one in range(3000):
        total += one
    return str(n if total == 4498500 else -1)


def recv(n):
    TICKS.append(n)
    WAKE.set()
    return PAIR[0].recv(100).decode()


def _ticks():
    while True:
        WAKE.wait()
        WAKE.clear()
        while TICKS:
            time.sleep(PAUSE)
            PAIR[1].send(str(TICKS.pop(0)).encode())


def sleeping(n):
    time.sleep(PAUSE)
    return str(n)


def loop(n):
    async def one(part):
        await asyncio.sleep(0.002 * part)
        return part

    async def all_of_them():
        return await asyncio.gather(*(one(part) for part in range(5)))

    return str(n if LOOP.run_until_complete(all_of_them()) == [0, 1, 2, 3, 4] else -1)


def children(n):
    done = subprocess.run(["/bin/echo", str(n)], capture_output=True, check=True)
    return done.stdout.decode().strip()


def forking(n):
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, str(n).encode())
        os._exit(n % 200)
    os.close(write)
    said = os.read(read, 100).decode()
    os.close(read)
    _, status = os.waitpid(child, 0)
    return said if os.WEXITSTATUS(status) == n % 200 else "-1"


def importing(n):
    for name in ("textwrap", "colorsys", "fractions", "calendar"):
        sys.modules.pop(name, None)
        importlib.import_module(name)
    return str(n)


def holding(n):
    HELD.usleep(int(PAUSE * 1e6))  # through PyDLL: the GIL is kept meanwhile
    return str(n)


def spark(n):
    return str(n if SESSION.range(n % 100 + 1).count() == n % 100 + 1 else -1)


SPARK = "live Spark driver"
KINDS = {
    "malloc-heavy with threads": malloc, "busy loop": busy, "blocked in recv": recv,
    "sleeping": sleeping, "asyncio": loop, "spawning subprocesses": children,
    "forking": forking, "importing": importing, "C code that holds the GIL": holding,
}  # fmt: skip


def allocate():
    while not STOP.is_set():
        keep = [bytearray(size * 37 % 9000) for size in range(200)]
        del keep


def main(kind):
    global PAIR, TICKS, WAKE, LOOP, HELD, STOP
    PAIR, TICKS, WAKE, STOP = socket.socketpair(), [], threading.Event(), threading.Event()
    LOOP, HELD = asyncio.new_event_loop(), ctypes.PyDLL(None)
    if kind == SPARK:
        _start_spark()
    if kind == "blocked in recv":
        threading.Thread(target=_ticks, daemon=True).start()
    if kind == "malloc-heavy with threads":
        for _ in range(2):
            threading.Thread(target=allocate).start()
    step = spark if kind == SPARK else KINDS[kind]
    digest, n, told = b"", 0, time.monotonic()
    while True:
        digest = hashlib.sha256(digest + step(n).encode()).digest()
        n += 1
        if time.monotonic() > told + EVERY:
            told = time.monotonic()
            print(n, digest.hex(), flush=True)
            if select.select([0], [], [], 0)[0]:
                break
    STOP.set()
    if kind == SPARK:
        SESSION.stop()


def _start_spark():
    global SESSION
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    SESSION = builder.config("spark.driver.bindAddress", "127.0.0.1").getOrCreate()


if __name__ == "__main__":
    main(sys.argv[1])
