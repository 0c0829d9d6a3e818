"""Whether what a tool printed names the holder, the bytes and the cell. By rule, not by taste.

    said(text, case, files) -> Said

- holder: one of the labelled holders' names occurs anywhere in the output. A dotted one needs both
  of its last parts unless the last is distinctive; ``Out[4]`` may be written as ``_oh[4]``, and
  pyplot's list of figures by any of its names. Lines of the program's own source that a tool
  quotes do not count.
- bytes: any size in the output is within ten per cent of the known bytes, read as decimal or as
  binary units, whichever fits.
- cell: an execution that made or holds the object is named: ``cell 4``, ``In[4]``, ``Out[4]``,
  ``_4``, or the file name that IPython gave that cell's code.

Where several readings are possible the one in the tool's favour counts: a size may be a total
that happens to be near, and a name may stand in a long list.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from .cases import Case

NEAR = 0.10
DISTINCTIVE = 8  # letters, or an underscore inside: such a name alone is enough
SHORTEST_QUOTE = 6  # letters; and a line that is only a name is a word that anybody may print
UNITS = {"": 1, "b": 1, "bytes": 1, "k": 1e3, "m": 1e6, "g": 1e9}
NUMBER = r"\d{1,3}(?:,\d{3})+(?!\d)|\d+(?:\.\d+)?"
SIZE = re.compile(rf"(?<![\w.])({NUMBER})\s*(bytes\b|[kKMG]i?B?\b|B\b)?")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Said:
    """What of a fair answer an output holds."""

    named: tuple[str, ...]  # labelled holders that are named
    of: int  # how many there are
    bytes: bool
    cell: bool | None  # None: the program has no cells


def said(
    text: str,
    case: Case,
    source: Iterable[str] = (),
    files: Mapping[int, str] | None = None,
) -> Said:
    """Judge an output. ``source``: the program's lines; ``files``: execution → its code's name."""
    # A graph's label writes its line breaks as \n, which is no letter before what follows.
    text = without_source(COLOUR.sub("", text).replace("\\n", "\n"), source)
    return Said(
        named=tuple(one for one in case.holders if names(text, one)),
        of=len(case.holders),
        bytes=any(abs(size / case.bytes - 1) <= NEAR for size in sizes(text)),
        cell=_names_a_cell(text, case.cells, files or {}) if case.cells else None,
    )


def without_source(text: str, source: Iterable[str]) -> str:
    """Return the output without the program's own lines: quoting a line names no holder."""
    lines = {line.strip() for line in source}
    for line in sorted(lines, key=len, reverse=True):
        if len(line) >= SHORTEST_QUOTE and not re.fullmatch(r"[\w.]+", line):
            text = text.replace(line, " ")
    return text


def names(text: str, holder: str) -> bool:
    """Whether ``holder``, an expression such as ``df`` or ``sys.last_value``, is named."""
    output = re.fullmatch(r"Out\[(\d+)\]", holder)
    if output:
        return re.search(rf"\b(?:Out|_oh)\W{{1,6}}{output[1]}\b", text) is not None
    if holder.startswith("plt.figure"):  # kept by pyplot's own list, whichever way it is called
        return re.search(r"plt\.figure|\bGcf\b|_pylab_helpers", text) is not None
    *_, before, last = ["", *re.findall(r"\w+", holder)]
    if not before or len(last) >= DISTINCTIVE or "_" in last.strip("_") or last[:1] == "_":
        return _word(last, text)
    return _word(last, text) and _word(before, text)


def _word(word: str, text: str) -> bool:
    """Whether ``word`` stands alone; ``core.frame.DataFrame`` is a module's name, and no other."""
    found = re.escape(word)
    alone = rf"(?<![\w.]){found}(?!\w|\.py\b)"
    as_attribute = rf"(?<=\.){found}(?!\w|\.[A-Z]|\.py\b)"
    return re.search(f"{alone}|{as_attribute}", text) is not None


def sizes(text: str) -> Iterator[float]:
    """Yield every number that may be a size, in bytes, in each reading of its unit."""
    for number, unit in SIZE.findall(text):
        amount = float(number.replace(",", ""))
        letter = unit[:1].lower() if unit not in ("B", "bytes") else ""
        yield amount * UNITS[letter]
        yield amount * {"": 1, "k": 2**10, "m": 2**20, "g": 2**30}[letter]


def _names_a_cell(text: str, cells: Iterable[int], files: Mapping[int, str]) -> bool:
    written = r"(?:\b[Cc]ell[ #:]*|\bIn ?\[|\bOut ?\[|(?<!\w)_|ipython-input-){}(?!\d)"
    for cell in cells:
        if re.search(written.format(cell), text):
            return True
        if cell in files and files[cell] in text:
            return True
    return False
