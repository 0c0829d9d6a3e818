"""Jobs whose class remembers numbers, and reads them at the end."""

import numpy as np
import pandas as pd


def load(number: int) -> pd.DataFrame:
    values = np.random.default_rng(number).random((100_000, 6))
    return pd.DataFrame(values, columns=list("abcdef"))


class Job:
    history = []

    def __init__(self, number: int) -> None:
        self.frame = load(number)

    def run(self) -> None:
        self.history.append(float(self.frame["a"].mean()))


for number in range(30):
    Job(number).run()
print(round(sum(Job.history), 3))
