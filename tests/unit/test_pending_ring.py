"""The ring of pending calls on made-up memory: what is written where, and what is declined."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from memprobe.targets.pending.address_space import Mapping, Memory
from memprobe.targets.pending.bootstrap_text import author_of, bootstrap_text, read_payload
from memprobe.targets.pending.layout import Layout, from_answer, is_as_measured
from memprobe.targets.pending.refusal import Refused
from memprobe.targets.pending.ring import Busy, Ring

RUNTIME, INTERPRETER, LOCK, GIL, THREAD = 0x10000, 0x20000, 0x30000, 0x38000, 0x3C000
END = 0x40000
TEXT, RUN = 0x15000, 0x11000
OLD = Layout((3, 11, 7), "fe:00", 7, 0, 40, 48, 128, 16, 32, 96, 112, 120, 100, None)
NEW = Layout((3, 13, 0), "fe:00", 7, 0, 632, 640, 56, 24, 300, 8, 40, 44, 24, 16)
MAPS = [Mapping(RUNTIME, END, "rw-p", 0, "00:00", 0, "")]


class Made(Memory):
    """Memory of our own instead of a process's."""

    def __init__(self, layout: Layout) -> None:
        self.data = bytearray(END - RUNTIME)
        self.layout = layout
        for at in (layout.head, layout.main):
            self.put(RUNTIME + at, "<Q", INTERPRETER)
        self.put(INTERPRETER + layout.recursion, "<i", 1000)
        if layout.counts:
            self.put(INTERPRETER + layout.calls, "<3i", 0, 300, 100)
            self.put(INTERPRETER + (layout.gil or 0), "<Q", GIL)
            self.put(GIL + 8, "<Q", THREAD)
            self.put(GIL + 16, "<i", 1)
            self.put(THREAD + layout.breaker, "<Q", 1 << 8)
        else:
            self.put(INTERPRETER + layout.lock, "<Q", LOCK)
            self.put(LOCK, "<Q", 1)

    def put(self, address: int, form: str, *values: int) -> None:
        struct.pack_into(form, self.data, address - RUNTIME, *values)

    def get(self, address: int, form: str) -> tuple[int, ...]:
        return struct.unpack_from(form, self.data, address - RUNTIME)

    def read(self, address: int, size: int) -> bytes:
        start = address - RUNTIME
        if start < 0 or start + size > len(self.data):
            raise OSError("not mapped")
        return bytes(self.data[start : start + size])

    def write(self, address: int, data: bytes) -> None:
        self.data[address - RUNTIME : address - RUNTIME + len(data)] = data

    def numbers(self) -> tuple[int, ...]:
        return self.get(INTERPRETER + self.layout.first, "<2i")

    def fill(self, first: int, following: int) -> None:
        self.put(INTERPRETER + self.layout.first, "<2i", first, following)
        length = (following - first) % self.layout.slots
        if self.layout.counts:
            self.put(INTERPRETER + self.layout.calls, "<i", length)
        for step in range(length):
            number = (first + step) % self.layout.slots
            at = INTERPRETER + self.layout.ring + number * self.layout.slot
            self.put(at, "<QQ", 0x99, 0x1000 + number)


@pytest.fixture(params=[OLD, NEW], ids=["flag", "count"])
def memory(request: pytest.FixtureRequest) -> Made:
    return Made(request.param)


def ring(memory: Made) -> Ring:
    return Ring(memory, MAPS, RUNTIME, memory.layout)


@pytest.mark.parametrize("start", [0, 5, 31])
def test_an_entry_is_the_next_one_and_attention_is_called(memory: Made, start: int) -> None:
    memory.fill(start, start)
    one = ring(memory)
    one.check_still()
    one.add(RUN, TEXT)
    layout = memory.layout
    assert memory.numbers() == (start, (start + 1) % layout.slots)
    assert memory.get(INTERPRETER + layout.ring + start * layout.slot, "<QQ") == (RUN, TEXT)
    assert memory.get(INTERPRETER + layout.calls, "<i") == (1,)
    assert one.holds(TEXT)
    assert one.has_attention()
    if layout.counts:
        assert memory.get(THREAD + layout.breaker, "<Q") == (1 << 8 | 1 << 2,)
    else:
        assert memory.get(INTERPRETER + layout.breaker, "<i") == (1,)


def test_an_entry_that_was_not_taken_is_gone_without_a_trace(memory: Made) -> None:
    memory.fill(3, 5)
    before = bytes(memory.data[INTERPRETER - RUNTIME + memory.layout.ring :])
    one = ring(memory)
    one.add(RUN, TEXT)
    assert one.withdraw(TEXT, harmless=TEXT + 100)
    after = bytes(memory.data[INTERPRETER - RUNTIME + memory.layout.ring :])
    assert after[: GIL - INTERPRETER - 200] == before[: GIL - INTERPRETER - 200]
    assert not one.holds(TEXT)
    assert not one.withdraw(TEXT, harmless=TEXT + 100)


def test_one_that_others_wait_behind_becomes_harmless(memory: Made) -> None:
    one = ring(memory)
    one.add(RUN, TEXT)
    one.add(0x99, 0x1234)
    assert one.withdraw(TEXT, harmless=TEXT + 100)
    assert one.state().waiting == ((RUN, TEXT + 100), (0x99, 0x1234))


def test_a_full_ring_and_a_second_request_are_put_off(memory: Made) -> None:
    memory.fill(4, 3)
    if memory.layout.counts:
        memory.put(INTERPRETER + memory.layout.first, "<2i", 4, 4)
        memory.put(INTERPRETER + memory.layout.calls, "<i", 300)
    with pytest.raises(Busy, match="full"):
        ring(memory).add(RUN, TEXT)
    memory.fill(4, 4)
    one = ring(memory)
    one.add(RUN, TEXT)
    with pytest.raises(Busy, match="waits there already"):
        one.add(RUN, TEXT)


def test_a_ring_that_is_locked_is_put_off(memory: Made) -> None:
    one = ring(memory)
    memory.put(LOCK, "<Q", 0)
    if memory.layout.counts:
        memory.put(INTERPRETER + memory.layout.lock, "<b", 1)
    with pytest.raises(Busy, match="locked"):
        one.check_still()


def test_a_lock_of_another_kind_is_refused() -> None:
    memory = Made(OLD)
    one = ring(memory)
    memory.put(LOCK, "<Q", 0x7F1234567890)
    with pytest.raises(Refused, match="of another kind"):
        one.check_still()
    memory.put(INTERPRETER + OLD.lock, "<Q", 0x50001)
    with pytest.raises(Refused, match="not where"):
        one.check_still()


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda m: m.put(RUNTIME + m.layout.head, "<Q", INTERPRETER + 0x100), "subinterpreters"),
        (lambda m: m.put(RUNTIME + m.layout.main, "<Q", 0), "not up yet"),
        (lambda m: (m.put(RUNTIME + m.layout.main, "<Q", 0x99990),
                    m.put(RUNTIME + m.layout.head, "<Q", 0x99990)), "not up yet"),
        (lambda m: m.put(INTERPRETER + m.layout.recursion, "<i", -1), "not built"),
        (lambda m: m.put(INTERPRETER + m.layout.first, "<2i", 0, 9999), "not where"),
        (lambda m: m.put(INTERPRETER + m.layout.first, "<2i", -1, 0), "not where"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(memory: Made, spoil: object, why: str) -> None:
    spoil(memory)  # type: ignore[operator]
    before = bytes(memory.data)
    with pytest.raises(Refused, match=why):
        ring(memory)
    assert bytes(memory.data) == before


def test_a_count_of_other_bounds_is_refused() -> None:
    memory = Made(NEW)
    memory.put(INTERPRETER + NEW.calls + 4, "<i", 32)
    with pytest.raises(Refused, match="not built as expected"):
        ring(memory)


def test_nobody_is_pointed_at_it_while_nobody_has_the_gil() -> None:
    memory = Made(NEW)
    memory.put(GIL + 16, "<i", 0)
    one = ring(memory)
    one.add(RUN, TEXT)
    assert memory.get(THREAD + NEW.breaker, "<Q") == (1 << 8,)
    assert one.has_attention()  # the next one to take the GIL looks at the count


ANSWER = {
    "version": [3, 12, 1], "debug": False, "device": "fe:00", "inode": 7, "apart": 1, "head": 40,
    "main": 48, "ring": 424, "slot": 16, "slots": 32, "recursion": 376,
    "flags": {"lock": 408, "calls": 416, "breaker": 368},
}  # fmt: skip


def test_a_calibration_is_checked_against_what_is_known() -> None:
    layout = from_answer(ANSWER)
    assert is_as_measured(layout)
    assert not is_as_measured(replace(layout, ring=432))
    with pytest.raises(Refused, match=r"Python 3\.14"):
        from_answer({**ANSWER, "version": [3, 14, 0]})
    with pytest.raises(Refused, match="debug build"):
        from_answer({**ANSWER, "debug": True})
    with pytest.raises(Refused, match="unknown way"):
        from_answer({**ANSWER, "version": [3, 13, 0]})


def test_the_text_is_short_whatever_the_folder_and_cannot_fail(tmp_path: object) -> None:
    text = bootstrap_text(1, read_payload("/run/user/1000/memprobe/0123456789abcdef"))
    assert len(text) < 1000
    assert author_of(text) is not None
    assert author_of(b"\0" * 100) is None
    names = {"__name__": "__main__"}
    exec(text.decode(), names)  # another process's number: nothing happens
    assert set(names) == {"__name__", "__builtins__"}
    exec(text.decode(), {"__builtins__": {}})  # not even exec is there
    exec(text.decode(), {"exec": 1, "BaseException": 2, "__import__": 3})


def test_a_path_with_quotes_stays_a_path() -> None:
    work = read_payload('/tmp/it\'s "here"\\\n')
    compile(bootstrap_text(1, work).decode(), "<text>", "exec")
