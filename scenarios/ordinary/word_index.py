"""Build an index of words and answer queries from it: the index is the program's purpose."""

import collections
import random


def corpus(lines: int) -> list[str]:
    random.seed(7)
    words = [f"word{number}" for number in range(5000)]
    return [" ".join(random.choices(words, k=12)) for _ in range(lines)]


def build(lines: list[str]) -> dict[str, list[int]]:
    index: dict[str, list[int]] = collections.defaultdict(list)
    for number, line in enumerate(lines):
        for word in set(line.split()):
            index[word].append(number)
    return index


INDEX = build(corpus(40_000))


def lookup(*words: str) -> set[int]:
    return set.intersection(*(set(INDEX[word]) for word in words))


print(len(INDEX), len(lookup("word1")), len(lookup("word1", "word2")))
