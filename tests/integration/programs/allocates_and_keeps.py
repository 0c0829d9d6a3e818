"""Keeps arrays that one line allocates, and rows that another does: for logs of allocations."""

import json
import os
import sys
import threading

import numpy as np

SECRET = "s3cret-value-of-the-user"
KEPT = {}


def load(count):
    return np.ones(count)  # arrays


def fill(count):
    rows = []
    for number in range(count):
        rows.append({"number": number, "text": f"{SECRET} {number}"})  # rows
    return rows


def keep(number):
    KEPT[number] = load(1_000_000)


def in_a_thread():
    global rows
    rows = fill(100_000)


thread = threading.Thread(target=in_a_thread)
thread.start()
thread.join()
child = os.fork()
if child == 0:
    fill(50_000)
    sys.exit(0)
os.waitpid(child, 0)
for number in range(6):  # last: what grew and then stood still for long does not grow
    keep(number)
print(json.dumps({"arrays": len(KEPT), "rows": len(rows)}))
if "killed" in sys.argv:
    os.kill(os.getpid(), 9)
