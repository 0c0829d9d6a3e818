"""A loop of pandas groupbys, as reports are made of."""

import numpy as np
import pandas as pd


def work(rounds: int) -> float:
    rng = np.random.default_rng(2)
    sales = pd.DataFrame({"key": rng.integers(0, 1_000, 400_000), "value": rng.random(400_000)})
    total = 0.0
    for number in range(rounds):
        part = sales[sales["value"] > number % 10 / 20]
        total += float(part.groupby("key")["value"].sum().max())
    return total


if __name__ == "__main__":
    work(300)
