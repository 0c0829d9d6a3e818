"""Fill memory, slowly enough for the collector to run, until somebody ends this."""

import time


def fill():
    chunks = []
    while True:
        chunks.append(b"x" * 4_000_000)
        rows = [[number] for number in range(3000)]
        time.sleep(0.01)
        del rows


fill()
