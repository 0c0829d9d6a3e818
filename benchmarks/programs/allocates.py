"""Allocation-heavy Python: small dicts, strings and lists, made and dropped, a few of them kept.

Without the few, every ``clear`` would hand all of Python's arenas back to the system and take
them again: a tenth of the time, which any object that a tool leaves among them saves.
"""

from collections import deque


def work(rounds: int) -> int:
    kept = []
    recent: deque = deque(maxlen=2_000)
    for number in range(rounds):
        kept.append({"number": number, "text": str(number), "pair": [number, number + 1]})
        if number % 500 == 0:
            recent.append(kept[-1])
        if len(kept) > 50_000:
            kept.clear()
    return len(kept)


if __name__ == "__main__":
    work(6_000_000)
