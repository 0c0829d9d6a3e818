"""The notebook's work, with retries that keep the text of an exception."""

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
        failures.append(str(error))

total = sum(map(len, batches))

print(total, len(batches))
