"""Start child processes in every way the standard library has."""

import multiprocessing
import os
import subprocess
import sys
import warnings

warnings.simplefilter("error")


def report(label):
    search_path = os.environ.get("PYTHONPATH")
    ours = sorted(name for name in os.environ if "memprobe" in name.lower())
    launch = [entry for entry in sys.path if entry.endswith("launch")]
    print(label, len(sys.argv), search_path, ours, launch, os.dup(0) > 900, flush=True)


def by_fork():
    child = os.fork()
    if child == 0:
        report("forked")
        sys.exit(5)  # runs the exit handlers of the child
    print("fork", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def by_subprocess():
    code = "import os, sys; print('python', 'memprobe_probes' in sys.modules, len(sys.path))"
    subprocess.run([sys.executable, "-c", code], check=True)
    subprocess.run(["env"], check=True, env=dict(os.environ, ONLY="1"), stdout=subprocess.DEVNULL)
    print(subprocess.run(["sh", "-c", "ls /proc/self/fd | wc -l"], capture_output=True).stdout)


def by_multiprocessing(method):
    context = multiprocessing.get_context(method)
    child = context.Process(target=report, args=(method,))
    child.start()
    child.join()
    with context.Pool(2) as pool:
        print(method, child.exitcode, pool.map(abs, [-1, -2]), flush=True)


if __name__ == "__main__":
    by_fork()
    by_subprocess()
    for method in ("fork", "spawn", "forkserver"):
        with warnings.catch_warnings():
            if method != "fork":
                warnings.simplefilter("error")
            else:
                # Pool's own threads make fork warn from 3.12 on, with and without us.
                warnings.simplefilter("ignore", DeprecationWarning)
            by_multiprocessing(method)
