"""What a cell showed, as a digest: enough to see whether it shows the same again, and no text."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

# What differs from run to run though it says the same: addresses, and the ids of styled tables.
_PASSING = re.compile(r"0x[0-9a-fA-F]{6,}|\bT_[0-9a-f]{5}|\x1b\[[0-9;]*m")
NOTHING = ""


class Shown:
    """Collects the messages of one cell."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._stream = ""  # the stream that is being written to
        self._tail = ""
        self._any = False

    def add(self, message: dict[str, Any]) -> None:
        """Take one message; a result and a display of the same data count as the same."""
        kind, content = message["msg_type"], message["content"]
        if kind == "stream":
            self._add("stream", content["name"], content["text"])
        elif kind in ("execute_result", "display_data"):
            data = json.dumps(content["data"], sort_keys=True, default=str)
            self._add("data", "", data + "\n")
        elif kind == "error":
            self._add("error", "", f"{content['ename']}: {content['evalue']}\n")

    def digest(self) -> str:
        """Return 16 hex digits; empty where nothing was shown."""
        self._flush()
        return self._digest.hexdigest()[:16] if self._any else NOTHING

    def _add(self, kind: str, name: str, text: str) -> None:
        """Add text; what a program prints in pieces is one text."""
        if self._stream != f"{kind}:{name}" or kind != "stream":
            self._flush()
            self._digest.update(f"\0{kind}:{name}\0".encode())
            self._stream = f"{kind}:{name}"
        self._any = True
        lines = (self._tail + text).split("\n")
        self._tail = lines.pop()[-1_000_000:]  # a line that is not whole may be a piece
        for line in lines:
            self._digest.update(_PASSING.sub("", line).encode() + b"\n")

    def _flush(self) -> None:
        if self._tail:
            self._digest.update(_PASSING.sub("", self._tail).encode() + b"\n")
        self._tail = ""
