"""Say how many interrupts came until the terminal sends a line."""

import os
import signal
import sys

count = 0


def interrupted(number, frame):
    global count
    count += 1
    os.write(1, b"interrupt %d\n" % count)  # print may be interrupted in itself


signal.signal(signal.SIGINT, interrupted)
print(
    "ready",
    os.isatty(0),
    os.get_terminal_size(1).columns,
    os.getpgrp() == os.tcgetpgrp(0),
    flush=True,
)
for line in sys.stdin:
    print("line", line.strip(), "after", count, flush=True)
    if line.strip() == "end":
        break
