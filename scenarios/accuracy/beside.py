"""What a kernel has outside of its own process, measured inside of it: no part of memprobe."""

from __future__ import annotations

MEASURES = {
    # Of the kernel and all that it started, shared pages divided by their users: what comes back
    # is what the sum falls by. A process that a shell left belongs to the kernel's session.
    "child-processes": """
def _measure():
    import os, psutil, time
    time.sleep(0.5)
    total = 0
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == os.getsid(0):
                total += process.memory_full_info().pss
        except (OSError, psutil.Error):
            pass
    return total


print(_measure())
del _measure
""",
    # Resident memory as it is, nothing given back before: what allocators keep is what counts.
    "allocators": """
def _measure():
    import gc

    gc.collect()
    with open("/proc/self/smaps_rollup") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Rss:"))


print(_measure())
del _measure
""",
    # Files in memory that are younger than the kernel: those under their names, and what the
    # kernel has open or maps without one.
    "shared-memory": """
def _measure():
    import gc, os, psutil
    gc.collect()
    began, found = psutil.Process().create_time() - 1, {}
    places = [f"/dev/shm/{name}" for name in os.listdir("/dev/shm")]
    places += [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
    device = os.stat("/dev/shm").st_dev
    for place in places:
        try:
            facts = os.stat(place)
        except OSError:
            continue
        if facts.st_dev == device and facts.st_ctime >= began and facts.st_uid == os.getuid():
            found[facts.st_ino] = facts.st_blocks * 512
    return sum(found.values())


print(_measure())
del _measure
""",
}
