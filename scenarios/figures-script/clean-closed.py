"""Saves a chart per station and closes each figure."""

import io

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np

rng = np.random.default_rng(30)
sizes = []
for _ in range(30):
    fig, ax = plt.subplots(figsize=(6, 4))
    ax.plot(rng.random(500).cumsum())
    page = io.BytesIO()
    fig.savefig(page, dpi=100)
    plt.close(fig)
    sizes.append(len(page.getvalue()))

print(len(sizes))
