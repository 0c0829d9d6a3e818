"""The native walker (walker.c): what its functions take and give.

A request is ``(roots, held, kinds, stops, cuts, parts, asked, arrays, limits)``, made by
``native_request``: two lists of objects, then bytes of 8-byte words. An answer is bytes that
``native_answer`` reads. Sizes are bytes; addresses are those that ``id`` returns.
"""

from typing import Any

Request = tuple[list[Any], list[Any], bytes, bytes, bytes, bytes, bytes, bytes, bytes]

def interface() -> int:
    """Return the number of this interface, which ``native_walker.INTERFACE`` has to be."""

def check() -> str | None:
    """Return None where this interpreter's objects look as expected, else the reason in words."""

def abilities(one_in_python: type, /) -> tuple[str | None, str | None]:
    """Prepare; return why garbage, and why what goes back to the system, cannot be told here."""

def size(object: Any, sizer: int, /) -> int:
    """Return the bytes of an object, as the walk reads them by the way ``sizer``."""

def array(object: Any, layout: bytes, /) -> tuple[int, int, int, int]:
    """Return of an ndarray: lowest and highest address, bytes of elements, address of its base."""

def position(container: list[Any] | tuple[Any, ...], address: int, /) -> int:
    """Return the index of the object at an address, -1 where it is not in the container."""

def scout(request: Request, /) -> tuple[list[type], list[Any], int, bool]:
    """Walk a little way; return unknown classes, objects to be asked, nodes, and whether whole."""

def here(request: Request, /) -> bytes:
    """Walk in this process and return the answer. Raises MemoryError past the request's limit."""

def spawn(request: Request, out: int, seconds: int, known: bytes | None = None, /) -> int:
    """Walk in a copy of this process that writes its answer to the descriptor ``out``.

    With ``known`` (as ``account_words.known`` makes it) the words of an account come behind it.

    Returns the copy's pid; it ends after ``seconds`` at the latest. Raises OSError or MemoryError.
    """

def rest(pid: int, milliseconds: int, /) -> None:
    """Return when a copy has ended, or after so long, or for a signal. Frees the GIL."""

def wait(pid: int, block: bool | int, /) -> tuple[int, int] | None:
    """Return wait status and CPU time (ns) of a copy that ended, or None while it runs.

    Raises OSError.
    """

def account(pid: int, known: bytes, /) -> bytes:
    """Return the words of the account of another process, read from outside. Raises OSError."""

def malloc() -> tuple[int, int] | None:
    """Return the bytes in use of glibc's malloc and those free in it; None before glibc 2.33."""

def _returned(blocks: bytes, buffers: bytes, /) -> tuple[int, int]:
    """Return the bytes that go back to the system, with a trim and without (for tests)."""
