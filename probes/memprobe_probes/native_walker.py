"""The native walker that fits this interpreter, loaded from its file, or why there is none.

One file fits every CPython from 3.10 on the same platform. It lies beside this module where that
is a file; a probe that came as text is told by its host where the host's own file is. That path
may mean nothing here, or another file (a container, another machine), so it is looked at first.
Where it lies on a file system that nothing may be executed from, it is loaded from memory.

Nothing is put on ``sys.path`` or into ``sys.modules``. A loaded file stays mapped until the process
ends, as every extension does; the module object goes with the probe, and a later probe makes a new
one.
"""

from __future__ import annotations

import os
import sys

from . import user_signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    # The file's path, or {"path", "sha256"}, or {"missing": why the host has none}.
    Where = str | dict[str, Any] | None
    Loaded = tuple[Any, None] | tuple[None, str]

FILE = "walker.abi3.so"
NAME = "memprobe_probes.walker"
OLDEST, NEWEST = (3, 10), (3, 14)
DIGITS = 16  # hexadecimal, of a file's sha256: they tell versions apart, they are no signature
INTERFACE = 2  # of walker.c, as this version calls it and reads its answers
LARGEST = 16 << 20  # bytes
NOT_BUILT = (
    "was not built when memprobe was installed; install a wheel for this platform, or a C compiler "
    "and Python's headers and then memprobe again"
)
OTHER_VERSION = (
    "is of another version of memprobe than its probe; install memprobe again, or, in a "
    "checkout, build it again: make native"
)
_KIND, _REGULAR, _NOEXEC = 0o170000, 0o100000, 8  # of st_mode; of f_flag

_results: dict[str, Loaded] = {}


class Refused(Exception):
    """Why the walker cannot be used here: what follows on "the native walker"."""


def load(where: Where = None) -> Loaded:
    """Return ``(module, None)``, or ``(None, reason)`` where this process cannot use the walker.

    ``where`` is what the host passed as ``config["walker"]``. Looks once for each ``where``; later
    calls return the same. Only what a signal handler of the program raises passes through.
    """
    key = repr(where)
    if key not in _results:
        _results[key] = _load(where)
    return _results[key]


def described(path: str) -> dict[str, Any]:
    """Return what ``config["walker"]`` says of the file at ``path``. May raise OSError."""
    return {"path": path, "sha256": _digest(_content(path))}


def _load(where: Where) -> Loaded:
    try:
        _refuse_interpreter()
        module = _module(*_place(where))
        _refuse_interface(module)
        told = module.check()
        if told is not None:
            raise Refused(f"does not fit this Python: {told}")
    except Refused as refused:
        return None, f"the native walker {refused}"
    except Exception as error:
        if user_signals.behind(error):
            raise
        return None, f"the native walker cannot be loaded: {_without_folders(error)}"
    return module, None


def _refuse_interpreter() -> None:
    version = sys.version_info[:2]
    if sys.platform != "linux" or sys.maxsize < 2**32:
        raise Refused("needs 64-bit Linux")
    if sys.implementation.name != "cpython":
        raise Refused(f"needs CPython, and this is {sys.implementation.name}")
    if "t" in sys.abiflags:
        raise Refused("needs the GIL, and this is a free-threaded Python")
    if hasattr(sys, "getobjects"):
        raise Refused("cannot read a Python that traces references")
    if not OLDEST <= version <= NEWEST:
        raise Refused("knows Python 3.10 to 3.14, and this is {}.{}".format(*version))


def _refuse_interface(module: Any) -> None:
    """Refuse a file that was built from other sources, as an old build lying about was."""
    told = getattr(module, "interface", None)
    if told is None or told() != INTERFACE:
        raise Refused(OTHER_VERSION)


def _place(where: Where) -> tuple[str, bytes]:
    """Return path and content: of the file beside this module, else of the one that is named."""
    own = _own_file()
    if own is not None and os.path.exists(own):
        content = _content(own)
        _refuse_machine(content)
        return own, content
    if where is None:
        raise Refused(NOT_BUILT)
    return _named({"path": where} if isinstance(where, str) else where)


def _named(where: dict[str, Any]) -> tuple[str, bytes]:
    if "missing" in where:
        raise Refused(where["missing"])
    path = str(where["path"])
    try:
        content = _content(path)
    except (FileNotFoundError, NotADirectoryError):
        raise Refused(
            "is out of sight for this process, as in a container; run memprobe there"
        ) from None
    except PermissionError:
        raise Refused("may not be read by the user that this process runs as") from None
    if "sha256" in where and where["sha256"] != _digest(content):
        raise Refused("is another file for this process, as in a container; run memprobe there")
    _refuse_machine(content)
    return path, content


def _own_file() -> str | None:
    """Return where the file is in an installation; None where this module came as text."""
    here = globals().get("__file__")
    return os.path.join(os.path.dirname(here), FILE) if here else None


def _content(path: str) -> bytes:
    # Without waiting: what is no regular file is refused, a FIFO without a writer too.
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(fd)
        if status.st_mode & _KIND != _REGULAR or status.st_size > LARGEST:
            raise Refused("is no extension module")
        parts = []
        while part := os.read(fd, LARGEST):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(fd)


def _digest(content: bytes) -> str:
    # Not at the top: a script's start must not import it. A script has its own file and is
    # asked nothing; in a kernel it is loaded already.
    from hashlib import sha256

    return sha256(content).hexdigest()[:DIGITS]


def _refuse_machine(content: bytes) -> None:
    """Refuse what is not for this kind of machine."""
    if content[:4] != b"\x7fELF":
        raise Refused("is no extension module")
    ours = _start_of_this_program()
    if ours and (content[4:6], content[18:20]) != (ours[4:6], ours[18:20]):
        # Word size and byte order, then the kind of processor.
        raise Refused("was built for another kind of processor; install memprobe on this one")


def _start_of_this_program() -> bytes:
    try:
        fd = os.open("/proc/self/exe", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(fd, 20)
    finally:
        os.close(fd)


def _module(path: str, content: bytes) -> Any:
    """Return a new module object made from the file at ``path``, or from its content in memory."""
    if not os.statvfs(path).f_flag & _NOEXEC:
        return _module_at(_unused_name(os.path.realpath(path)))
    fd = _in_memory(content)
    try:
        return _module_at(_unused_name(f"/proc/self/fd/{fd}"))
    finally:
        os.close(fd)  # what is mapped stays


def _in_memory(content: bytes) -> int:
    """Return the descriptor of a file that lies in no folder."""
    try:
        fd = os.memfd_create(FILE, os.MFD_CLOEXEC)
    except (AttributeError, OSError):
        raise Refused(
            "lies where nothing may be executed (mounted noexec), and files in memory are not "
            "allowed here"
        ) from None
    try:
        data = memoryview(content)
        while data:
            data = data[os.write(fd, data) :]
    except BaseException:
        os.close(fd)
        raise
    return fd


def _module_at(path: str) -> Any:
    from _frozen_importlib import module_from_spec
    from _frozen_importlib_external import ExtensionFileLoader, spec_from_file_location

    loader = ExtensionFileLoader(NAME, path)
    spec = spec_from_file_location(NAME, path, loader=loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def _unused_name(path: str) -> str:
    """Return ``path`` with a ``./`` in it for every other walker that is mapped here.

    The system's loader takes an equal name for the same file: after an upgrade of memprobe it
    would hand out again what was at this path before.
    """
    others = {
        inode
        for inode, mapped in _mapped_files()
        if mapped != path and mapped.removesuffix(" (deleted)").endswith((f"/{FILE}", f":{FILE}"))
    }
    folder, _, name = path.rpartition("/")
    return f"{folder}/{'./' * len(others)}{name}"


def _mapped_files() -> list[tuple[str, str]]:
    """Return inode and path of everything that is mapped; nothing where that is not told."""
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as lines:
            columns = [line.rstrip("\n").split(None, 5) for line in lines]
    except OSError:
        return []
    return [(one[4], one[5]) for one in columns if len(one) == 6]


def _without_folders(error: Exception) -> str:
    """Return the error's text without the folders in it: a report tells no paths of a machine."""
    words = [word.rpartition("/")[2] for word in str(error).split()]
    return " ".join(words) or type(error).__name__
