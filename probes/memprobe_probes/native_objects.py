"""Objects of other libraries that are one block of native memory each, and tell its size.

Trees of scikit-learn, the canvases that matplotlib draws on, images of Pillow, hash tables that
pandas builds for an index. Blocks without an address are keyed by their object.
"""

from __future__ import annotations

from . import numpy_arrays, sizes
from .parts import NOTHING, keyed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .parts import Adapter, Parts

# Bytes of a pixel, as Pillow stores it: three bands take the room of four.
_PIXELS = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16L": 2, "I;16B": 2}


def adapter(cls: type) -> Adapter | None:
    """Return the adapter for the instances of ``cls``, or None where it is none of these."""
    name = sizes.type_name(cls).rpartition(".")[2]
    module = sizes.module_of(cls)
    if module == "sklearn.tree._tree" and name == "Tree":
        return _tree
    if module.startswith("sklearn.") and name.startswith(("KDTree", "BallTree")):
        return _neighbours
    if module == "matplotlib.backends._backend_agg":
        return _canvas
    if module.startswith("pandas._libs.hashtable") and name.endswith("HashTable"):
        return _hash_table
    if name == "ImagingCore":
        return _image
    return None


def _tree(obj: Any) -> Parts:
    state = type(obj).__getstate__(obj)
    return [], _data_of(state.get(name) for name in ("nodes", "values"))


def _neighbours(obj: Any) -> Parts:
    return [], _data_of(type(obj).__getstate__(obj))


def _data_of(candidates: Any) -> list[tuple[int, int]]:
    """Return where the arrays among ``candidates`` have their elements."""
    arrays = numpy_arrays.arrays()
    found = []
    for one in candidates:
        if arrays is not None and type(one) is arrays.array:
            low, high = arrays.extent(one)
            found.append((low, high - low))
    return found


def _canvas(obj: Any) -> Parts:
    try:
        with memoryview(obj) as pixels:
            return [], keyed(obj, pixels.nbytes)
    except (TypeError, ValueError, BufferError):
        return NOTHING


def _hash_table(obj: Any) -> Parts:
    return [], keyed(obj, int(obj.sizeof()))


def _image(obj: Any) -> Parts:
    width, height = obj.size
    return [], keyed(obj, width * height * _PIXELS.get(obj.mode, 4))
