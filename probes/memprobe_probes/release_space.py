"""What a release works on: the roots as they are now against those that the snapshot saw."""

from __future__ import annotations

from . import named_object, sizes
from .cuts import Changed, Refused
from .describe import describe
from .ledger import counted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .ledger import Ledger
    from .roots import Root

_MISSING = object()


class Space:
    """The roots of this moment; ``held`` keeps what was cut until all cuts are made."""

    def __init__(self, shell: Any, found: list[Root], ledger: Ledger) -> None:
        self.shell = shell
        self.held: list[Any] = []
        self.copies: dict[int, Any] = {}  # by the id of what they take the place of
        self._now = counted(found)
        self._ledger = ledger
        self._roots: dict[tuple[str, str], list[Root]] = {}
        for root in found:
            self._roots.setdefault((root.kind, root.expr), []).append(root)
        found.clear()

    def forget(self) -> None:
        """Drop the roots: their own references would keep what is cut."""
        for listed in self._roots.values():
            for root in listed:
                root.take()
        self._roots.clear()

    def is_root(self, cut: dict[str, Any]) -> bool:
        """Whether the reference is one of the roots, and not inside of one."""
        return (cut["root"], cut["expr"]) in self._roots

    def object_of(self, cut: dict[str, Any]) -> Any:
        """Return what the reference leads to. Raises Changed where that is nothing."""
        listed = self._roots.get((cut["root"], cut["expr"]))
        if listed:
            return listed[0].obj
        try:
            return named_object.find(self.shell.user_ns, cut["expr"])
        except named_object.Unknown:
            raise Changed("it is gone") from None

    def same(self, cut: dict[str, Any]) -> int:
        """Return the id of what a root leads to. Raises Changed where it is not as it was."""
        key = cut["root"], cut["expr"]
        if key not in self._roots:
            raise Changed("it is gone")
        obj = self._roots[key][0].obj
        why = self._ledger.differs(self._now, key, id(obj))
        if why is not None:
            raise Changed(why)
        self.agrees(cut, obj)
        return id(obj)

    def all_same(self, cut: dict[str, Any], count: int) -> list[Any]:
        """Return what all roots of one expression lead to: ``count`` of them, as they were."""
        key = cut["root"], cut["expr"]
        listed = self._roots.get(key, [])
        if len(listed) != count:
            raise Changed("it is gone" if not listed else "there are more of them, or fewer, now")
        for root in listed:
            why = self._ledger.differs(self._now, key, id(root.obj))
            if why is not None:
                raise Changed(why)
        return [root.obj for root in {id(root.obj): root for root in listed}.values()]

    @staticmethod
    def agrees(cut: dict[str, Any], obj: Any) -> None:
        """Raise Changed where type, shape or length are not those that the snapshot told."""
        if cut.get("type") and sizes.type_name(type(obj)) != cut["type"]:
            raise Changed(f"it is a {sizes.type_name(type(obj))} now")
        now = describe(obj)
        for fact in ("shape", "length"):
            then = cut.get(fact)
            if then is not None and list_of(now.get(fact)) != list_of(then):
                raise Changed(f"its {fact} is another now")

    def strangers(self, obj: Any, shown: set[str]) -> str:
        """Return a root that leads to ``obj`` itself and is not among ``shown``, or nothing."""
        for (_, expr), listed in self._roots.items():
            if expr not in shown and any(root.obj is obj for root in listed):
                return expr
        return ""

    def root_count(self, obj: Any) -> int:
        """Return how many roots lead to ``obj`` itself; each is one reference."""
        return sum(root.obj is obj for listed in self._roots.values() for root in listed)

    def take(self, names: Any, key: Any, expected: int) -> None:
        """Remove ``key`` from a dict if it still leads to that object; in one step of Python's."""
        taken = dict.pop(names, key, _MISSING)
        if id(taken) != expected:
            if taken is not _MISSING:
                dict.setdefault(names, key, taken)
            raise Changed("it refers to another object now")
        self.held.append(taken)

    def replace(self, names: Any, key: str, expected: int, by: Any) -> None:
        """Put ``by`` in the place of that object."""
        if type(names) is not dict:
            raise Refused("it cannot be written to")
        taken = names.get(key, _MISSING)
        if id(taken) != expected:
            raise Changed("it refers to another object now")
        names[key] = by
        self.held.append(taken)


def list_of(fact: Any) -> Any:
    """Return a shape as a list: it comes as a tuple or as JSON."""
    return list(fact) if isinstance(fact, (list, tuple)) else fact
