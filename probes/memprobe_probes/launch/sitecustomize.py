"""Found by the target's interpreter at start-up, because ``memprobe run`` put this directory first
on PYTHONPATH. It leaves no trace of that, starts the probe in the first Python process of the
session that runs a program of the user's, and hands over to the user's own sitecustomize.

Any interpreter may read this file, old ones too: plain syntax only, and nothing imported that is
not loaded already.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
import os
import sys

VARIABLE = "_MEMPROBE_SESSION"
# spark-submit starts a Python that tells it where Spark is, before the one that is the driver.
FINDS_SPARK = "find_spark_home.py"
# Spark starts its Python workers, and what forks them, with variables of these names.
OF_WORKERS = "PYTHON_WORKER_FACTORY_"


def _take_back(here):
    """Undo what carried us here; return (session folder or None, parent's pid or 0).

    The variable reads ``<pid of memprobe, 0 for any parent>:<1 if PYTHONPATH was set>:<folder>``.
    """
    text = os.environ.pop(VARIABLE, "")
    sys.path[:] = [entry for entry in sys.path if entry != here]
    sys.path_importer_cache.pop(here, None)
    parent, was_set, folder = (text + "::").split(":", 2)
    left = _without(os.environ.get("PYTHONPATH", ""), here)
    if left is not None:
        os.environ["PYTHONPATH"] = left
    elif was_set == "1":
        os.environ["PYTHONPATH"] = ""
    else:
        os.environ.pop("PYTHONPATH", None)
    return folder.rstrip(":") or None, int(parent or "0")


def _without(search_path, here):
    """Return PYTHONPATH without our entry; None when nothing else was in it."""
    if search_path == here:
        return None
    if search_path.startswith(here + os.pathsep):
        return search_path[len(here) + len(os.pathsep) :]
    return search_path.replace(os.pathsep + here, "")


def _claim(folder, parent):
    """Whether this process is the one to measure: the first one, and the right one."""
    if parent != os.getppid() if parent else _serves_spark():
        return False
    try:
        os.close(os.open(os.path.join(folder, "claimed"), os.O_CREAT | os.O_EXCL, 0o600))
    except OSError:
        return False
    return True


def _serves_spark():
    """Whether this Python only works for Spark: it finds its folder, or serves an executor."""
    script = sys.orig_argv[1:2]
    if script and os.path.basename(script[0]) == FINDS_SPARK:
        return True
    return any(name.startswith(OF_WORKERS) for name in os.environ)


def _report(folder, error):
    """Leave the reason for the host; the target must not notice."""
    trouble = [type(error).__name__ + ": " + str(error)]
    step = error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        trouble.append("%s:%d %s" % (code.co_filename, step.tb_lineno, code.co_name))  # noqa: UP031
        step = step.tb_next
    try:
        with open(os.path.join(folder, "trouble"), "w") as file:
            file.write("\n".join(trouble))
    except OSError:
        pass


def _start(folder, here):
    """Load the probe by its path and start it; return whether what it loaded must stay."""
    import time  # part of every interpreter, and loaded by its start
    from _frozen_importlib_external import PathFinder

    began = time.monotonic_ns()
    package = os.path.dirname(here)
    if "memprobe_probes" not in sys.modules:
        spec = PathFinder.find_spec("memprobe_probes", [os.path.dirname(package)])
        assert spec is not None
        assert spec.loader is not None
        module = type(sys)("memprobe_probes")
        module.__spec__ = spec
        module.__path__ = [package]
        module.__file__ = spec.origin
        module.__loader__ = spec.loader
        module.__package__ = "memprobe_probes"
        sys.modules["memprobe_probes"] = module
        spec.loader.exec_module(module)
    from memprobe_probes import script

    return script.start(folder, began)


def _main():
    here = os.path.dirname(os.path.abspath(__file__))
    folder, parent = _take_back(here)
    if folder is None or sys.version_info < (3, 10) or not _claim(folder, parent):
        return
    loaded = set(sys.modules)
    searched = set(sys.path_importer_cache)
    stays = False
    try:
        stays = _start(folder, here)
    except BaseException as error:
        _report(folder, error)
    finally:
        if not stays:
            _forget(set(sys.modules) - loaded)
        for place in set(sys.path_importer_cache) - searched:
            del sys.path_importer_cache[place]


def _forget(names):
    """Take the library modules that only the probe uses out of ``sys.modules``.

    A script's own ``types.py`` or ``json.py`` must still win over them, and a submodule that the
    program forgot to import must still be missing. The probe keeps its references.
    """
    for name in names:
        if name.split(".")[0] == "memprobe_probes" or name in sys.builtin_module_names:
            continue
        module = sys.modules.pop(name, None)
        parent, _, child = name.rpartition(".")
        above = sys.modules.get(parent)
        if above is not None and above.__dict__.get(child) is module:
            delattr(above, child)


_main()
# The user's own sitecustomize, by the ordinary machinery. There is none: the ImportError is what
# ``site`` expects then, and it leaves no module behind.
del sys.modules["sitecustomize"]
import sitecustomize  # type: ignore[import-not-found]  # noqa: E402, F401
