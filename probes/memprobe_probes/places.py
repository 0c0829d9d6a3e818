"""Where an object lies in a list or tuple, without touching the others in it.

To look at the elements from Python counts a reference to each, and so writes to all of them: of a
long list that is as much memory as the elements themselves. The native walker only reads.
"""

from __future__ import annotations

import itertools

from . import sizes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MOST_LOOKED_AT = 200_000  # elements among which one is looked for from Python

_walker: list[Any] = []  # at most one


def use(walker: Any) -> None:
    """Look with the native walker from now on."""
    _walker[:] = [walker] if hasattr(walker, "position") else []


def position(container: Any, address: int) -> int | None:
    """Return the index of the object at ``address`` in a list or tuple, None if it is not there."""
    if _walker:
        found: int = _walker[0].position(container, address)
        return None if found < 0 else found
    kind = list if list in sizes.mro(type(container)) else tuple
    items = itertools.islice(kind.__iter__(container), MOST_LOOKED_AT)
    return next((at for at, one in enumerate(items) if id(one) == address), None)
