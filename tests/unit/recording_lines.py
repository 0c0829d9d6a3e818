"""Lines of a recording for tests, as a probe writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SECOND = 10**9


def line(kind: str, at: float = 0.0, **fields: Any) -> bytes:
    """Return one record, ``at`` seconds after the recording began, with its newline."""
    record = {"kind": kind, "t": int(at * SECOND), **fields}
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def header(**fields: Any) -> bytes:
    """Return a notebook's header; ``fields`` replace or extend it."""
    known = {"format": 1, "context": "notebook", "program": "größe.ipynb", "pid": 7, "start": 1e9}
    return line("header", **{**known, **fields})


def ramp(count: int, start: float, per_second: float, step: float = 1.0) -> list[bytes]:
    """Return ``count`` samples whose RSS begins at ``start`` bytes and grows ``per_second``."""
    return [line("sample", n * step, rss=int(start + per_second * n * step)) for n in range(count)]


def write(path: Path, *lines: bytes) -> Path:
    """Write ``lines`` to ``path`` and return it."""
    path.write_bytes(b"".join(lines))
    return path
