"""A script whose neighbours have the names of library modules."""

import contextlib
import importlib
import json
import sys
import tempfile
import typing

print(json.WHO, typing.WHO, contextlib.WHO, tempfile.WHO)
print(sorted(name for name in sys.modules if name in ("random", "shutil", "ast", "importlib.util")))
print(hasattr(importlib, "util"), hasattr(importlib, "machinery"))
