"""Run a command and print what it took, as JSON: CPU seconds, peak resident bytes, how it ended.

    python -S -E meter.py SECONDS COMMAND...

A small process of its own: the peak that the kernel tells of a process begins with the size of
the one that started it, and the benchmark's own is larger than some of the measured programs.
"""

import json
import os
import subprocess
import sys
import time


def main() -> None:
    """Run the command for at most so many seconds and print its cost; ``status`` None: killed."""
    process = subprocess.Popen(sys.argv[2:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline, killed = time.monotonic() + float(sys.argv[1]), False
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        if time.monotonic() > deadline and not killed:
            process.kill()
            killed = True
        time.sleep(0.02)
    process.returncode = os.waitstatus_to_exitcode(status)
    print(
        json.dumps(
            {
                "cpu": usage.ru_utime + usage.ru_stime,
                "peak": usage.ru_maxrss * 1024,
                "status": None if killed else process.returncode,
            }
        )
    )


if __name__ == "__main__":
    main()
