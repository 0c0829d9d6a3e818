"""Fit until it converges; remember why the last attempt did not."""

import numpy as np

last_error = None


def fit(step: float) -> float:
    samples = np.random.default_rng(5).random((2_000_000, 10))
    weights = samples[:1000].mean(axis=0) * step
    if float(np.abs(weights).max()) > 1:
        raise ArithmeticError(f"diverged with step {step}")
    return float(weights.sum())


for attempt in (8.0, 4.0, 1.5):
    try:
        result = fit(attempt)
        break
    except ArithmeticError as error:
        last_error = error.with_traceback(None)

print(f"result {result:.3f}, after: {last_error}")
