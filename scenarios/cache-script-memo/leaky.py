"""Answer requests; each is remembered, none comes twice."""

import numpy as np
import pandas as pd

_MEMO = {}


def load(key: tuple[str, int]) -> pd.DataFrame:
    if key not in _MEMO:
        values = np.random.default_rng(key[1]).random((100_000, 6))
        _MEMO[key] = pd.DataFrame(values, columns=list("abcdef"))
    return _MEMO[key]


total = 0.0
for request in range(40):
    total += float(load(("orders", request))["a"].mean())
print(round(total, 3))
