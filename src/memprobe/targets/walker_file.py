"""What a target is told of this installation's native walker, to load it from here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import memprobe_probes
from memprobe_probes import native_walker


def offered() -> dict[str, Any]:
    """Return ``config["walker"]``: the file's path and hash, or why there is none.

    One file fits every CPython from 3.10 on this platform, so the target's may be another than
    ours. Where the target cannot see the file, it finds that out by itself and says so.
    """
    path = Path(memprobe_probes.__file__).with_name(native_walker.FILE).resolve()
    try:
        return native_walker.described(str(path))
    except (OSError, native_walker.Refused):
        return {"missing": native_walker.NOT_BUILT}
