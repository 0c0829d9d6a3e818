"""py4j's text protocol: what a request and an answer look like. Pure: no socket, no state.

A request is lines of text that end with a line ``e``; each argument is a line that begins with
the letter of its type. An answer is one line: ``!y``, the letter of a type and a value, or
``!x`` and what was thrown.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_INT_MAX = 2**31 - 1
_INT_MIN = -(2**31)
_REFERENCES = frozenset("rtlahg")  # object, array, list, map, set, iterator
_NOTHING = frozenset("vno")  # void, null, no such member
_LONGEST_CLASS = 200
_JAVA_FLOATS = {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}


class JvmError(Exception):
    """The JVM threw something; ``java_class`` is its class, without its message."""

    def __init__(self, java_class: str) -> None:
        super().__init__(java_class)
        self.java_class = java_class


class Handle:
    """An object of the JVM that we obtained: it stays in memory there until we release it.

    ``kind`` is py4j's letter: ``r`` object, ``t`` array, ``l`` list, ``a`` map, ``h`` set,
    ``g`` iterator.
    """

    __slots__ = ("id", "kind")

    def __init__(self, id: str, kind: str = "r") -> None:
        self.id = id
        self.kind = kind


class Foreign:
    """An object of the JVM that somebody else holds: we may call it, and never release it.

    Raises ValueError where ``id`` cannot be one.
    """

    __slots__ = ("id",)

    def __init__(self, id: str) -> None:
        if not id or not id.replace("_", "").isalnum():
            raise ValueError("no id of an object of the JVM")
        self.id = id


class Long:
    """A number to pass as a ``long`` however small it is."""

    __slots__ = ("value",)

    def __init__(self, value: int) -> None:
        self.value = value


class Thrown:
    """An answer that stands for an exception: its class, or the object to ask for that."""

    __slots__ = ("handle", "java_class")

    def __init__(self, java_class: str, handle: Handle | None = None) -> None:
        self.java_class = java_class
        self.handle = handle


def request(target: Any, method: str, args: tuple[Any, ...]) -> str:
    """Return the request that calls ``method`` of a Handle, a Foreign or a class's name."""
    name = f"z:{target}" if type(target) is str else target.id
    parts = "".join(argument(value) for value in args)
    return f"c\n{name}\n{method}\n{parts}e\n"


def argument(value: Any) -> str:
    """Return one argument as a line; TypeError where the protocol has no type for it."""
    if value is None:
        return "n\n"
    kind = type(value)
    if kind is bool:
        return f"b{'true' if value else 'false'}\n"
    if kind is int:
        return f"{'i' if _INT_MIN <= value <= _INT_MAX else 'L'}{value}\n"
    if kind is float:
        return f"d{_JAVA_FLOATS.get(repr(value), repr(value))}\n"
    if kind is str:
        return f"s{escaped(value)}\n"
    if kind is Long:
        return f"L{value.value}\n"
    if kind is Handle or kind is Foreign:
        return f"r{value.id}\n"
    raise TypeError(f"{kind.__name__} is no argument")


def escaped(text: str) -> str:
    """Return ``text`` on one line."""
    return text.replace("\\", "\\\\").replace("\r", "\\r").replace("\n", "\\n")


def unescaped(text: str) -> str:
    """Return the text that ``escaped`` made ``text`` of."""
    parts = text.split("\\\\")
    return "\\".join(part.replace("\\n", "\n").replace("\\r", "\r") for part in parts)


def answer(line: str) -> Any:
    """Return what an answer says: a value, a Handle or a Thrown; ValueError where it is none."""
    text = line[1:] if line.startswith("!") else line
    if text.startswith("y"):
        return _value(text[1:2], text[2:])
    if text.startswith(("x", "z")):
        return _thrown(text[1:2], text[2:])
    raise ValueError("no answer of a gateway")


def _value(kind: str, text: str) -> Any:
    if kind in _REFERENCES:
        return Handle(text, kind)
    if kind in _NOTHING or not kind:
        return None
    if kind == "s":
        return unescaped(text)
    if kind in "iL":
        return int(text)
    if kind == "b":
        return text.lower() == "true"
    if kind in "dD":
        return float(text)
    return text  # bytes as base64, packages, classes: never asked for


def _thrown(kind: str, text: str) -> Thrown:
    if kind == "r":
        return Thrown("", Handle(text))
    # The text is a stack trace whose message may tell something of the user's: only the class.
    first = text.lstrip().split(":", 1)[0].split("\\n", 1)[0].strip()
    named = first.replace(".", "").replace("$", "").replace("_", "").isalnum()
    return Thrown(first[:_LONGEST_CLASS] if named else "py4j.Py4JException")
