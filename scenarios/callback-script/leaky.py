"""Say at exit how many rows there were."""

import atexit

import numpy as np


def main() -> float:
    table = np.random.default_rng(1).random((1_000_000, 8))

    def goodbye() -> None:
        print(len(table), "rows")

    atexit.register(goodbye)
    return float(table.mean())


print(round(main(), 2))
