"""Tables that are made when the program starts."""

import numpy as np
import pandas as pd

TABLES = {}
for number in range(20):
    values = np.random.default_rng(number).random((100_000, 6))
    TABLES[number] = pd.DataFrame(values, columns=list("abcdef"))


def mean(number: int) -> float:
    return float(TABLES[number % 20]["a"].mean())


print(round(sum(mean(number) for number in range(500)), 3))
