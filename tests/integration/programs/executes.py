"""Become another program: ``executes.py again`` the same script, else the shell."""

import os
import sys

print("before", sys.argv[1:], flush=True)
if sys.argv[1:] == ["again"]:
    os.execv(sys.executable, [sys.executable, __file__, "shell"])
if sys.argv[1:] == ["shell"]:
    os.execv("/bin/sh", ["sh", "-c", "env | grep -c -i memprobe; echo $PPID >/dev/null; exit 9"])
