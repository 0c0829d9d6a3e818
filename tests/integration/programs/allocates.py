"""Hold something large and wait for a line on standard input, collecting all the time."""

import gc
import select
import sys


class Ledger:
    entries = tuple(bytes(1000) + bytes([n % 256]) for n in range(60_000))


ledger_lines = [str(n) * 30 for n in range(200_000)]
print("ready", flush=True)
while not select.select([sys.stdin], [], [], 0.01)[0]:
    gc.collect(0)
print("told", sys.stdin.readline().strip(), flush=True)
