"""For programs that a test starts: snapshots by the native walker, and what they leave behind."""

import contextlib
import gc
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "probes"))

from memprobe_probes import engines, native, native_walker, roots
from memprobe_probes.walk import TooLong

WALL = 0x40000000  # also children without an exit signal
LONG = 10_000_000_000  # ns
assert native_walker.load()[0] is not None, native_walker.load()[1]


class Taker:
    """Takes snapshots of this program as a probe does."""

    def __init__(self, seconds=20):
        native.SECONDS = seconds
        self.engines = engines.Engines({})

    def take(self, manner=engines.AWAITED):
        """Return what a snapshot's record would say, in short."""
        try:
            tables = self.engines.take(roots.script_roots, roots.stop_ids(), (), LONG, manner, None)
        except (TooLong, engines.Unsafe) as why:
            tables = {"skipped": str(why)}
        return self.told(tables)

    def collect(self, seconds=30):
        """Wait for a snapshot that was begun and return it."""
        assert self.engines.job.wait(seconds)
        return self.told(self.engines.collect(roots.script_roots))

    def told(self, tables):
        """Return engine, note, and bytes per holder that has something for itself."""
        told = {"engine": self.engines.engine, "note": self.engines.note}
        if tables is None:
            return {**told, "skipped": "on its way"} if self.engines.job else told
        if "skipped" in tables:
            return {**told, "skipped": tables["skipped"]}
        expr = {row["id"]: row["expr"] for row in tables["holders"]}
        alone = [group for group in tables["groups"] if len(group["holders"]) == 1]
        told["bytes"] = {expr[group["holders"][0]]: group["bytes"] for group in alone}
        return told


def children():
    """Return the pids of this process's children, zombies among them."""
    found = set()
    for task in os.listdir("/proc/self/task"):
        with (
            contextlib.suppress(FileNotFoundError, ProcessLookupError),  # a thread that just ended
            open(f"/proc/self/task/{task}/children") as file,
        ):
            found.update(map(int, file.read().split()))
    return sorted(found)


def descriptors():
    """Return what this process has open, by number."""
    found = {}
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # that of the folder itself
            found[int(number)] = os.readlink(f"/proc/self/fd/{number}")
    return found


class Traces:
    """What could be left behind: compare at the end with what was there at the begin."""

    def __init__(self):
        gc.collect()
        self.before = self._now()

    def left(self):
        """Return in words what is different now."""
        gc.collect()
        now = self._now()
        return [f"{name}: {self.before[name]} -> {now[name]}" for name in now
                if now[name] != self.before[name]]  # fmt: skip

    def _now(self):
        return {
            "children": children(), "descriptors": descriptors(),
            "threads": len(os.listdir("/proc/self/task")), "modules": sorted(sys.modules),
            "gc": (gc.isenabled(), gc.get_threshold(), gc.get_debug(), len(gc.callbacks)),
        }  # fmt: skip


class References:
    """Reference counts of everything below an object, as far as the collector tells of it."""

    MOST = 20_000

    def __init__(self, start):
        self.objects = gc.get_referents(start)
        seen = {id(start), *map(id, self.objects)}  # of itself the caller has some
        for one in self.objects:
            if len(self.objects) > self.MOST:
                break
            for below in gc.get_referents(one):
                if id(below) not in seen and type(below) is not type(os):
                    seen.add(id(below))
                    self.objects.append(below)
        below = one = None
        self.counts = self._now()

    def changed(self):
        """Return the classes of the objects with another number of references."""
        now = self._now()
        return [type(one).__name__ for one, old, new in zip(self.objects, self.counts, now)
                if old != new and type(one) not in SHARED]  # fmt: skip

    def _now(self):
        return list(map(sys.getrefcount, self.objects))


# Everybody's: of these the interpreter itself makes and drops references all the time; of our own
# code too, which is reached from here.
SHARED = (type(None), bool, int, str, type, type(NotImplemented), type(children),
          type(children.__code__))  # fmt: skip
