"""Become another program: ``again`` the same script, ``shell`` a shell, ``wait`` one that waits."""

import os
import sys

ENVIRONMENT = "env | grep -c -i memprobe; exit 9"
WAITING = "echo ready; read line; echo told $line; exit 9"

print("before", sys.argv[1:], flush=True)
if sys.argv[1] == "again":
    os.execv(sys.executable, [sys.executable, __file__, "shell"])
if sys.argv[1] == "shell":
    os.execv("/bin/sh", ["sh", "-c", ENVIRONMENT])
if sys.argv[1] == "wait":
    os.execv("/bin/sh", ["sh", "-c", WAITING])
