"""The list is what the program hands on."""

import pickle
import tempfile

import numpy as np
import pandas as pd

COLLECTED = []


def load(number: int) -> pd.DataFrame:
    values = np.random.default_rng(number).random((100_000, 6))
    return pd.DataFrame(values, columns=list("abcdef"))


for number in range(30):
    COLLECTED.append(load(number))

with tempfile.TemporaryFile() as file:
    pickle.dump(COLLECTED, file)
    print(file.tell() > 0)
