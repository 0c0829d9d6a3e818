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
}
