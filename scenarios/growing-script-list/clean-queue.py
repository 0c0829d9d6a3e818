"""A queue that is filled and drained."""

from collections import deque

import numpy as np
import pandas as pd

_WAITING = deque()


def load(number: int) -> pd.DataFrame:
    values = np.random.default_rng(number).random((100_000, 6))
    return pd.DataFrame(values, columns=list("abcdef"))


def work() -> float:
    return float(_WAITING.popleft()["a"].mean())


total = 0.0
for number in range(30):
    _WAITING.append(load(number))
    if number % 3 == 2:
        total += work() + work()
print(round(total, 3), len(_WAITING))
