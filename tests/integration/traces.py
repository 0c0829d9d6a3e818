"""What a visitor could leave behind in a kernel, described from within."""

from __future__ import annotations

# Runs in the kernel and describes everything a visitor could leave behind.
FINGERPRINT = """
def _describe():
    import builtins, gc, getpass, linecache, os, signal, sys, threading
    ip = get_ipython()
    files = {}
    for fd in os.listdir("/proc/self/fd"):
        try:
            link = os.readlink("/proc/self/fd/" + fd)
        except OSError:
            continue
        if "profile_default" in link:  # IPython's history thread opens and closes these
            continue
        kind = link if link.startswith("/") else link.partition(":")[0]
        files[kind] = files.get(kind, 0) + 1
    return {
        "names": sorted(n for n in ip.user_ns if not n.startswith("_i")),
        "hidden": sorted(n for n in ip.user_ns_hidden if not n.startswith("_i")),
        "events": {k: [id(f) for f in v] for k, v in ip.events.callbacks.items()},
        "event_lists": {k: [type(v).__name__, id(v)] for k, v in ip.events.callbacks.items()},
        "threads": len(os.listdir("/proc/self/task")),
        "python_threads": len(threading.enumerate()),
        "handlers": {s: str(signal.getsignal(s)) for s in (2, 15, 17, 10, 12)},
        "last_result": id(ip.last_execution_result),
        "last_ok": ip.last_execution_succeeded,
        "files": files,
        "gc_callbacks": [id(f) for f in gc.callbacks],
        "modules": sorted(m for m in sys.modules if m.startswith("memprobe")),
        "path": list(sys.path),
        "meta_path": [str(f) for f in sys.meta_path],
        "sources": sum("memprobe" in "".join(e[2]) for e in linecache.cache.values()
                       if len(e) > 2 and "_describe" not in "".join(e[2])),
        "cell_files": sum(1 for _ in ip.compile._filename_map),
        "count": ip.execution_count,
        "input": ip.kernel._sys_raw_input is ORIGINAL_INPUT[0],
        "getpass": getpass.getpass.__qualname__,
        "trace": [str(sys.gettrace()), str(sys.getprofile()), str(threading._trace_hook)],
        "displayhook": type(sys.displayhook).__name__,
        "env": dict(os.environ),
        "frame_refs": sys.getrefcount(big),
        "switch": sys.getswitchinterval(),
    }
"""
SETUP = """
import numpy, pandas, os
ORIGINAL_INPUT = [get_ipython().kernel._sys_raw_input]
big = pandas.DataFrame(numpy.ones((300_000, 10)))
def nested():
    held = big
    return held.sum()
"""


def differences(before: dict[str, object], after: dict[str, object]) -> dict[str, object]:
    """Return what changed, beside what evaluating the fingerprint itself changes."""
    own = {"last_result", "count", "cell_files"}
    return {
        key: (before[key], after[key])
        for key in before
        if key not in own and before[key] != after[key]
    }
