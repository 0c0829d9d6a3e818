"""Starts a helper, uses it and forgets it."""

import subprocess
import sys
import time

HELPER = """
import sys, time
rows = bytearray(120_000_000)
rows[:] = b"x" * len(rows)
print("ready", flush=True)
time.sleep(30)
"""


def main() -> None:
    """Start the helper and do some work."""
    helper = subprocess.Popen(
        [sys.executable, "-c", HELPER], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert helper.stdout is not None
    print(helper.stdout.readline())
    time.sleep(4)


if __name__ == "__main__":
    main()
