"""The memory account of a JVM: smaps, with the addresses that it tells of its parts."""

from __future__ import annotations

import re

from . import account_buckets as buckets
from . import account_words
from .jvm_attach import Jvm, Silent
from .words import packed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

COMMANDS = ("GC.heap_info", "Compiler.codecache", "VM.metaspace vslist", "VM.info")
_ADDRESS = r"0x([0-9a-f]+)"
_HEAP = re.compile(rf"total (\d+)K, used (\d+)K *\[{_ADDRESS}, *(?:{_ADDRESS}, *)?{_ADDRESS}\)")
_CODE = re.compile(rf"bounds \[{_ADDRESS}, *{_ADDRESS}, *{_ADDRESS}\]")
_NODE = re.compile(rf"node #\d+: base {_ADDRESS}: reserved=([\d.]+) (KB|MB|GB)")
_CLASSES = re.compile(rf"Compressed class space mapped at: {_ADDRESS}-{_ADDRESS}")
_TABLES = re.compile(rf"(?:byte_map|Bits|Bitmap|Mark Bits)[^\n\[]*: \[{_ADDRESS}, *{_ADDRESS}")
_UNITS = {"KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}
# Beyond it lies nothing but what the JVM was told about, and no line of its log.
_END_OF_PROCESS = "---------------  S Y S T E M"


def account_of(jvm: Jvm, walker: Any, role: str, direct: int | None) -> dict[str, Any]:
    """Return the row of a JVM in an ``account`` record.

    ``direct``: bytes of its direct buffers, where they are known. Raises ``Silent`` and OSError.
    """
    answers = jvm.ask(COMMANDS)
    parts = [word for part in _parts(answers) for word in part]
    known = packed((account_words.NOT_TOLD, *parts))
    balance = account_words.Balance(memoryview(walker.account(jvm.pid, known)).cast("Q").tolist())
    row = balance.process(jvm.pid, role)
    row["buckets"] = _told(balance.buckets, answers[0], direct)
    return row


def _told(found: dict[str, int], heap: str, direct: int | None) -> dict[str, int]:
    """Split the heap into used and empty, and take the direct buffers out of malloc."""
    told = {name: size for name, size in found.items() if size or name == buckets.UNKNOWN}
    resident = told.pop(buckets.HEAP_USED, 0)
    used = min(resident, sum(int(match[2]) * 1024 for match in _HEAP.finditer(heap)))
    told[buckets.HEAP_USED], told[buckets.HEAP_FREE] = used, resident - used
    if direct is not None:
        inside = min(direct, told.get(buckets.MALLOC_OTHER, 0))
        told[buckets.DIRECT_BUFFERS] = inside
        told[buckets.MALLOC_OTHER] = told.get(buckets.MALLOC_OTHER, 0) - inside
    return told


def _parts(answers: list[str]) -> Iterator[tuple[int, int, int]]:
    """Yield address, bytes and number of bucket of each part."""
    heap, code, metaspace, info = answers
    info = info.partition(_END_OF_PROCESS)[0]
    for match in _HEAP.finditer(heap):
        yield _span(buckets.HEAP_USED, match[3], match[5])
    for match in _CODE.finditer(code):
        yield _span(buckets.CODE_CACHE, match[1], match[3])
    for match in _NODE.finditer(metaspace):
        nbytes = int(float(match[2]) * _UNITS[match[3]])
        yield int(match[1], 16), nbytes, account_words.ORDER.index(buckets.METASPACE)
    for match in _CLASSES.finditer(info):
        yield _span(buckets.METASPACE, match[1], match[2])
    for match in _TABLES.finditer(info):
        yield _span(buckets.GC_STRUCTURES, match[1], match[2])


def _span(bucket: str, start: str, end: str) -> tuple[int, int, int]:
    first = int(start, 16)
    return first, max(0, int(end, 16) - first), account_words.ORDER.index(bucket)


__all__ = ["COMMANDS", "Jvm", "Silent", "account_of"]
