"""Tells the bytes in its account that libraries have behind objects: for test_account_real.py.

python behind.py native|derived|plain
"""

import gc
import io
import json
import sys

from memprobe_probes import account_words, native_walker, roots
from memprobe_probes.native import Native


class Derived(io.BufferedReader):
    """Written in Python; its base's memory is its base's own."""

    __slots__ = ()


class Plain:
    """Written in Python, with nothing of any library."""

    __slots__ = ("first", "second")


def behind():
    """Return the bytes of the bucket."""
    tables = Native(walker).at_rest(roots.script_roots(), roots.stop_ids(None), (), 10**10)
    return account_words.Balance(tables["account"]).buckets.get("native-objects", 0)


def filled(kind):
    """Return a reader whose buffer of 100,000 bytes has been written to."""
    reader = kind(zeros, 100_000)
    reader.peek()
    return reader


walker, why = native_walker.load()
assert walker is not None, why
zeros = io.FileIO("/dev/zero")
before = behind()
if sys.argv[1] == "plain":
    kept = [Plain() for _ in range(200_000)]
else:
    kind = {"native": io.BufferedReader, "derived": Derived}[sys.argv[1]]
    kept = [filled(kind) for _ in range(400)]
gc.collect()
print(json.dumps(behind() - before))
