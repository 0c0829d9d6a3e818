"""Where CPython keeps its pending calls, found out by a fresh interpreter about itself.

This file's text is run by an interpreter of the target's own kind (``python -I -S -c``), never in
the target. Inside of a pending call, with the GIL held, it adds three more and looks at what has
changed in its own memory. It prints what it found as JSON; every doubt is an error. Standard
library only, any CPython from 3.10 on.
"""

# mypy: allow-untyped-defs, allow-untyped-calls, ignore-errors
import ctypes
import json
import struct
import sys
from functools import partial

MAGIC = (0x4D454D50524F4201, 0x4D454D50524F4202, 0x4D454D50524F4203)
RECURSION = 4321  # a limit that no other word has by chance
NEW = sys.version_info >= (3, 13)
PER_INTERPRETER = sys.version_info >= (3, 12)
SLOT = 24 if NEW else 16
SLOTS = 300 if NEW else 32
SPAN = 8192 if NEW else 2048  # bytes of the interpreter's state that are looked at
CALLS_TO_DO = 1 << 2  # 3.13: a thread's bit


def word(data, at):
    """Return the 8-byte number at an offset."""
    return struct.unpack_from("<Q", data, at)[0]


def half(data, at):
    """Return the signed 4-byte number at an offset."""
    return struct.unpack_from("<i", data, at)[0]


def check(fact, what):
    """End with the reason unless it is a fact."""
    if not fact:
        raise SystemExit("unknown layout: " + what)


def one_of(found, what):
    """Return the only element."""
    check(len(found) == 1, f"{len(found)} candidates for {what}")
    return found[0]


def runtime_offsets(runtime, interpreter):
    """Return where _PyRuntime keeps the first and the main interpreter."""
    data = ctypes.string_at(runtime, 2048)
    pairs = [
        at
        for at in range(0, 2032, 8)
        if word(data, at) == interpreter and word(data, at + 8) == interpreter
    ]
    head = one_of(pairs, "the list of interpreters")
    return head, head + 8


def observed(api, interpreter, tstate):
    """Return memory before and after three calls were added, the state of the thread as well."""
    kind = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
    harmless = [kind(lambda argument: 0) for _ in MAGIC]
    addresses = [ctypes.cast(one, ctypes.c_void_p).value for one in harmless]
    seen = []
    # Between adding and looking no line of Python may run: 3.13 clears its bit there.
    memory = [partial(ctypes._string_at, interpreter, SPAN), partial(ctypes._string_at, tstate, 64)]
    adding = [
        partial(
            api._PyEval_AddPendingCall,
            ctypes.c_void_p(interpreter),
            function,
            ctypes.c_void_p(magic),
            0,
        )
        if PER_INTERPRETER
        else partial(api.Py_AddPendingCall, function, ctypes.c_void_p(magic))
        for function, magic in zip(harmless, MAGIC)
    ]

    def called(argument):
        found = list(map(partial.__call__, [*memory, *adding, *memory]))
        if not any(found[2:5]):
            seen.extend([found[:2], found[5:]])
        return 0

    first = kind(called)
    check(api.Py_AddPendingCall(first, None) == 0, "a call could not be added")
    for _ in range(100000):
        if len(seen) == 2:
            break
    check(len(seen) == 2, "the call was not run")
    return seen[0], seen[1], addresses


def ring(before, after, addresses):
    """Return where the first slot lies, and the numbers behind the last one."""
    places = [
        one_of(
            [
                at
                for at in range(0, SPAN - 16, 8)
                if after[at : at + 16] == struct.pack("<QQ", address, magic)
            ],
            "a call",
        )
        for address, magic in zip(addresses, MAGIC)
    ]
    check(places[1] - places[0] == SLOT and places[2] - places[1] == SLOT, "size of a slot")
    starts = [
        start
        for start in range(places[0] % SLOT, places[0] + 1, SLOT)
        if start + SLOTS * SLOT + 8 <= SPAN
        and half(before, start + SLOTS * SLOT) == (places[0] - start) // SLOT
        and half(before, start + SLOTS * SLOT + 4) == (places[0] - start) // SLOT
        and half(after, start + SLOTS * SLOT) == (places[0] - start) // SLOT
        and half(after, start + SLOTS * SLOT + 4) == (places[0] - start) // SLOT + 3
    ]
    return one_of(starts, "the ring")


def old_flags(before, after, start):
    """3.10 to 3.12: one flag of the interpreter, one of its pending calls, and a lock."""
    changed = [
        at
        for at in range(start - 64, start, 4)
        if at >= 0 and (half(before, at), half(after, at)) == (0, 1)
    ]
    calls = start - 8
    check(calls in changed, "calls_to_do")
    changed.remove(calls)
    breaker = one_of(changed, "the eval breaker")
    lock = word(after, start - 16)
    check(lock > 4096 and lock % 4 == 0, "the lock")
    check(word(ctypes.string_at(lock, 8), 0) == 1, "a lock that is free")
    return {"lock": start - 16, "calls": calls, "breaker": breaker}


def new_flags(before, after, start, threads, tstate):
    """3.13: a byte as lock, a count, and a bit of the thread that holds the GIL."""
    check(before[start - 16] == 0 and after[start - 16] == 0, "a mutex that is free")
    check((half(before, start - 12), half(after, start - 12)) == (0, 3), "the count")
    check((half(after, start - 8), half(after, start - 4)) == (300, 100), "max and maxloop")
    gil = word(after, start - 40)
    held = ctypes.string_at(gil, 24)
    check(word(held, 8) == tstate and half(held, 16) == 1, "the GIL")
    changed = [at for at in range(0, 64, 8) if word(threads[0], at) != word(threads[1], at)]
    bits = one_of(changed, "the thread's eval breaker")
    check(word(threads[0], bits) & CALLS_TO_DO == 0, "a bit that is not set")
    check(word(threads[1], bits) == word(threads[0], bits) | CALLS_TO_DO, "the bit")
    return {"lock": start - 16, "calls": start - 12, "breaker": bits, "gil": start - 40}


def maps_line(address):
    """Return the fields of the mapping that an address lies in."""
    with open("/proc/self/maps") as file:
        for line in file:
            fields = line.split(None, 5)
            low, _, high = fields[0].partition("-")
            if int(low, 16) <= address < int(high, 16):
                return fields
    raise SystemExit("unknown layout: nothing is mapped there")


def main():
    """Find out, and print."""
    check(sys.implementation.name == "cpython", "not CPython")
    check("t" not in sys.abiflags, "free-threaded")
    check(struct.calcsize("P") == 8 and sys.byteorder == "little", "not 64-bit")
    sys.setrecursionlimit(RECURSION)
    api = ctypes.pythonapi
    api.PyInterpreterState_Main.restype = ctypes.c_void_p
    api.PyThreadState_Get.restype = ctypes.c_void_p
    runtime = ctypes.addressof(ctypes.c_char.in_dll(api, "_PyRuntime"))
    run = ctypes.cast(api.PyRun_SimpleString, ctypes.c_void_p).value
    interpreter, tstate = api.PyInterpreterState_Main(), api.PyThreadState_Get()
    head, main_at = runtime_offsets(runtime, interpreter)
    before, after, addresses = observed(api, interpreter, tstate)
    start = ring(before[0], after[0], addresses)
    if NEW:
        flags = new_flags(before[0], after[0], start, (before[1], after[1]), tstate)
    else:
        flags = old_flags(before[0], after[0], start)
    limits = [at for at in range(max(0, start - 64), start, 4) if half(after[0], at) == RECURSION]
    code = maps_line(run)
    print(
        json.dumps(
            {
                "version": list(sys.version_info[:3]),
                "debug": hasattr(sys, "gettotalrefcount"),
                "device": code[3],
                "inode": int(code[4]),
                "apart": run - runtime,
                "head": head,
                "main": main_at,
                "ring": start,
                "slot": SLOT,
                "slots": SLOTS,
                "recursion": one_of(limits, "the recursion limit"),
                "flags": flags,
            }
        )
    )


if __name__ == "__main__":
    main()
