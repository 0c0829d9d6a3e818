"""Nightly report as a script: everything lives in functions, the totals in globals."""

import numpy as np
import pandas as pd

REGIONS = ("north", "south", "east")
totals: dict[str, float] = {}


def load(region: str) -> pd.DataFrame:
    rng = np.random.default_rng(len(region))
    return pd.DataFrame(rng.random((1_500_000, 6)), columns=list("abcdef"))


def summarise(region: str) -> float:
    frame = load(region)
    frame["score"] = frame["a"] * frame["b"]
    return float(frame["score"].mean())


for region in REGIONS:
    totals[region] = summarise(region)

print({region: round(total, 4) for region, total in totals.items()})
