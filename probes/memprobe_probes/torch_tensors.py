"""Storages of torch tensors on the CPU, by address: views and tensors that share one count once.

Tensors on other devices are named as not measured. Subclasses may intercept every operation; that
is switched off while a tensor is read.
"""

from __future__ import annotations

import sys

from . import sizes
from .parts import NOTHING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .parts import Adapter, Parts

    Note = Callable[[str], None]


def adapter(cls: type, note: Note) -> Adapter | None:
    """Return the adapter for tensors and storages of the torch of this process, else None."""
    torch = sys.modules.get("torch")
    tensor = getattr(torch, "Tensor", None)
    storage = getattr(torch, "UntypedStorage", None)
    if type not in sizes.mro(type(tensor)) or type not in sizes.mro(type(storage)):
        return None
    ancestry = sizes.mro(cls)
    if storage in ancestry:
        return lambda obj: ([], _memory(storage, obj))
    plain = getattr(getattr(torch, "_C", None), "DisableTorchFunctionSubclass", None)
    if tensor not in ancestry or plain is None:
        return None
    return _Tensors(tensor, storage, plain, note)


def _memory(storage: Any, obj: Any) -> list[tuple[int, int]]:
    if obj.device.type != "cpu":
        return []
    nbytes = storage.nbytes(obj)
    return [(storage.data_ptr(obj), nbytes)] if nbytes else []


class _Tensors:
    def __init__(self, tensor: Any, storage: Any, plain: Any, note: Note) -> None:
        self.tensor, self.storage, self.plain, self.note = tensor, storage, plain, note
        self.bases: set[int] = set()

    def __call__(self, obj: Any) -> Parts:
        """Return the gradient of a tensor, and the storage that it shows a part of."""
        with self.plain():
            return self._parts(obj)

    def _parts(self, obj: Any) -> Parts:
        read = self.tensor
        device = read.device.__get__(obj).type
        if device != "cpu":
            if device != "meta":
                self.note(f"torch.Tensor on {device}")
            return NOTHING
        if read.grad_fn.__get__(obj) is not None:
            self.note("what torch's autograd keeps for a backward pass")
        children = []
        if read.is_leaf.__get__(obj) and read.grad.__get__(obj) is not None:
            children.append(read.grad.__get__(obj))
        children += self._base(obj)
        if read.is_sparse.__get__(obj):
            return [*children, read._indices(obj), read._values(obj)], []
        return children, _memory(self.storage, read.untyped_storage(obj))

    def _base(self, obj: Any) -> list[Any]:
        """Return the tensor a view was made from, for the first of its views only.

        However many views torch keeps of it, they add one reference to its Python object.
        """
        base = self.tensor._base.__get__(obj)
        if base is None or id(base) in self.bases:
            return []
        self.bases.add(id(base))
        return [base]
