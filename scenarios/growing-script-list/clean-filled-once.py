"""Fill a list once and use it all the time."""

import numpy as np
import pandas as pd

FRAMES = []


def load(number: int) -> pd.DataFrame:
    values = np.random.default_rng(number).random((100_000, 6))
    return pd.DataFrame(values, columns=list("abcdef"))


def prepare() -> None:
    for number in range(20):
        FRAMES.append(load(number))


def score(row: int) -> float:
    return sum(float(frame["a"].iloc[row]) for frame in FRAMES)


prepare()
print(round(sum(score(row) for row in range(200)), 3))
