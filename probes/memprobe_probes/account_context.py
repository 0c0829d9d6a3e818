"""The rest of the context in the memory account: its JVM, its children, who shares its limit."""

from __future__ import annotations

import os
import time

from . import limits, relatives

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .jvm_attach import Jvm

SHARE = 0.005  # of the time, that JVMs may be looked into without being asked
ROUTINE = ("marker", "interval")
MOST_NEIGHBOURS = 5


class Context:
    """What is around the process ``pid``, which is this one."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.jvm_pid: int | None = None  # of the driver's JVM, where Spark told it
        self.direct: int | None = None  # bytes of its direct buffers
        self._jvms: dict[int, Jvm] = {}
        self._next_jvm = 0.0

    def note(self, kind: str, fields: dict[str, Any]) -> None:
        """Learn of the JVM from what the reader of Spark records."""
        if kind == "jvm":
            self.jvm_pid = fields.get("pid") or self.jvm_pid
            self.direct = (fields.get("buffers") or {}).get("direct", self.direct)

    def rows(
        self, reason: str, walker: Any, *, waiting: bool
    ) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
        """Return the rows of the processes around, and what was not measured of them.

        ``waiting``: the program waits for it, so that no JVM is asked.
        """
        rows, unmeasured = [], []
        routine = waiting or (reason in ROUTINE and time.monotonic() < self._next_jvm)
        pids = [one for one in relatives.below(self.pid) if not relatives.is_copy(one)]
        if self.jvm_pid is not None and self.jvm_pid not in pids:
            pids.insert(0, self.jvm_pid)
        for pid in pids:
            role, is_jvm = relatives.role(pid)
            row = None
            if is_jvm and not routine and walker is not None:
                row, why = self._jvm(pid, role, walker)
                if why is not None:
                    unmeasured.append({"what": f"the parts of the JVM {pid}", "why": why})
            row = row or relatives.coarse(pid, role)
            if row is not None:
                rows.append(row)
        return rows, unmeasured

    def neighbours(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the largest other processes under the same limit."""
        own = {self.pid, *(row["pid"] for row in rows)}
        found: list[dict[str, Any]] = []
        for pid in limits.members():
            row = None if pid in own else relatives.coarse(pid, "other")
            if row is not None:
                found.append({"pid": pid, "role": "other", "rss": row["rss"]})
        return sorted(found, key=lambda one: -one["rss"])[:MOST_NEIGHBOURS]

    def close(self) -> None:
        """Take back what was asked for and never answered."""
        for jvm in self._jvms.values():
            jvm.close()

    def _jvm(self, pid: int, role: str, walker: Any) -> tuple[dict[str, Any] | None, str | None]:
        # Only beside a JVM: what they import, a program that has none may not have loaded.
        from .jvm_account import Jvm, Silent, account_of

        began = time.monotonic()
        direct = self.direct if pid == self.jvm_pid or role == "driver-jvm" else None
        try:
            return account_of(self._jvms.setdefault(pid, Jvm(pid)), walker, role, direct), None
        except Silent as reason:
            return None, str(reason)
        except OSError as error:
            return None, f"it cannot be read: {error.strerror or os.strerror(error.errno or 0)}"
        finally:
            now = time.monotonic()
            self._next_jvm = now + (now - began) / SHARE
