"""What ``--method`` may be: known without importing what it chooses from."""

from __future__ import annotations

METHODS = ("auto", "kernel", "remote-exec", "pending-call")
