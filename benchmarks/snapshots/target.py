"""The process that is measured: builds a heap, lets a tool look at it time and again, tells.

    python target.py HEAP TOOL OUTPUT [--times N]

In a notebook's kernel ``measure`` is called from a cell. One JSON object per line goes to OUTPUT,
a line as soon as it is known: what was measured stays, however the process ends.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from snapshots import heaps, memory, tools, waits

SLOW = 8.0  # seconds: a tool that takes longer is not asked again and again
SETTLED = 0.3  # seconds between two takes


def measure(heap: str, tool: str, output: str, times: int, namespace: dict[str, Any]) -> None:
    """Build the heap into the namespace, and measure."""
    tell = _teller(output)
    start = time.perf_counter()
    truth = heaps.build(heap, namespace)
    built = {"built": time.perf_counter() - start, "rss": memory.rollup()["Rss"]}
    tell("truth", **asdict(truth), **built)
    gc.collect()
    tell("load", load=os.getloadavg()[0])
    one = tools.TOOLS[tool](namespace)
    names = one.names = sorted(truth.exclusive)
    tell("ready", rss=memory.rollup()["Rss"])
    _takes(one, names, times, tell)
    tell("load", load=os.getloadavg()[0])
    tell("end")


def _takes(tool: tools.Tool, names: list[str], times: int, tell: Callable[..., None]) -> None:
    first = waits.beside_a_ticker(tool.take)
    _told(first, tell, "first")
    slow = first.seconds > SLOW
    tell("seen", **asdict(tool.read(first.answer, names)))
    del first
    for _ in range(0 if slow else times):
        _once(tool, tell, waits.beside_a_ticker, "ticker")
    for _ in range(1 if slow else times):
        _once(tool, tell, waits.beside_a_loop, "loop")
    for step in (_watched, _beside_a_twin):
        _pause()
        try:
            step(tool, tell)
        except tools.Failed as error:
            tell("failed", why=str(error))


def _once(
    tool: tools.Tool,
    tell: Callable[..., None],
    beside: Callable[[Callable[[], Any]], waits.Waited],
    kind: str,
) -> None:
    """Do one take; one that failed, as where a copy got too little time, is told and left out."""
    _pause()
    try:
        waited = beside(tool.take)
    except tools.Failed as error:
        tell("failed", why=str(error))
        return
    _told(waited, tell, kind)
    tell("details", **tool.read(waited.answer, []).details)


def _told(waited: waits.Waited, tell: Callable[..., None], kind: str) -> None:
    tell(kind, seconds=waited.seconds, gap=waited.gap, lost=waited.lost)


def _watched(tool: tools.Tool, tell: Callable[..., None]) -> None:
    """Measure memory from outside; the times of this take are not used: looking costs as well."""
    before = memory.rollup()
    with memory.Watched() as watched:
        waits.beside_a_ticker(tool.take)
    after = memory.rollup()
    kept = after["Private_Dirty"] - before["Private_Dirty"]
    tell("memory", **watched.seen, kept=kept)


def _beside_a_twin(tool: tools.Tool, tell: Callable[..., None]) -> None:
    """Measure what the target writes: pages that it no longer shares with a fork that sleeps."""
    twin = os.fork()
    if twin == 0:
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32))
        os.kill(os.getpid(), signal.SIGSTOP)
        os._exit(0)
    try:
        os.waitpid(twin, os.WUNTRACED)
        idle = memory.rollup()["Private_Dirty"]
        waits.beside_a_ticker(lambda: time.sleep(0.2))
        before = memory.rollup()["Private_Dirty"]
        waits.beside_a_ticker(tool.take)
        after = memory.rollup()["Private_Dirty"]
        tell("written", bytes=after - before, idle=before - idle)
    finally:
        os.kill(twin, signal.SIGKILL)
        os.waitpid(twin, 0)


def _pause() -> None:
    gc.collect()
    time.sleep(SETTLED)


def _teller(output: str) -> Callable[..., None]:
    def tell(kind: str, **fields: Any) -> None:
        with open(output, "a", encoding="utf-8") as lines:
            lines.write(json.dumps({"kind": kind, **fields}) + "\n")

    return tell


def _main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("heap")
    parser.add_argument("tool")
    parser.add_argument("output")
    parser.add_argument("--times", type=int, default=5)
    options = parser.parse_args()
    measure(options.heap, options.tool, options.output, options.times, globals())


if __name__ == "__main__":
    _main()
