"""After a detach the kernel is as it was: names, hooks, threads, descriptors, references."""

from __future__ import annotations

from pathlib import Path

import pytest
from kernels import Kernel

from memprobe.targets.kernel import AttachOptions, attach

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
        if "history.sqlite" in link:  # IPython's own thread opens and closes these
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


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> object:
    with Kernel(tmp_path_factory.mktemp("kernel")) as running:
        running.run(SETUP)
        running.run(FINGERPRINT)
        # A first client on the control channel makes ipykernel open an eventfd and keep it.
        running.control_info()
        running.run("print('so does the first text from the main thread')")
        yield running


def _visit(kernel: Kernel, path: Path) -> None:
    attachment = attach(kernel.connection_file, kernel.pid, AttachOptions(output=path))
    kernel.wait_for(
        attachment, lambda records: any(r.__class__.__name__ == "Sample" for r in records)
    )
    attachment.detach()
    assert attachment.ended is not None
    assert attachment.ended.reason == "detach"


def test_an_idle_kernel_is_as_before_after_a_visit(kernel: Kernel, tmp_path: Path) -> None:
    before = kernel.value("_describe()")
    _visit(kernel, tmp_path / "a.memprobe")
    after = kernel.value("_describe()")
    changed = _differences(before, after)
    assert changed == {}, changed


def test_a_busy_kernel_is_as_before_after_a_visit(kernel: Kernel, tmp_path: Path) -> None:
    before = kernel.value("_describe()")
    waiting = kernel.start_cell(
        "import select\n"
        f"gate = {str(tmp_path / 'gate')!r}\nos.mkfifo(gate)\n"
        "print('running', flush=True)\n"
        "fd = os.open(gate, os.O_RDONLY)\nos.read(fd, 1)\nos.close(fd)\n"
        "answer = get_ipython().kernel._allow_stdin\n"
        "del select, gate, fd"
    )
    kernel.wait_for_output(waiting, "running")
    _visit(kernel, tmp_path / "b.memprobe")
    (tmp_path / "gate").write_text("x")
    kernel.finish(waiting)
    assert kernel.value("answer") is True
    kernel.run("del answer")
    after = kernel.value("_describe()")
    # The cell that ran meanwhile counts as cells do.
    changed = _differences(before, after)
    assert changed == {}, changed


def test_the_last_result_and_callbacks_do_not_notice(kernel: Kernel, tmp_path: Path) -> None:
    """A thread in the kernel looks before and after, for every cell replaces the last result."""
    kernel.run(
        "import threading\n"
        f"gate = {str(tmp_path / 'gate')!r}\nos.mkfifo(gate)\nseen = []; fired = []\n"
        "note = lambda *_: fired.append(1)\n"
        "get_ipython().events.register('post_execute', note)\n"
        "get_ipython().events.register('post_run_cell', note)\n"
        "def look():\n"
        "    for _ in range(2):\n"
        "        with open(gate) as file: file.read()\n"
        "        ip = get_ipython()\n"
        "        seen.append((id(ip.last_execution_result), len(fired)))\n"
        "watch = threading.Thread(target=look); watch.start()\n"
    )
    (tmp_path / "gate").write_text("x")
    kernel_seen = tmp_path / "c.memprobe"
    _visit(kernel, kernel_seen)
    (tmp_path / "gate").write_text("x")
    kernel.run("watch.join()")
    before, after = kernel.value("seen")
    kernel.run(
        "get_ipython().events.unregister('post_execute', note)\n"
        "get_ipython().events.unregister('post_run_cell', note)"
    )
    assert before == after


def _differences(before: dict[str, object], after: dict[str, object]) -> dict[str, object]:
    """Return what changed, beside what evaluating the fingerprint itself changes."""
    own = {"last_result", "count", "cell_files"}
    return {
        key: (before[key], after[key])
        for key in before
        if key not in own and before[key] != after[key]
    }
