"""Saves a chart per station and leaves every figure open."""

import io

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np

rng = np.random.default_rng(30)
sizes = []
for station in range(30):
    fig, ax = plt.subplots(figsize=(6, 4))
    ax.plot(rng.random(500).cumsum())
    ax.set_title(f"station {station}")
    page = io.BytesIO()
    fig.savefig(page, dpi=100)
    sizes.append(len(page.getvalue()))

print(len(sizes))
