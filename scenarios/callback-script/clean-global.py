"""The handler names what the program works with to its end."""

import atexit

import numpy as np

TABLE = np.random.default_rng(1).random((1_000_000, 8))


def goodbye() -> None:
    print(len(TABLE), "rows")


atexit.register(goodbye)
print(round(float(TABLE.mean()), 2))
