"""Count how many of many signals arrive, each raised as an exception in this code."""

import gc
import signal
import sys


class Alarm(Exception):
    pass


def raise_alarm(number, frame):
    raise Alarm


def allocate_until_alarm():
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.002)
        while True:
            [[] for _ in range(1000)]
            gc.collect(0)
    except Alarm:
        return 1


wanted = int(sys.argv[1])
signal.signal(signal.SIGALRM, raise_alarm)
seen = 0
for _ in range(wanted):
    seen += allocate_until_alarm()
print("seen", seen, "of", wanted)
