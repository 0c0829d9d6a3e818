"""Grow until memory is refused, then die of a signal as if the system had killed it."""

import gc
import os
import signal
import time

hoard = []
try:
    while True:
        hoard.append([bytes(1000) for _ in range(10_000)])
        until = time.monotonic() + 0.07
        while time.monotonic() < until:
            gc.collect(0)
except MemoryError:
    os.kill(os.getpid(), signal.SIGKILL)
