"""The probe as a file of the private session folder, for a kernel that sees that folder too."""

from __future__ import annotations

import contextlib
import marshal
import os
from collections.abc import Iterator
from pathlib import Path

from memprobe.targets import compiled, payload
from memprobe.targets.session import write_private
from memprobe_probes.entry import FILE


@contextlib.contextmanager
def beside(folder: Path, pid: int) -> Iterator[bool]:
    """Keep it in ``folder`` while the block runs; yield whether process ``pid`` can read it there.

    Where it cannot, the probe has to go with the request.
    """
    path = folder / FILE
    parts = {**payload.parts(), **compiled.parts()}
    try:
        try:
            write_private(path, marshal.dumps(parts, compiled.FORMAT))
            reads = _seen(path, pid)
        except OSError:
            reads = False
        yield reads
    finally:
        with contextlib.suppress(OSError):
            path.unlink()


def _seen(path: Path, pid: int) -> bool:
    """Whether the process has this very file at this path, and is of our user."""
    ours, theirs = os.stat(path), os.stat(f"/proc/{pid}/root{path}")
    return os.path.samestat(ours, theirs) and os.stat(f"/proc/{pid}").st_uid == ours.st_uid
