"""A program whose every output is known beforehand: main computes, threads ask for memory.

It prints lines ``N DIGEST`` until its standard input says ``end``; for each other line on it, what
a visitor could leave behind, as JSON on the standard error.
"""

import _thread
import gc
import hashlib
import json
import os
import select
import sys
import threading

own = bytearray(8_000_000)
stop = threading.Event()


def allocates():
    while not stop.is_set():
        keep = [bytes(n % 5000) for n in range(200)]
        del keep


def files():
    for fd in os.listdir("/proc/self/fd"):
        try:
            yield os.readlink(f"/proc/self/fd/{fd}").partition(":")[0]
        except FileNotFoundError:
            continue  # another thread has closed it meanwhile


def described():
    return {
        "names": sorted(globals()),
        "threads": len(os.listdir("/proc/self/task")),
        "python_threads": threading.active_count(),
        "modules": sorted(m for m in sys.modules if m.startswith(("memprobe", "_memprobe"))),
        "meta_path": len(sys.meta_path),
        "path": sys.path,
        "importers": sorted(str(p) for p in sys.path_importer_cache),
        "files": sorted(files()),
        "gc": [len(gc.callbacks), gc.get_threshold(), gc.isenabled()],
        "trace": [str(sys.gettrace()), str(sys.getprofile())],
        "environment": dict(os.environ),
        "last": hasattr(sys, "last_value"),
        "count": _thread._count(),
    }


def main():
    for _ in range(2):
        threading.Thread(target=allocates).start()
    digest, n = b"", 0
    print("ready", file=sys.stderr, flush=True)
    while True:
        digest = hashlib.sha256(digest + str(n).encode()).digest()
        n += 1
        if n % 2000:
            continue
        print(n, digest.hex(), flush=True)
        if select.select([0], [], [], 0)[0]:
            line = sys.stdin.readline()
            if line == "end\n":
                break
            print(json.dumps(described()), file=sys.stderr, flush=True)
    stop.set()


main()
