"""A recording of a 24-hour notebook, the same one every time it is written.

    python benchmarks/day.py FILE [--hours H]

A sample a second by the probe and one by the host, 500 cells, a snapshot every five minutes with
the tables of a notebook that holds 60 frames, shows 40 outputs and has run into an error. The
shapes are those of recorded notebooks; only the numbers are made up. Longer than a probe would
write: past half of the size cap it samples less often.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SECOND = 1_000_000_000  # nanoseconds, the unit of `t`
ORIGIN = 5_000 * SECOND
HOURS = 24
CELLS_PER_DAY = 500
SNAPSHOT_EVERY = 300  # seconds
NAMES = [f"frame_{number}" for number in range(60)]
LISTS = [f"rows_{number}" for number in range(12)]
OUTPUTS = 40
TYPES = 30
MEGABYTE = 1_000_000


def main() -> int:
    """Write the file that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("file")
    parser.add_argument("--hours", type=float, default=HOURS)
    options = parser.parse_args()
    write(Path(options.file), options.hours)
    return 0


def write(path: Path, hours: float = HOURS) -> None:
    """Write the recording of ``hours`` hours to ``path``; one of 24 hours has about 65 MB."""
    with path.open("w", encoding="utf-8") as file:
        for record in records(int(hours * 3600)):
            file.write(json.dumps(record, separators=(",", ":")) + "\n")


def records(seconds: int) -> Iterator[dict[str, Any]]:
    """Yield every record in the order of time."""
    chance = random.Random(11)
    cell_every = 24 * 3600 // CELLS_PER_DAY
    rss = 400 * MEGABYTE
    yield _header()
    for second in range(seconds):
        t = ORIGIN + second * SECOND
        rss = max(300 * MEGABYTE, rss + chance.randrange(-5 * MEGABYTE, 5 * MEGABYTE + 60_000))
        cell = second // cell_every + 1
        if second % cell_every == 0:
            yield _started(t, cell, rss)
        yield _by_host(t + 1_000, rss)
        yield _by_probe(t + 2_000, second, rss)
        if second % cell_every == cell_every // 2:
            yield _ended(t + 3_000, cell, rss, second)
        if second % SNAPSHOT_EVERY == SNAPSHOT_EVERY - 1:
            yield _snapshot(t + 4_000, cell, rss, chance)
    yield {"kind": "end", "t": ORIGIN + seconds * SECOND, "reason": "detach", "peak": rss}


def _header() -> dict[str, Any]:
    return {
        "kind": "header",
        "t": ORIGIN,
        "format": 1,
        "memprobe": "0.1.0",
        "python": "3.11.7",
        "implementation": "cpython",
        "platform": "linux-x86_64",
        "context": "notebook",
        "pid": 4121,
        "start": 1_700_000_000.0,
        "program": "day.ipynb",
        "method": "kernel",
        "limits": {"effective": 32 << 30, "source": "host", "host_total": 32 << 30},
        "libraries": {"IPython": "9.0.0", "ipykernel": "7.0.0", "pandas": "3.0.0"},
        "interval": 1.0,
        "cap": 64 << 20,
    }


def _by_host(t: int, rss: int) -> dict[str, Any]:
    return {
        "kind": "sample",
        "t": t,
        "by": "host",
        "rss": rss,
        "peak": rss + MEGABYTE,
        "pss": None,
        "used": rss + 900 * MEGABYTE,
        "children": [],
        "gc": None,
        "collections": None,
        "threads": 14,
        "fds": None,
        "interval": None,
        "lengths": {},
        "cost": None,
    }


def _by_probe(t: int, second: int, rss: int) -> dict[str, Any]:
    """Return a probe's sample; every tenth one brings the lengths of what has grown."""
    sample = {
        "kind": "sample",
        "t": t,
        "by": "probe",
        "rss": rss,
        "peak": rss + MEGABYTE,
        "gc": [second % 700, second % 11, second % 10],
        "collections": [second * 3, second // 4, second // 90],
        "threads": 14,
        "interval": 1.0,
        "cost": {"cpu_ns": second * 300_000, "user_ns": second * 2_000, "bytes": second * 250},
    }
    if second % 10 == 0:
        sample["lengths"] = _lengths(second)
    return sample


def _lengths(second: int) -> dict[str, int]:
    return {name: 1_000 + second * (number + 1) for number, name in enumerate(LISTS)}


def _started(t: int, cell: int, rss: int) -> dict[str, Any]:
    """Return a cell's start; the names it binds and uses move through all there are."""
    bound, used = NAMES[cell % 60], [NAMES[(cell * 7 + at) % 60] for at in range(4)]
    return {
        "kind": "marker",
        "t": t,
        "marker": "cell",
        "phase": "start",
        "cell": cell,
        "cell_id": f"cell-{cell}",
        "rss": rss,
        "hash": f"{cell:012x}",
        "shows": cell % 12 == 0,
        "bound": {bound: 1},
        "used": used,
        "deleted": [],
        "made": {bound: used[:2]},
    }


def _ended(t: int, cell: int, rss: int, second: int) -> dict[str, Any]:
    return {
        **_started(t, cell, rss),
        "phase": "end",
        "seconds": 86.0,
        "error": "KeyError" if cell % 97 == 0 else None,
        "peak": rss + 40 * MEGABYTE,
        "peak_by": "kernel",
        "lengths": _lengths(second),
    }


def _snapshot(t: int, cell: int, rss: int, chance: random.Random) -> dict[str, Any]:
    holders = [*_frames(), *_outputs(cell), *_tracebacks(cell)]
    return {
        "kind": "snapshot",
        "t": t,
        "reason": "interval",
        "engine": "fallback",
        "rss": rss,
        "cell": cell,
        "busy": False,
        "libraries": {"numpy": "2.4.0", "pandas": "3.0.0", "pyarrow": "26.0.0"},
        "holders": holders,
        "groups": _groups(holders, chance),
        "types": _types(chance),
        "unmeasured": [],
        "objects": 180_000,
        "estimate_ns": 40_000_000,
        "pause_ns": 21_000_000,
        "took_ns": 600_000_000,
        "awaited": [],
    }


def _frames() -> list[dict[str, Any]]:
    return [
        _holder(number, "notebook-namespace", name, number) for number, name in enumerate(NAMES)
    ]


def _outputs(cell: int) -> list[dict[str, Any]]:
    """Return two holders for each of the outputs there are by now, as IPython keeps them."""
    holders = []
    for output in range(min(OUTPUTS, cell // 12)):
        shown = (output + 1) * 12
        for at, expr in enumerate((f"Out[{shown}]", f"_{shown}")):
            number = len(NAMES) + 2 * output + at
            holder = _holder(number, "ipython-output", expr, len(NAMES) + output)
            holders.append({**holder, "cell": shown})
    return holders


def _tracebacks(cell: int) -> list[dict[str, Any]]:
    if cell < 97:
        return []
    first, held = len(NAMES) + 2 * OUTPUTS, len(NAMES) + OUTPUTS
    exprs = ("sys.last_value", "sys.last_traceback", "get_ipython().InteractiveTB.tb")
    return [
        {**_holder(first + at, "traceback", expr, held), "function": "load", "line": 12}
        for at, expr in enumerate(exprs)
    ]


def _holder(number: int, root: str, expr: str, held: int) -> dict[str, Any]:
    return {
        "id": number,
        "root": root,
        "expr": expr,
        "object": held,
        "type": "pandas.DataFrame",
        "shape": [2_000_000, 6],
        "dtypes": {"float64": 5, "int64": 1},
    }


def _groups(holders: list[dict[str, Any]], chance: random.Random) -> list[dict[str, Any]]:
    """Return one group per held object, and some bytes that two neighbours share."""
    keepers: dict[int, list[int]] = {}
    for holder in holders:
        keepers.setdefault(holder["object"], []).append(holder["id"])
    sets = list(keepers.values())
    sets += [first + second for first, second in zip(sets[::4], sets[1::4], strict=False)]
    return [_group(keeping, chance.randrange(MEGABYTE, 24 * MEGABYTE)) for keeping in sets]


def _group(keeping: list[int], size: int) -> dict[str, Any]:
    edges = ("._mgr", "·", "[0]", "·", "data")
    types = ("pandas.BlockManager", "tuple", "pandas.NumpyBlock", "numpy.ndarray", "buffer")
    return {
        "holders": keeping,
        "bytes": size,
        "low": None,
        "high": None,
        "objects": 52,
        "top": "native buffer",
        "path": [{"edge": edge, "type": kind} for edge, kind in zip(edges, types, strict=True)],
        "via": [],
    }


def _types(chance: random.Random) -> list[dict[str, Any]]:
    return [
        {"type": f"library.Type{number}", "count": chance.randrange(9_000), "bytes": 1_000_000}
        for number in range(TYPES)
    ]


if __name__ == "__main__":
    sys.exit(main())
