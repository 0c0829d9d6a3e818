"""Stopping every thread of a process for a moment, by ptrace, and letting all of them go on.

No register is changed (but see ``Stop.interrupt_wait``) and no code of the target is called. When
this process dies meanwhile, the kernel lets the target go on by itself. All calls are made from
one thread, as ptrace wants it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import time
from types import TracebackType

_SEIZE, _INTERRUPT, _DETACH, _GETREGS, _SETREGS = 0x4206, 0x4207, 17, 12, 13
_WALL = 0x40000000
_EVENT_STOP = 128
_ENDED = -1  # instead of a signal: the thread has ended
DEADLINE = 0.5  # seconds until all threads must stand still: the first ones wait for the last
LOOK = 0.00005  # seconds between two looks
# struct user_regs_struct of x86_64: 27 words
_REGISTERS = 27
_RAX, _ORIG_RAX, _RSI = 10, 15, 13
_FUTEX, _FUTEX_WAIT, _FUTEX_WAIT_BITSET, _FUTEX_COMMAND = 202, 0, 9, 0x7F
_RESTARTS = (-512, -516)  # the call was interrupted and would go on
_EINTR = -4


class CannotStop(OSError):
    """Not all threads could be stopped in time; the target goes on. It may be tried again."""


class Gone(OSError):
    """The process has ended."""


class Denied(PermissionError):
    """Another tracer is there, or the kernel does not allow it."""


def _ptrace(request: int, tid: int, address: int = 0, data: int = 0) -> None:
    library = _libc()
    if library.ptrace(request, tid, address, data) == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _libc() -> ctypes.CDLL:
    global _library
    if _library is None:
        _library = ctypes.CDLL(None, use_errno=True)
        _library.ptrace.restype = ctypes.c_long
        _library.ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
    return _library


_library: ctypes.CDLL | None = None


class Stop:
    """All threads of process ``pid`` stand still inside of the ``with`` block.

    Raises CannotStop, Gone or Denied on entering; the target is untouched then.
    """

    def __init__(self, pid: int) -> None:
        _libc()  # loaded while the target still runs
        self.pid = pid
        self.seconds = 0.0  # that it stood still, afterwards
        self._stopped: dict[int, int] = {}  # tid → the signal that it is owed
        self._seized: set[int] = set()
        self._began = 0.0

    def __enter__(self) -> Stop:
        self._began = time.perf_counter()
        try:
            self._stop_all(time.monotonic() + DEADLINE)
        except BaseException:
            self._let_go()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._let_go()
        self.seconds = time.perf_counter() - self._began

    def interrupt_wait(self, tid: int) -> bool:
        """Have a thread's wait for a lock end as by a signal (EINTR); whether it was in one.

        Every caller of a futex has to bear that: it is what each signal does to it.
        """
        registers = (ctypes.c_longlong * _REGISTERS)()
        _ptrace(_GETREGS, tid, 0, ctypes.addressof(registers))
        command = registers[_RSI] & _FUTEX_COMMAND
        waits = (
            registers[_ORIG_RAX] == _FUTEX
            and command in (_FUTEX_WAIT, _FUTEX_WAIT_BITSET)
            and registers[_RAX] in _RESTARTS
        )
        if waits:
            registers[_RAX] = _EINTR
            _ptrace(_SETREGS, tid, 0, ctypes.addressof(registers))
        return waits

    def _stop_all(self, deadline: float) -> None:
        self._refuse_uninterruptible()
        while new := [tid for tid in self._threads() if tid not in self._seized]:
            for tid in new:
                self._seize(tid)
            for tid in new:
                if self._stopped.get(tid) != _ENDED:
                    self._await(tid, deadline)
        if all(owed == _ENDED for owed in self._stopped.values()):
            raise Gone(f"process {self.pid} has ended")

    def _refuse_uninterruptible(self) -> None:
        """Raise CannotStop where a thread is in the kernel and would keep the others waiting.

        So is each one that starts a child (``vfork``), until the child runs its program.
        """
        for tid in self._threads():
            if state_of(self.pid, tid) == "D":
                raise CannotStop(f"thread {tid} is in the kernel")

    def _threads(self) -> list[int]:
        try:
            return [int(name) for name in os.listdir(f"/proc/{self.pid}/task")]
        except (FileNotFoundError, ProcessLookupError):
            raise Gone(f"process {self.pid} has ended") from None

    def _seize(self, tid: int) -> None:
        try:
            _ptrace(_SEIZE, tid)
            self._seized.add(tid)
            _ptrace(_INTERRUPT, tid)
        except ProcessLookupError:
            self._seized.add(tid)
            self._stopped[tid] = _ENDED
        except PermissionError as error:
            # So it is for a thread that is just ending, too.
            if state_of(self.pid, tid) in ("Z", "X", ""):
                self._seized.add(tid)
                self._stopped[tid] = _ENDED
            elif _tracer(self.pid, tid):
                raise Denied(error.errno, "another process traces it") from None
            else:
                raise CannotStop(error.errno, f"thread {tid} may not be traced") from None

    def _await(self, tid: int, deadline: float) -> None:
        while (status := self._look(tid)) is None:
            if time.monotonic() > deadline:
                raise CannotStop(f"thread {tid} did not stop: it is in the kernel")
            time.sleep(LOOK)
        self._stopped[tid] = status

    @staticmethod
    def _look(tid: int) -> int | None:
        """Return the signal that a stopped thread is owed, 0 for none; None: not stopped yet."""
        try:
            who, status = os.waitpid(tid, os.WNOHANG | _WALL)
        except ChildProcessError:
            return _ENDED
        if who != tid:
            return None
        if not os.WIFSTOPPED(status):
            return _ENDED
        return 0 if status >> 16 == _EVENT_STOP else os.WSTOPSIG(status)

    def _let_go(self) -> None:
        for tid, owed in self._stopped.items():
            self._detach(tid, owed)
        # A thread that the kernel kept (a child's vfork) would stop later, with nobody to let it
        # go: so we stay until it has stopped. Where we are killed meanwhile, the kernel does it.
        for tid in self._seized - set(self._stopped):
            while (owed := self._look(tid)) is None:  # type: ignore[assignment]
                time.sleep(LOOK)
            self._detach(tid, owed)
        self._seized.clear()
        self._stopped.clear()

    def _detach(self, tid: int, owed: int) -> None:
        if owed == _ENDED:
            self._look(tid)  # its parent is told only after us
            return
        with contextlib.suppress(OSError):  # it has ended
            _ptrace(_DETACH, tid, 0, owed)


def _tracer(pid: int, tid: int) -> int:
    """Return the PID of whoever traces a thread, 0 for nobody."""
    try:
        with open(f"/proc/{pid}/task/{tid}/status", encoding="ascii", errors="replace") as file:
            for line in file:
                if line.startswith("TracerPid:"):
                    return int(line.split()[1])
    except (OSError, ValueError):
        pass
    return 0


def state_of(pid: int, tid: int) -> str:
    """Return the letter of a thread's state: ``R S D T t Z X``; empty: it has ended."""
    try:
        with open(f"/proc/{pid}/task/{tid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0].decode()
    except (OSError, IndexError):
        return ""
