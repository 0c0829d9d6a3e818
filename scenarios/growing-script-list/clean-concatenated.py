"""Collect the results of a loop and put them together at the end."""

import numpy as np
import pandas as pd

results = []


def load(number: int) -> pd.DataFrame:
    values = np.random.default_rng(number).random((100_000, 6))
    return pd.DataFrame(values, columns=list("abcdef"))


for number in range(30):
    results.append(load(number))
table = pd.concat(results)
print(table.shape)
