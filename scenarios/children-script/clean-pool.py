"""Leaves a pool to the interpreter, which ends it."""

import multiprocessing
import time


def work(number: int) -> int:
    """Do nothing much."""
    return len(bytearray(b"x" * 30_000_000)) + number


if __name__ == "__main__":
    pool = multiprocessing.Pool(2)
    print(sum(pool.map(work, range(8))))
    time.sleep(3)
