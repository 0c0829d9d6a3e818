"""Write at exit what is left in the buffer: then it is empty."""

import atexit
import tempfile

import numpy as np


class Writer:
    def __init__(self) -> None:
        self.file = tempfile.TemporaryFile()
        self.rows: list[np.ndarray] = []
        atexit.register(self.flush)

    def write(self, row: np.ndarray) -> None:
        self.rows.append(row)

    def flush(self) -> None:
        for row in self.rows:
            self.file.write(row.tobytes())
        self.rows.clear()


def main() -> float:
    writer = Writer()
    for seed in range(8):
        writer.write(np.random.default_rng(seed).random(1_000_000))
    return float(writer.rows[0].mean())


print(round(main(), 2))
