"""A recording that was copied in parts and never completed: ``NAME.memprobe.parts``, a folder.

The probe leaves it where it copies a recording to a place that takes whole files only, and the
process ends before the whole could be written (see ``memprobe_probes.segments``).
"""

from __future__ import annotations

import tempfile
import zlib
from pathlib import Path
from typing import BinaryIO

from memprobe_probes.segments import name_of


def are_in(folder: Path) -> bool:
    """Whether ``folder`` holds the parts of a recording."""
    return (folder / name_of(1)).is_file()


def joined(folder: Path) -> BinaryIO:
    """Return the parts as one file, up to the first that is missing or has not arrived whole.

    Raises OSError.
    """
    file: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    number = 1
    while (part := folder / name_of(number)).is_file():
        try:
            file.write(zlib.decompress(part.read_bytes()))
        except zlib.error:
            break
        number += 1
    file.seek(0)
    return file
