"""Allocation-heavy Python: small dicts, strings and lists, made and dropped."""


def work(rounds: int) -> int:
    kept = []
    for number in range(rounds):
        kept.append({"number": number, "text": str(number), "pair": [number, number + 1]})
        if len(kept) > 50_000:
            kept.clear()
    return len(kept)


if __name__ == "__main__":
    work(6_000_000)
