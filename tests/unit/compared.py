"""Both engines' groups of a made graph, and whether they are what the ledger says.

Also a program: ``python compared.py PROBES SEEDS`` compares so many graphs on the Python it runs
on, and prints those that differ.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parent), sys.argv[1]]

from object_graphs import UNNAMED, Groups, Made, random_plan

from memprobe_probes import heap, native, native_walker, roots
from memprobe_probes.roots import Root

LONG = 60_000_000_000  # ns
FOUND, REASON = native_walker.load()
NATIVE: Any = None if FOUND is None else native.Native(FOUND)

Found = dict[frozenset[str], tuple[int, int]]  # bytes and objects per set of names
Engine = Callable[[dict[str, Any]], Found]


def _roots(names: dict[str, Any]) -> list[Root]:
    return [Root("module", name, value) for name, value in names.items()]


def _stops(names: dict[str, Any]) -> set[int]:
    return roots.stop_ids() | {id(names)}


def tables_here(names: dict[str, Any]) -> dict[str, Any]:
    """Walk natively in this process."""
    found: dict[str, Any] = NATIVE.here(_roots(names), _stops(names), (), LONG)
    return found


def tables_in_a_copy(names: dict[str, Any]) -> dict[str, Any]:
    """Walk natively in a copy of this process."""
    job = NATIVE.start(_roots(names), _stops(names), (), LONG, None)
    try:
        assert job.wait(30)
        found: dict[str, Any] = job.tables(lambda: _roots(names))
        return found
    finally:
        job.close()


def tables_in_batches(names: dict[str, Any]) -> dict[str, Any]:
    """Walk in Python."""
    return heap.tables(_roots(names), _stops(names), LONG, heap.NS_PER_OBJECT)


def here(names: dict[str, Any]) -> Found:
    """Return what a native walk in this process finds."""
    return groups(tables_here(names))


def in_a_copy(names: dict[str, Any]) -> Found:
    """Return what a native walk in a copy of this process finds."""
    return groups(tables_in_a_copy(names))


def in_batches(names: dict[str, Any]) -> Found:
    """Return what a walk in Python finds."""
    return groups(tables_in_batches(names))


def groups(tables: dict[str, Any]) -> Found:
    """Return bytes and objects per set of holders, by their expressions."""
    told = {
        row["id"]: UNNAMED if row["root"] == "interpreter" else row["expr"]
        for row in tables["holders"]
    }
    return {
        frozenset(told[one] for one in group["holders"]): (group["bytes"], group["objects"])
        for group in tables["groups"]
    }


def differing(found: Found, expected: Groups) -> list[str]:
    """Return in words what is not as expected."""
    words = []
    for names in found.keys() | expected.keys():
        nbytes, objects = found.get(names, (0, 0))
        least, most, number = expected.get(names, (0, 0, 0))
        if not least <= nbytes <= most or objects != number:
            words.append(
                f"{sorted(names)}: {nbytes} bytes in {objects} objects, "
                f"not {least} to {most} in {number}"
            )
    return words


def told_in_full() -> None:
    """Let the engines tell the smallest groups too."""
    native.LEAST_GROUP = heap.LEAST_GROUP = 1


def main() -> None:
    """Compare graphs made by chance with every engine."""
    told_in_full()
    assert FOUND is not None, REASON
    gc.disable()
    for seed in range(int(sys.argv[2])):
        for engine in (here, in_a_copy, in_batches):
            plan = random_plan(seed, 3 + seed % 40)
            waits = engine is in_a_copy  # only there garbage of a few bytes is looked for
            made = Made(plan, 0) if waits else Made(plan.without_garbage(), 0)
            if not waits:
                gc.collect()
            for words in differing(engine(made.names), made.ledger.groups()):
                print(f"seed {seed}, {engine.__name__}: {words}")
            del made
    print("compared")


if __name__ == "__main__":
    main()
