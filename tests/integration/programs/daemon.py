"""Close every descriptor that is not known, as daemons do, and reuse the numbers."""

import gc
import os
import sys
import time

os.closerange(3, 4096)
files = [os.open(sys.argv[1], os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)]
files += [os.dup(files[0]) for _ in range(1020)]
until = time.monotonic() + 1.5
while time.monotonic() < until:
    gc.collect()
print(len(files), os.path.getsize(sys.argv[1]))
