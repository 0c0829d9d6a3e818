"""Print everything by which a program could tell where and how it runs."""

import gc
import os
import signal
import sys
import time

OURS = ("memprobe_probes",)


def loaded():
    # Modules built into the interpreter have no file that another could stand before.
    kept = (*OURS, *sys.builtin_module_names)
    return sorted(name for name in sys.modules if name.split(".")[0] not in kept)


if __name__ == "__main__":
    print("modules", loaded())
    print("argv", sys.argv, sys.orig_argv, __name__, __file__, __spec__, __package__)
    print("globals", sorted(globals()), sorted(vars(sys.modules["__main__"])))
    print("path", sys.path, sorted(sys.path_importer_cache))
    print("flags", sys.flags, sys.warnoptions, sys._xoptions)
    print("environ", sorted(os.environ.items()))
    print("cwd", os.getcwd(), os.umask(0), os.nice(0))
    print("descriptor", os.dup(0), os.listdir("/proc/self/task") == [str(os.getpid())])
    print("streams", sys.stdin.isatty(), sys.stdout.line_buffering, sys.stderr.encoding)
    print("signals", [(n.name, str(signal.getsignal(n))) for n in signal.valid_signals() if n < 32])
    print("mask", signal.pthread_sigmask(signal.SIG_BLOCK, ()))
    print(
        "group", os.getpgid(0) == os.getpgid(os.getppid()), os.getsid(0) == os.getsid(os.getppid())
    )
    print("hooks", sys.excepthook, sys.unraisablehook, sys.displayhook, sys.gettrace())
    print(
        "finders",
        [str(type(finder)) for finder in sys.meta_path],
        len(sys.path_hooks),
        sys.getprofile(),
    )
    print("collector", gc.isenabled(), gc.get_threshold(), gc.get_debug(), gc.garbage)
    print("limits", sys.getrecursionlimit(), sys.getswitchinterval(), sys.getdlopenflags())
    print("time", time.tzname, "sitecustomize" in sys.modules, "usercustomize" in sys.modules)
