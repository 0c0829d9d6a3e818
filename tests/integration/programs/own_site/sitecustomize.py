"""What a user's own sitecustomize may do. The host of a test (``python -c``) is spared."""

import atexit
import os
import sys

if sys.argv[0] != "-c":
    print("own sitecustomize", __file__.split(os.sep)[-2:], __spec__.name, sys.argv)
    print("environment", sorted(name for name in os.environ if "memprobe" in name.lower()))
    print("search path", os.environ.get("PYTHONPATH", "").split(os.sep)[-1])
    atexit.register(print, "own sitecustomize leaves")
    if os.environ.get("BREAK"):
        raise RuntimeError("broken on purpose")
