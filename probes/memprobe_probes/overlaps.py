"""Native memory that several libraries see, each at an address of its own: counted once.

An Arrow column may lie in a numpy array or in a ``bytes`` object, an array may show a part of an
Arrow buffer, a tensor may be made from an array. What lies inside of a larger buffer adds nothing,
but keeps it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .walk import Walk

_LARGEST_ADDRESS = 1 << 64  # from here on keys of memory whose address is not known
_BYTES_DATA = bytes.__basicsize__ - 1  # where the data of a bytes object begins


def settle(walk: Walk) -> None:
    """Give each byte of the walk's buffers to one node; may be called again after more of them."""
    low, end, holder = 0, 0, -1
    known = {
        address: nbytes for address, nbytes in walk.native.items() if address < _LARGEST_ADDRESS
    }
    within: dict[int, int] = {}
    for address in sorted(known, key=lambda one: (one, -known[one])):
        node, stop = walk.index[-address], address + known[address]
        if address >= end:
            low, end, holder = address, stop, node
            walk.sizes[node] = known[address]
        else:
            walk.sizes[node] = max(0, stop - end)
            walk.edges[node] = (holder,)
            if stop > end:
                end, holder = stop, node
        within[address] = low
    _explain(walk, within)


def _explain(walk: Walk, within: dict[int, int]) -> None:
    """Credit references that borrowed memory holds to the Python object whose memory it is.

    A library that borrows an array's memory keeps one reference to the array for each buffer it
    made of it: not the sign of a holder that nobody can name.
    """
    fresh = walk.lent - walk.explained
    if not fresh:
        return
    owners = _owners(walk)
    for address in fresh:
        owner = owners.get(within.get(address, -1), -1)
        node = walk.index[-address]
        if owner < 0 and type(walk.objects[walk.index.get(address - _BYTES_DATA, node)]) is bytes:
            owner = walk.index[address - _BYTES_DATA]
            walk.sizes[node] = walk.native[address] = 0
        if owner >= 0:
            walk.edges[node] += (owner,)
            walk.incoming[owner] += 1
            walk.explained.add(address)


def _owners(walk: Walk) -> dict[int, int]:
    """Return address → node of the arrays that own the memory there."""
    found = {}
    for node in walk.adapted:
        if walk.kind(type(walk.objects[node])).is_array:
            for target in walk.edges[node]:
                if walk.objects[target] is None:
                    found[walk.addresses[target]] = node
    return found
