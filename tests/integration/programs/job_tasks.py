"""Runs tasks as a Databricks launcher does, and prints what is different afterwards."""

import json
import os
import sys
import threading

sys.path.insert(0, sys.argv[1])
folder = sys.argv[2]

from memprobe_probes import job  # noqa: E402


def seen() -> dict[str, object]:
    return {
        "main": sys.modules["__main__"].__dict__ is globals(),
        "path": list(sys.path), "argv": list(sys.argv),
        "threads": [one.name for one in threading.enumerate()],
        "tasks": sorted(os.listdir("/proc/self/task")) if threads_are_over() else [],
        "fds": sorted(os.listdir("/proc/self/fd")),
        "last": [name for name in ("last_type", "last_value", "last_traceback", "last_exc")
                 if hasattr(sys, name)],
        "hooks": sys.excepthook is sys.__excepthook__,
    }  # fmt: skip


def threads_are_over() -> bool:
    while len(os.listdir("/proc/self/task")) > 1:
        os.sched_yield()
    return True


def task(name: str, source: str, **more: object) -> str:
    script = os.path.join(folder, f"{name}.py")
    with open(script, "w") as file:
        file.write(source)
    config = {
        "script": script, "argv": ["one", "two"], "folders": [os.path.join(folder, name)],
        "every": 3600.0, **more,
        "probe": {"context": "script", "method": "databricks-job", "program": f"{name}.py",
                  "argc": 2, **more.get("probe", {})},
    }  # fmt: skip
    try:
        job.run(config, {"spark": "theirs", "other": "not passed on"})
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return "ended"


threads_are_over()
before = seen()
told = {
    "plain": task("plain", "import sys\nkept = ['x' * 30_000_000]\n"
                  "print(spark, __name__, __file__.rsplit('/')[-1], sys.argv[1:], "
                  "'other' in dir())"),
    "zero": task("zero", "import sys\nsys.exit(0)"),
    "three": task("three", "import sys\nsys.exit(3)"),
    "serverless": task("serverless", "import sys\nsys.exit(3)",
                       probe={"databricks": {"mode": "serverless"}}),
    "failing": task("failing", "def f(x):\n    return 1 / x\nf(0)"),
    "syntax": task("syntax", "this is no python"),
    "nowhere": task("nowhere", "print('ran')", folders=["/proc/none/x"]),
}  # fmt: skip
print(json.dumps({"told": told, "before": before, "after": seen()}))
