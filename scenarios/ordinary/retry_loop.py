"""Try, fail, try again: handled exceptions leave nothing behind."""

import logging

import numpy as np

logging.basicConfig(level=logging.ERROR)


def attempt(number: int) -> float:
    data = np.random.default_rng(number).random(4_000_000)
    if number < 3:
        raise TimeoutError(f"attempt {number} timed out")
    return float(data.mean())


def with_retries(limit: int) -> float:
    for number in range(limit):
        try:
            return attempt(number)
        except TimeoutError as error:
            logging.info("retrying: %s", error)
    raise TimeoutError("gave up")


print(round(with_retries(5), 4))
