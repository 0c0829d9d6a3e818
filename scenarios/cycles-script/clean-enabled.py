"""Parse records; the collector comes when it is due."""

import numpy as np


class Record:
    def __init__(self, number: int) -> None:
        self.raw = bytearray(500_000)
        self.columns = [Column(self, seed) for seed in (number, number + 1)]

    def mean(self) -> float:
        return float(np.mean([column.values.mean() for column in self.columns]))


class Column:
    def __init__(self, record: Record, seed: int) -> None:
        self.record = record
        self.values = np.random.default_rng(seed).random(50_000)


total = sum(Record(number).mean() for number in range(60))
print(round(total, 3))
