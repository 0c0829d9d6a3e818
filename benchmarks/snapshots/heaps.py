"""The heaps that are looked at, built into a namespace whose names are what a user would cut.

    truth = build("slots-1m", globals())

Imported by the process that is measured: nothing here knows of memprobe. The bytes that a name
alone keeps are known by construction: ``sys.getsizeof`` of every object that only it reaches,
each rounded up to the 16 bytes that Python's allocator counts in, and the sizes of the buffers.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

LABELS = 256  # short texts that the objects of a heap share
MILLION = 1_000_000


@dataclass
class Truth:
    """What is known of a heap: its objects, and per name the bytes that only it keeps."""

    objects: int
    exclusive: dict[str, int] = field(default_factory=dict)
    texts: int = 0  # str objects that only an array of objects refers to
    said: list[str] = field(default_factory=list)  # what is not in it here, and why


class Row:
    """An object with slots: an earlier one, a shared text, nothing."""

    __slots__ = ("above", "label", "note")

    def __init__(self, above: Row | None, label: str) -> None:
        self.above = above
        self.label = label
        self.note = None


def build(name: str, namespace: dict[str, Any]) -> Truth:
    """Build a heap into the namespace; its name is a kind and the millions of objects."""
    kind, _, millions = name.partition("-")
    return _BUILDERS[kind](namespace, int(millions.rstrip("m") or 0) * MILLION)


def _slots(namespace: dict[str, Any], count: int) -> Truth:
    """60 % of the objects kept by `first`, 30 % by `second`, the rest by both."""
    labels = [f"label {number}" for number in range(LABELS)]
    common = _rows(count // 10, labels)
    for name, share in (("first", 60), ("second", 30)):
        namespace[name] = _rows(count * share // 100, labels) + common
    shared = total(common)
    alone = {name: total(namespace[name]) - shared for name in ("first", "second")}
    return Truth(count, {name: size + rounded(namespace[name]) for name, size in alone.items()})


def _rows(count: int, labels: list[str]) -> list[Row]:
    rows: list[Row] = []
    for number in range(count):
        rows.append(Row(rows[number // 2] if number else None, labels[number % LABELS]))
    return rows


def _dicts(namespace: dict[str, Any], count: int) -> Truth:
    """Records of one key; every tenth one is kept by `picked` as well."""
    namespace["records"] = [{"id": number % LABELS} for number in range(count)]
    namespace["picked"] = namespace["records"][::10]
    alone = total(namespace["records"]) - total(namespace["picked"])
    return Truth(
        count,
        {
            "records": alone + rounded(namespace["records"]),
            "picked": rounded(namespace["picked"]),
        },
    )


def _strings(namespace: dict[str, Any], count: int) -> Truth:
    """Make a frame with a column of texts as objects; `picked` keeps every tenth one as well."""
    import numpy
    import pandas

    texts = numpy.empty(count, dtype=object)
    texts[:] = [f"customer {number:08d}" for number in range(count)]
    namespace["picked"] = texts[::10].copy()
    namespace["frame"] = pandas.DataFrame({"customer": pandas.Series(texts, dtype=object)})
    alone = total(texts) - total(namespace["picked"])
    return Truth(
        count, {"frame": alone + 8 * count, "picked": namespace["picked"].nbytes}, texts=count
    )


def _notebook(namespace: dict[str, Any], _: int) -> Truth:
    from snapshots import session

    return session.build(namespace)


def rounded(obj: Any) -> int:
    """Return the bytes of an object as the allocator counts them."""
    return sys.getsizeof(obj) + 15 & ~15


def total(objects: Iterable[Any]) -> int:
    """Return the bytes of the objects themselves, without what they refer to."""
    return sum(map(rounded, objects))


_BUILDERS: dict[str, Callable[[dict[str, Any], int], Truth]] = {
    "slots": _slots,
    "dicts": _dicts,
    "strings": _strings,
    "notebook": _notebook,
}
