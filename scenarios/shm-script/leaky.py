"""Shares a table and forgets it."""

import time
from multiprocessing import shared_memory


def main() -> None:
    """Fill a segment and read it."""
    shared = shared_memory.SharedMemory(create=True, size=60_000_000)
    shared.buf[:] = b"x" * 60_000_000
    print(len(shared.buf))
    time.sleep(1)
    shared.close()


if __name__ == "__main__":
    main()
