"""Write the batch away whenever it is full."""

import numpy as np
import pandas as pd

_BATCH = []
WRITTEN = 0


def load(number: int) -> pd.DataFrame:
    values = np.random.default_rng(number).random((100_000, 6))
    return pd.DataFrame(values, columns=list("abcdef"))


def handle(number: int) -> None:
    global WRITTEN
    _BATCH.append(load(number))
    if len(_BATCH) >= 8:
        WRITTEN += len(_BATCH)
        _BATCH.clear()


for number in range(30):
    handle(number)
print(WRITTEN)
