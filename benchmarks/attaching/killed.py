"""memprobe is killed (``kill -9``) in the middle of its requests: is the target as before?"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from attaching import cells, rounds
from attaching.target import Target
from machine import load

KINDS = ("malloc-heavy with threads", "blocked in recv", "busy loop")
LONGEST = 0.15  # seconds that one lives
AFTER = 3.0  # seconds of requests by one that is not killed

CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from attaching import rounds
from memprobe.targets.pending.bootstrap_text import bootstrap_text
pid, number = int(sys.argv[1]), 0
told = rounds.Acknowledgements(Path(sys.argv[2]))
injector = rounds.entrance(pid, Path(sys.argv[2]))
print("go", flush=True)
while True:
    number += 1
    injector.run(bootstrap_text(pid, told.work(number)), lambda: told.seen(number), 30)
"""


def piece(name: str, python: str, kind: str, seconds: float) -> dict[str, Any]:
    """Kill one after the other for so long; then make requests, and look at the output."""
    kind_of_it = f"{kind}, memprobe killed at random"
    found: dict[str, Any] = {"interpreter": name, "kind": kind_of_it, "load": load()}
    found.update(deaths=0, hangs=0, wrong=0, kills=0)
    with tempfile.TemporaryDirectory(prefix="memprobe-attach-") as folder:
        target = Target(python, kind, Path(folder))
        try:
            until = time.monotonic() + seconds
            while time.monotonic() < until and target.alive():
                _kill_one(target.pid, Path(folder))
                found["kills"] += 1
            after = time.monotonic() + AFTER
            found.update(rounds.requests(target.pid, after, cells.MOST, Path(folder)))
            cells.judge(found, target)
        finally:
            target.kill()
    return found


def _kill_one(pid: int, folder: Path) -> None:
    here = str(Path(__file__).resolve().parents[1])
    # What a killed one leaves stays as long as the target, as it does for users.
    own = tempfile.mkdtemp(dir=folder)
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(pid), own, here], stdout=subprocess.PIPE
    ) as one:
        assert one.stdout is not None
        one.stdout.readline()
        time.sleep(random.uniform(0, LONGEST))
        one.kill()
