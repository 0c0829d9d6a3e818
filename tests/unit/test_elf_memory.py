"""ELF images are read from memory: symbols by the GNU hash, the end of the variables."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from memprobe.targets.pending.address_space import Mapping, parse_maps
from memprobe.targets.pending.elf import Image, NotAnImage, gnu_hash, images
from memprobe.targets.pending.text_area import area_of

BASE = 0x7F0000000000
DATA = 0x3000


def image(symbols: dict[str, int], *, bss: int = 0x10, relocated: bool = True) -> bytearray:
    """Build an image: header, program headers, dynamic section, one bucket of the hash table."""
    memory = bytearray(0x4000)
    head = struct.pack("<4sBBBB8xHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, 0, 3, 62, 1, 0, 64, 0, 0,
                       64, 56, 3, 0, 0, 0)  # fmt: skip
    memory[: len(head)] = head
    headers = [
        (1, 5, 0, 0, 0, 0x2000, 0x2000, 0x1000),
        (1, 6, 0x3000, DATA, DATA, 0x100, 0x100 + bss, 0x1000),
        (2, 6, 0x3000, DATA, DATA, 0x60, 0x60, 8),
    ]
    for number, fields in enumerate(headers):
        struct.pack_into("<IIQQQQQQ", memory, 64 + 56 * number, *fields)
    names, rows = bytearray(b"\0"), [bytes(24)]
    order = sorted(symbols, key=gnu_hash)
    for name in order:
        rows.append(struct.pack("<IBBHQQ", len(names), 0x12, 0, 7, symbols[name], 8))
        names += name.encode() + b"\0"
    text, table, hashes = 0x400, 0x800, 0xC00
    memory[text : text + len(names)] = names
    memory[table : table + 24 * len(rows)] = b"".join(rows)
    struct.pack_into("<4IQI", memory, hashes, 1, 1, 1, 6, (1 << 64) - 1, 1 if order else 0)
    for number, name in enumerate(order):
        last = number == len(order) - 1
        struct.pack_into("<I", memory, hashes + 28 + 4 * number, gnu_hash(name) & ~1 | last)
    shift = BASE if relocated else 0
    entries = [(5, text + shift), (6, table + shift), (0x6FFFFEF5, hashes + shift), (0, 0)]
    for number, entry in enumerate(entries):
        struct.pack_into("<QQ", memory, DATA + 16 * number, *entry)
    return memory


def reader(memory: bytes) -> Callable[[int, int], bytes]:
    def read(address: int, size: int) -> bytes:
        start = address - BASE
        if start < 0 or start + size > len(memory):
            raise OSError("not mapped")
        return bytes(memory[start : start + size])

    return read


@pytest.mark.parametrize("relocated", [True, False])
def test_a_symbol_is_found_whether_or_not_the_loader_has_moved_the_tables(relocated: bool) -> None:
    built = image({"_PyRuntime": 0x3050, "PyRun_SimpleString": 0x1234}, relocated=relocated)
    found = Image(reader(built), BASE)
    assert found.symbol("_PyRuntime") == BASE + 0x3050
    assert found.symbol("PyRun_SimpleString") == BASE + 0x1234
    assert found.symbol("Py_Main") is None


def test_an_image_without_symbols_has_none() -> None:
    assert Image(reader(image({})), BASE).symbol("_PyRuntime") is None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda memory: memory.__setitem__(slice(0, 4), b"\x7fELG"),
        lambda memory: memory.__setitem__(4, 1),  # 32-bit
        lambda memory: struct.pack_into("<HH", memory, 54, 56, 0),
        lambda memory: struct.pack_into("<HH", memory, 54, 32, 3),
    ],
)
def test_what_is_no_64_bit_image_is_refused(spoil: Callable[[bytearray], None]) -> None:
    memory = image({"a": 1})
    spoil(memory)
    with pytest.raises(NotAnImage):
        Image(reader(memory), BASE)


def test_a_hash_chain_without_an_end_ends_in_an_error() -> None:
    memory = image({"one": 1})
    struct.pack_into("<I", memory, 0xC00 + 28, gnu_hash("one") & ~1)
    read = reader(memory)

    def endless(address: int, size: int) -> bytes:
        return bytes(size) if address >= BASE + 0xC20 and size == 4 else read(address, size)

    with pytest.raises(NotAnImage, match="does not end"):
        Image(endless, BASE).symbol("other")


def test_the_hash_is_that_of_the_linker() -> None:
    assert gnu_hash("") == 5381
    assert gnu_hash("printf") == 0x156B2BB8


def test_the_unused_end_of_the_last_page_is_the_place_for_a_text() -> None:
    found = Image(reader(image({}, bss=0x110)), BASE)
    assert found.data_end == BASE + 0x3210
    page = Mapping(BASE + 0x3000, BASE + 0x4000, "rw-p", 0x3000, "fe:00", 7, "/lib/libpython.so")
    area = area_of(found, [page], heap=1)
    assert area is not None
    assert (area.address, area.room) == (BASE + 0x3210, 0xDF0)


@pytest.mark.parametrize(
    ("permissions", "path", "heap"),
    [
        ("r--p", "/x", 1), ("rw-s", "/x", 1), ("rwxp", "/x", 1),
        ("rw-p", "[heap]", 1),
        ("rw-p", "/x", None),  # where the heap starts is not known
        ("rw-p", "/x", BASE + 0x3210),  # without randomised addresses it starts right there
    ],
)  # fmt: skip
def test_a_place_that_may_be_somebodys_is_none(
    permissions: str, path: str, heap: int | None
) -> None:
    found = Image(reader(image({}, bss=0x110)), BASE)
    page = Mapping(BASE + 0x3000, BASE + 0x4000, permissions, 0x3000, "fe:00", 7, path)
    assert area_of(found, [page] if permissions != "rwxp" else [], heap) is None


def test_a_page_that_is_used_to_its_end_has_no_room() -> None:
    found = Image(reader(image({}, bss=0xF00)), BASE)
    page = Mapping(BASE + 0x3000, BASE + 0x4000, "rw-p", 0x3000, "fe:00", 7, "/x")
    assert area_of(found, [page], heap=1) is None


MAPS = """\
55d0a0000000-55d0a0001000 r--p 00000000 fe:00 11 /usr/bin/etl server
7f0000000000-7f0000001000 r--p 00000000 fe:00 12 /usr/lib/libc.so.6
7f0000001000-7f0000002000 r-xp 00001000 fe:00 12 /usr/lib/libc.so.6
7f0000003000-7f0000004000 r--p 00000000 fe:00 13 /opt/lib/libpython3.11.so.1.0
7f0000005000-7f0000006000 rw-p 00000000 00:00 0
7ffd00000000-7ffd00001000 rw-p 00000000 00:00 0 [stack]
"""


def test_maps_are_parsed_and_pythons_are_looked_at_first() -> None:
    maps = parse_maps(MAPS)
    assert (maps[0].path, maps[0].inode, maps[4].path) == ("/usr/bin/etl server", 11, "")
    assert [one.is_code for one in maps] == [False, False, True, False, False, False]
    assert [one.inode for one in images(maps)] == [11, 13, 12]


def test_a_real_image_agrees_with_nm() -> None:
    library = next(
        (one for one in images(parse_maps(Path("/proc/self/maps").read_text()))
         if "/libc.so" in one.path or "/libc-" in one.path), None
    )  # fmt: skip
    if library is None:
        pytest.skip("this process does not use glibc")
    with open("/proc/self/mem", "rb", buffering=0) as file:

        def read(address: int, size: int) -> bytes:
            file.seek(address)
            return bytes(file.read(size))

        found = Image(read, library.start)
        address = found.symbol("getpid")
    told = subprocess.run(["nm", "-D", library.path], capture_output=True, text=True, check=False)
    lines = [line.split() for line in told.stdout.splitlines()]
    wanted = [int(one[0], 16) for one in lines if one[2:] and one[2].split("@")[0] == "getpid"]
    if not wanted:
        pytest.skip("nm is not installed")
    assert address == library.start + wanted[0]
