"""Allocate in many threads while the main thread takes signals, and let everybody finish."""

import gc
import signal
import sys
import threading

ROUNDS = 300
done = []


def allocate(number):
    for _ in range(ROUNDS):
        [[] for _ in range(500)]
        gc.collect(0)
    done.append(number)


ticks = []
signal.signal(signal.SIGALRM, lambda number, frame: ticks.append(number))
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
workers = [threading.Thread(target=allocate, args=(number,)) for number in range(8)]
sys.setswitchinterval(1e-5)
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
signal.setitimer(signal.ITIMER_REAL, 0)
print(sorted(done), len(ticks) > 10, threading.active_count())
