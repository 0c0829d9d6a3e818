"""Bytes, durations and shares as people read them; ``None`` is "not measured", never zero."""

from __future__ import annotations

UNMEASURED = "not measured"


def size(count: float | None) -> str:
    """Return ``count`` bytes as ``512 B``, ``1.5 KiB``, ``640.0 MiB`` or ``1.9 GiB``."""
    if count is None:
        return UNMEASURED
    if abs(count) < 1024:
        return f"{count:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        count /= 1024
        # 1023.96 would print as "1024.0": the next unit says it better.
        if abs(count) < 1023.95:
            return f"{count:.1f} {unit}"
    return f"{count / 1024:.1f} TiB"


def size_range(low: int, high: int) -> str:
    """Return two sizes as ``1.8 to 2.0 GiB``, with one unit where they share it."""
    first, last = size(low), size(high)
    number, unit = first.split(" ")
    return f"{number} to {last}" if last.endswith(f" {unit}") else f"{first} to {last}"


def rate(bytes_per_second: float) -> str:
    """Return a slope as ``+12.0 MiB/s``, per minute or hour where it is slow."""
    sign = "+" if bytes_per_second >= 0 else "−"
    pace = abs(bytes_per_second)
    for factor, unit in ((1, "s"), (60, "min")):
        if pace * factor >= 1 << 20:
            return f"{sign}{size(pace * factor)}/{unit}"
    return f"{sign}{size(pace * 3600)}/h"


def duration(seconds: float | None) -> str:
    """Return ``0.25 s``, ``12 s``, ``3 min 4 s``, ``2 h 5 min`` or ``3 d 4 h``."""
    if seconds is None:
        return UNMEASURED
    if seconds < 9.95:
        return f"{seconds:.2g} s" if seconds < 0.995 else f"{seconds:.1f} s"
    whole = round(seconds)
    for unit, below, length in (("d", "h", 86400), ("h", "min", 3600), ("min", "s", 60)):
        if whole >= length:
            rest = whole % length // {"h": 3600, "min": 60, "s": 1}[below]
            return f"{whole // length} {unit}" + (f" {rest} {below}" if rest else "")
    return f"{whole} s"


def percent(share: float) -> str:
    """Return ``0.0031`` as ``0.31 %``, ``0.5`` as ``50 %``."""
    value = share * 100
    if value and abs(value) < 9.95:
        return f"{value:.2g} %" if abs(value) < 0.995 else f"{value:.1f} %"
    return f"{value:.0f} %"


def counted(number: int, noun: str) -> str:
    """Return ``1 finding``, ``2 findings``, ``1,000 samples``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
