"""The notebook's work, with retries that keep every exception, and its frames with it."""

failures = []


def load(number):
    raw = bytearray(10_000_000)
    if number % 4 == 3:
        raise ValueError("no batch")
    return raw[:1_000_000]


batches = []
for number in range(16):
    try:
        batches.append(load(number))
    except ValueError as error:
        failures.append(error)

total = sum(map(len, batches))

print(total, len(batches))
