"""Answer requests for four tables, each of which is asked for often."""

import numpy as np
import pandas as pd

_MEMO = {}


def load(key: tuple[str, int]) -> pd.DataFrame:
    if key not in _MEMO:
        values = np.random.default_rng(key[1]).random((100_000, 6))
        _MEMO[key] = pd.DataFrame(values, columns=list("abcdef"))
    return _MEMO[key]


total = 0.0
for request in range(400):
    total += float(load(("orders", request % 4))["a"].mean())
print(round(total, 3))
