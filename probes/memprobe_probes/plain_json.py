"""JSON by the C code behind the ``json`` package, without that package.

``json`` imports ``re`` and ``enum``: five of the milliseconds by which a probe delays the start
of every script. The C functions are the ones ``json`` itself calls; where an interpreter has
none, or other ones, the package is used.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def dumps(value: Any) -> str:
    """Return ``value`` as one line of JSON without spaces; ValueError for NaN and infinities."""
    return _dumps(value)


def loads(text: str) -> Any:
    """Return the value that ``text`` stands for; ValueError where it is no JSON."""
    return _loads(text)


class _Plain:
    """What the C scanner asks its decoder for."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = None
    memo: dict[str, str]

    def __init__(self) -> None:
        self.memo = {}


def _by_package() -> tuple[Callable[[Any], str], Callable[[str], Any]]:
    import json

    def encode(value: Any) -> str:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)

    return encode, json.loads


def _by_c() -> tuple[Callable[[Any], str], Callable[[str], Any]]:
    from _json import encode_basestring, make_encoder, make_scanner

    chunks = make_encoder(
        None, _refuse, encode_basestring, None, ":", ",", False, False, False
    )  # fmt: skip
    scan = make_scanner(_Plain())  # type: ignore[arg-type]

    def encode(value: Any) -> str:
        return "".join(chunks(value, 0))

    def decode(text: str) -> Any:
        try:
            value, end = scan(text.strip(), 0)
        except (StopIteration, SystemError):  # what it raises while ``json`` is not loaded
            raise ValueError("no JSON") from None
        if end != len(text.strip()):
            raise ValueError("more than one value")
        return value

    return encode, decode


def _refuse(value: Any) -> Any:
    raise TypeError(f"{type(value).__name__} is no JSON")


def _chosen() -> tuple[Callable[[Any], str], Callable[[str], Any]]:
    """Return the C code where it does here what ``json`` does, else the package."""
    sample = {"a": [1, 2.5, None, True, 'é"\n'], "b": {}}
    text = '{"a":[1,2.5,null,true,"é\\"\\n"],"b":{}}'
    try:
        encode, decode = _by_c()
        if encode(sample) == text and decode(text) == sample:
            return encode, decode
    except Exception:
        pass
    return _by_package()


_dumps, _loads = _chosen()
