"""What a kernel writes on its own streams, kept back until it dies.

ipykernel sends what cells and their children print to its clients, and writes it on the streams it
was started with as well: shown there too, every line of a library in C or of a JVM comes twice.
Only what it writes when it dies comes no other way.
"""

from __future__ import annotations

import os
import threading

KEPT = 64 * 1024  # bytes, the last ones


class LastWords:
    """A pipe for a kernel's stdout and stderr, read by a thread of ours until all writers left."""

    def __init__(self) -> None:
        self._read, self.write_end = os.pipe()
        self._text = b""
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def started(self) -> None:
        """Close our end for writing, once the kernel has its own."""
        if self.write_end >= 0:
            os.close(self.write_end)
            self.write_end = -1

    def text(self, patience: float) -> str:
        """Return the last that was written, at most ``patience`` seconds after the death.

        Children of a dead kernel may still hold the pipe.
        """
        self._thread.join(patience)
        return self._text.decode("utf-8", "replace")

    def _listen(self) -> None:
        try:
            while more := os.read(self._read, 65536):
                self._text = (self._text + more)[-KEPT:]
        finally:
            os.close(self._read)
