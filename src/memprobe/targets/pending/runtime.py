"""Which CPython runs in a process: the image that holds ``_PyRuntime``."""

from __future__ import annotations

from dataclasses import dataclass

from memprobe.targets.pending.address_space import Mapping, Read
from memprobe.targets.pending.elf import Image, NotAnImage, images
from memprobe.targets.pending.refusal import Refused

RUNTIME, RUN = "_PyRuntime", "PyRun_SimpleString"


@dataclass(frozen=True)
class Runtime:
    """The interpreter's image, and the addresses of its state and of what runs a text."""

    file: Mapping  # its first mapping
    image: Image
    state: int
    run: int


def find_runtime(maps: list[Mapping], read: Read) -> Runtime:
    """Return the one CPython that is mapped. Raises Refused where there is none, or two."""
    found = None
    for one in images(maps):
        if found is not None and "libpython" not in one.path:
            continue  # a second one would be a library of its own
        runtime = _runtime(one, read)
        if runtime is not None and found is not None:
            raise Refused(f"two Pythons are loaded in it: {found.file.path} and {one.path}")
        found = found or runtime
    if found is None:
        raise Refused("no CPython is loaded in it", "memprobe ps lists what can be attached to")
    return found


def _runtime(file: Mapping, read: Read) -> Runtime | None:
    try:
        image = Image(read, file.start)
        state = image.symbol(RUNTIME)
        run = image.symbol(RUN) if state is not None else None
    except (NotAnImage, OSError):
        return None
    if state is None or run is None:
        return None
    return Runtime(file, image, state, run)
