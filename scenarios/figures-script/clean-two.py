"""Draws two large figures, saves them and ends."""

import io

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np

rng = np.random.default_rng(30)
for size in (10, 12):
    fig, ax = plt.subplots(figsize=(size, size), dpi=150)
    ax.imshow(rng.random((500, 500)))
    fig.savefig(io.BytesIO())

print("saved")
