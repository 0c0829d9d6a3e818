"""From memray's stacks to sites: the line of the user's own code, and the library call on it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from itertools import takewhile
from typing import Any

from memprobe.recording.schema import Site

DEEPEST = 1000  # frames of a stack that are looked at: an import of a library has hundreds
MOST_NATIVE = 6
MOST_SITES = 8
CERTAIN = 0.9  # a site is certain when so much of its bytes is

Frame = tuple[str, str, int]  # function, file, line, as memray tells them
_PACKAGES = re.compile(r"(?:site|dist)-packages[/\\]([^/\\]+)")
_STANDARD = re.compile(r"[/\\]lib[/\\]python3\.\d+[/\\]([^/\\]+)")
_CELL = re.compile(r"ipykernel_\d+[/\\]([^/\\]+)$|^<ipython-input-(\d+)-")
_INTERPRETER = re.compile(
    r"_?PyEval_|_?PyObject_(Vectorcall|Call)|cfunction_|method_vectorcall|_PyFunction"
)
_OWN = re.compile(r"[/\\]memprobe_probes[/\\]|^<memprobe")


class Stacks:
    """Makes sites of allocations. ``cells``: a notebook's cell files → execution count."""

    def __init__(self, cells: dict[str, int], *, native: bool) -> None:
        self._cells = cells
        self._native = native

    def merged(self, found: Iterable[tuple[Any, int, bool]]) -> list[Site]:
        """Return one site per place, most bytes first, of (allocation, bytes, certain)."""
        sites: dict[tuple[Any, ...], Site] = {}
        sure: dict[tuple[Any, ...], int] = {}
        for record, nbytes, certain in found:
            frames = record.stack_trace(DEEPEST)
            if not frames or nbytes <= 0:
                continue
            site = self.site(frames)
            key = _key(site)
            if key not in sites:
                sites[key] = site
                site.native = _native(record) if self._native else []
            sites[key].bytes = (sites[key].bytes or 0) + nbytes
            sure[key] = sure.get(key, 0) + (nbytes if certain else 0)
        for key, site in sites.items():
            site.certain = sure[key] >= CERTAIN * (site.bytes or 0)
        return sorted(sites.values(), key=lambda site: -(site.bytes or 0))

    def site(self, frames: list[Frame]) -> Site:
        """Return the site of one stack, the innermost frame first."""
        own = next((at for at, frame in enumerate(frames) if not is_library(frame[1])), None)
        function, file, line = frames[own] if own is not None else _library_frame(frames)
        return Site(
            file=os.path.basename(file),
            line=line,
            function=None if function == "<module>" else function,
            cell=self._cell(file),
            within=_call(frames[own - 1]) if own else None,
        )

    def _cell(self, file: str) -> int | None:
        match = _CELL.search(file)
        if match is None:
            return None
        return int(match[2]) if match[2] else self._cells.get(match[1])


def same_place(one: Site, other: Site) -> bool:
    """Whether two sites are the same line and the same call on it."""
    return _key(one) == _key(other)


def _key(site: Site) -> tuple[Any, ...]:
    return site.file, site.line, site.function, site.cell, site.within


def is_library(file: str) -> bool:
    """Whether a file is installed, standard, generated or ours: none that the user wrote."""
    if _CELL.search(file):
        return False
    return bool(
        file.startswith("<")
        or _PACKAGES.search(file)
        or _STANDARD.search(file)
        or _OWN.search(file)
    )


def _library_frame(frames: list[Frame]) -> Frame:
    """Return the innermost frame that is in a file."""
    return next((frame for frame in frames if not frame[1].startswith("<")), frames[0])


def _call(frame: Frame) -> str:
    """Return ``pandas read_csv`` of the library function that the user's line called."""
    function, file, _ = frame
    if file.startswith("<frozen importlib"):
        return "import"
    match = _PACKAGES.search(file) or _STANDARD.search(file)
    package = match[1].removesuffix(".py") if match else ""
    if function.startswith("__"):  # says little without its class, which the stack does not know
        function = f"{os.path.basename(file).removesuffix('.py')}.{function}"
    return f"{package} {function}".strip()


def _native(record: Any) -> list[str]:
    """Return the native functions below Python's interpreter, the innermost first.

    Those without a symbol are left out.
    """
    names = [frame[0] for frame in record.native_stack_trace(5 * MOST_NATIVE)]
    below = list(takewhile(lambda name: not _INTERPRETER.match(name), names))
    return [name for name in below if name and not name.startswith("0x")][:MOST_NATIVE]
