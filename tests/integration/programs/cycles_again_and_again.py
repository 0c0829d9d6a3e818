"""Look for waiting cycles three times, beside modules whose C code shows freed objects as theirs.

cycles_again_and_again.py PROBES   → the number of objects found, three times
"""

import asyncio
import gc
import sys

sys.path.insert(0, sys.argv[1])


async def wait_for_many() -> None:
    async def wait() -> None:
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.001, future.set_result, 1)
        await future

    await asyncio.gather(*[wait() for _ in range(300)])


class Ring:
    pass


asyncio.run(wait_for_many())
gc.disable()
for _ in range(1000):
    ring = Ring()
    ring.itself = ring
del ring

from memprobe_probes import cycles  # noqa: E402

for _ in range(3):
    found, reason = cycles.waiting(10**10, set())
    print(found["objects"] if found else reason)
asyncio.run(wait_for_many())
