"""Which allocation of a log a block belongs to: certain, probable, or not told at all."""

from __future__ import annotations

from dataclasses import dataclass

from memprobe.recording.schema import Group, Place, Site
from memprobe.targets.allocation_places import ARENAS, FREE, MMAP, MUNMAP, Hit, Live, Wanted
from memprobe.targets.allocation_stacks import Stacks, is_library

MALLOC = 6
ARENA = ARENAS[1]
LIBRARY = "/opt/python/lib/python3.11/site-packages/numpy/_core/numeric.py"


@dataclass
class Record:
    """What memray tells of one allocation or free."""

    address: int
    size: int
    allocator: int = MALLOC
    line: int = 1
    file: str = "/home/ada/etl.py"

    def stack_trace(self, most: int) -> list[tuple[str, str, int]]:
        return [("load", self.file, self.line), ("<module>", self.file, 99)]

    def native_stack_trace(self, most: int) -> list[tuple[str, str, int]]:
        names = ["malloc", "0x7f00", "PyArray_Empty", "_PyEval_EvalFrameDefault", "main"]
        return [(name, "lib.so", 0) for name in names]


def found(records: list[Record], *groups: list[tuple[int, int, int]]) -> dict[int, list[Hit]]:
    """Return what is found of groups with these places: address, bytes, stands for."""
    made = [group([Place(address=a, bytes=b, stands_for=s) for a, b, s in rows]) for rows in groups]
    return Live(records, Wanted(made)).found()


def group(places: list[Place]) -> Group:
    return Group(holders=[0], bytes=sum(place.stands_for for place in places), places=places)


def told(hits: list[Hit]) -> list[tuple[int, int, bool]]:
    return [(hit.record.line, hit.bytes, hit.own) for hit in hits]


def test_an_allocation_of_the_same_size_is_the_blocks_own() -> None:
    hits = found([Record(0x1000, 8000, line=41)], [(0x1000, 8000, 50_000)])
    assert told(hits[0]) == [(41, 50_000, True)]


def test_what_was_freed_and_allocated_anew_counts_by_the_last_allocation() -> None:
    records = [
        Record(0x1000, 8000, line=1),
        Record(0x1000, 0, FREE),
        Record(0x1000, 8000, line=2),
    ]
    assert told(found(records, [(0x1000, 8000, 8000)])[0]) == [(2, 8000, True)]


def test_a_freed_block_is_not_told() -> None:
    records = [Record(0x1000, 8000), Record(0x1000, 0, FREE)]
    assert found(records, [(0x1000, 8000, 8000)]) == {}


def test_the_header_before_an_object_is_part_of_its_allocation() -> None:
    assert told(found([Record(0x1000, 600, line=5)], [(0x1010, 584, 584)])[0]) == [(5, 584, True)]


def test_a_small_object_in_a_page_of_pythons_allocator_is_only_probably_from_there() -> None:
    hits = found([Record(0x100000, ARENA, MMAP, line=8)], [(0x100500, 64, 1_000_000)])
    assert told(hits[0]) == [(8, 1_000_000, False)]


def test_nothing_is_told_of_what_lies_in_the_pool_of_a_library() -> None:
    pool = Record(0x100000, 1 << 30, MMAP, line=4)
    assert found([pool], [(0x200000, 5_000_000, 5_000_000)]) == {}


def test_a_mapping_made_for_one_block_is_its_own() -> None:
    mapped = Record(0x100000, 5_000_192, MMAP, line=4)
    assert told(found([mapped], [(0x100000, 5_000_000, 7)])[0]) == [(4, 7, True)]


def test_a_mapping_that_was_cut_holds_only_what_is_left_of_it() -> None:
    records = [Record(0x100000, ARENA, MMAP, line=8), Record(0x100000, 0x1000, MUNMAP)]
    places = [(0x100500, 64, 1), (0x102000, 64, 2)]
    assert told(found(records, places)[0]) == [(8, 2, False)]


def test_a_table_of_unknown_address_is_found_by_its_exact_size_where_only_one_has_it() -> None:
    records = [Record(0x1000, 80_056, line=3), Record(0x9000, 80_064, line=4)]
    assert told(found(records, [(0, 80_056, 80_056)])[0]) == [(3, 80_056, True)]


def test_between_two_lines_with_tables_of_one_size_nobody_chooses() -> None:
    records = [Record(0x1000, 80_000, line=3), Record(0x90000, 80_000, line=4)]
    assert found(records, [(0, 80_000, 80_000)]) == {}


def test_tables_of_one_size_from_one_line_need_no_choice() -> None:
    records = [Record(0x100000 * n, 80_000, line=3) for n in range(1, 4)]
    hits = found(records, [(0, 80_000, 10)], [(0, 80_000, 20)])
    assert {at: told(rows) for at, rows in hits.items()} == {0: [(3, 10, True)], 1: [(3, 20, True)]}


def test_all_tables_of_one_size_being_one_groups_need_no_choice() -> None:
    records = [Record(0x1000, 80_000, line=3), Record(0x90000, 80_000, line=4)]
    hits = found(records, [(0, 80_000, 10), (0, 80_000, 10)])
    assert sorted(told(hits[0])) == [(3, 10, True), (4, 10, True)]


def test_address_space_is_told_apart_from_pages_of_objects() -> None:
    records = [Record(0x100000, ARENA, MMAP), Record(0x40000000, 1 << 30, MMAP, line=4)]
    reserved = list(Live(records, Wanted([])).reserved())
    assert told(reserved) == [(4, 1 << 30, True)]


def test_the_line_is_the_users_and_the_call_is_the_librarys() -> None:
    frames = [("_alloc", LIBRARY, 9), ("ones", LIBRARY, 232), ("load", "/home/ada/etl.py", 41)]
    site = Stacks({}, native=False).site(frames)
    assert (site.file, site.line, site.function, site.within) == (
        "etl.py",
        41,
        "load",
        "numpy ones",
    )


def test_without_a_line_of_the_users_it_is_the_innermost_in_a_file() -> None:
    frames = [("find", "<frozen importlib._bootstrap>", 3), ("ones", LIBRARY, 232)]
    assert Stacks({}, native=False).site(frames) == Site(
        file="numeric.py", line=232, function="ones"
    )


def test_a_cells_file_becomes_its_number() -> None:
    frames = [("<module>", "/tmp/ipykernel_77/123.py", 3)]
    site = Stacks({"123.py": 7}, native=False).site(frames)
    assert (site.cell, site.line, site.function) == (7, 3, None)


def test_a_place_is_certain_where_nearly_all_of_its_bytes_are() -> None:
    one = Record(0x1000, 10)
    stacks = Stacks({}, native=False)
    assert [site.certain for site in stacks.merged([(one, 95, True), (one, 5, False)])] == [True]
    assert [site.certain for site in stacks.merged([(one, 50, True), (one, 50, False)])] == [False]


def test_native_functions_end_where_the_interpreter_begins() -> None:
    site = Stacks({}, native=True).merged([(Record(0x1000, 10), 10, True)])[0]
    assert site.native == ["malloc", "PyArray_Empty"]


def test_what_is_installed_is_no_line_of_the_users() -> None:
    assert is_library(LIBRARY)
    assert is_library("/usr/lib/python3.11/json/decoder.py")
    assert is_library("<frozen importlib._bootstrap>")
    assert not is_library("/home/ada/etl.py")
    assert not is_library("/tmp/ipykernel_77/123.py")
