"""Decoding one line of a recording, and naming what in it this version does not know."""

from __future__ import annotations

import json
from functools import cache
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec

from memprobe.recording.schema import (
    Account,
    Allocations,
    End,
    Event,
    Header,
    Jvm,
    JvmLevel,
    Marker,
    Record,
    Sample,
    Snapshot,
    Spark,
)

RECORDS: dict[str, type[msgspec.Struct]] = {
    "header": Header,
    "sample": Sample,
    "marker": Marker,
    "snapshot": Snapshot,
    "spark": Spark,
    "jvm": Jvm,
    "jvm-level": JvmLevel,
    "account": Account,
    "allocations": Allocations,
    "event": Event,
    "end": End,
}


# Before msgspec 0.19 its errors were no ValueErrors.
_BROKEN = (ValueError, msgspec.MsgspecError)


_decoder: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)


class UnreadableLine(ValueError):
    """A line that is no record: broken JSON, no object, no kind, or a field of another type."""


def familiar(line: bytes) -> Record | None:
    """Return the record on ``line``, or None where anything about it is not known or not right."""
    try:
        return _decoder.decode(line)
    except (*_BROKEN, RecursionError):
        return None


def parse(line: bytes) -> dict[str, Any]:
    """Return the JSON object on ``line``, its fields still unchecked.

    Raises UnreadableLine. A lone surrogate (a file name that is no UTF-8) becomes ``?``: strict
    JSON has no way to write one, but Python's writer does it all the same.
    """
    try:
        try:
            raw = msgspec.json.decode(line)
        except _BROKEN:
            text = json.dumps(json.loads(line), ensure_ascii=False)
            raw = msgspec.json.decode(text.encode("utf-8", "replace"))
    except (*_BROKEN, RecursionError) as error:
        raise UnreadableLine(str(error)) from None
    if not isinstance(raw, dict):
        raise UnreadableLine("not a JSON object")
    return raw


def convert(raw: dict[str, Any], kind: type[msgspec.Struct]) -> Record:
    """Return ``raw`` as a record of class ``kind``, without the fields that are not known.

    Raises UnreadableLine for a wrong type.
    """
    try:
        return msgspec.convert(_known_part(raw, kind), kind)  # type: ignore[return-value]
    except (*_BROKEN, RecursionError) as error:
        raise UnreadableLine(str(error)) from None


def understood(line: bytes) -> Record | None:
    """Return what of ``line`` this version knows, or None where it is no record of a known kind."""
    try:
        raw = parse(line)
        kind = RECORDS.get(raw.get("kind", ""))
        return convert(raw, kind) if kind else None
    except (UnreadableLine, TypeError):
        return None


def unknown_fields(raw: dict[str, Any], kind: type[msgspec.Struct]) -> list[str]:
    """Return the dotted names of fields in ``raw`` that this version does not know."""
    known, nested = _fields(kind)
    names = [str(name) for name in raw if name not in known]
    for name, below in nested:
        value = raw.get(name)
        for row in filter(_is_object, value if isinstance(value, list) else [value]):
            names += [f"{name}.{field}" for field in unknown_fields(row, below)]
    return list(dict.fromkeys(names))


def _known_part(raw: dict[str, Any], kind: type[msgspec.Struct]) -> dict[str, Any]:
    """Return a copy of ``raw`` without the fields that this version does not know."""
    known, nested = _fields(kind)
    part = {name: value for name, value in raw.items() if name in known}
    for name, below in nested:
        value = part.get(name)
        if isinstance(value, list):
            part[name] = [
                _known_part(row, below) if isinstance(row, dict) else row for row in value
            ]
        elif isinstance(value, dict):
            part[name] = _known_part(value, below)
    return part


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


@cache
def _fields(
    kind: type[msgspec.Struct],
) -> tuple[frozenset[str], tuple[tuple[str, type[msgspec.Struct]], ...]]:
    """Return the known names of ``kind`` and its fields that hold records themselves."""
    hints = get_type_hints(kind)
    nested = ((name, _struct_in(hints[name])) for name in kind.__struct_fields__)
    return (
        frozenset((*kind.__struct_fields__, "kind")),
        tuple((name, below) for name, below in nested if below is not None),
    )


def _struct_in(hint: Any) -> type[msgspec.Struct] | None:
    """Return the record class inside ``Child``, ``list[Child]`` or ``list[Child] | None``."""
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return hint
    if get_origin(hint) in (list, Union, UnionType):
        return next(filter(None, map(_struct_in, get_args(hint))), None)
    return None
