"""The object that a user means by ``df``, ``Out[7]`` or ``store.frames[0]``, found without code.

Only names, attributes that are stored and constant indices are followed: a property, or a class's
``__getattr__`` or ``__getitem__``, would be code of somebody's.
"""

from __future__ import annotations

import ast
import types

from . import sizes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_NOTHING = object()


class Unknown(Exception):
    """There is no such object, or it cannot be reached so; the text says why."""


def find(names: dict[str, Any], text: str) -> Any:
    """Return what ``text`` stands for in the namespace ``names``; raises Unknown."""
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError):
        raise Unknown(f"{text} is no name") from None
    return _value(names, tree.body)


def _value(names: dict[str, Any], node: ast.expr) -> Any:
    if isinstance(node, ast.Name):
        found = dict.get(names, node.id, _NOTHING)
        if found is _NOTHING:
            raise Unknown(_no_name(names, node.id))
        return found
    if isinstance(node, ast.Attribute):
        found = _attribute(_value(names, node.value), node.attr)
    elif isinstance(node, ast.Subscript):
        found = _item(_value(names, node.value), _constant(node.slice))
    else:
        found = _NOTHING
    if found is _NOTHING:
        raise Unknown(
            f"{ast.unparse(node)} is not stored: to look it up would run code; give it a name first"
        )
    return found


def _no_name(names: dict[str, Any], name: str) -> str:
    import difflib

    near = difflib.get_close_matches(name, [one for one in list(names) if type(one) is str], n=3)
    return f"there is no name {name}" + (f"; did you mean {', '.join(near)}?" if near else "")


def _attribute(obj: Any, name: str) -> Any:
    cls = type(obj)
    if types.ModuleType in sizes.mro(cls):
        return vars(types.ModuleType)["__dict__"].__get__(obj).get(name, _NOTHING)
    if type in sizes.mro(cls):
        return sizes.class_namespace(obj).get(name, _NOTHING)
    found = (sizes.instance_dict(obj) or {}).get(name, _NOTHING)
    return _slot(obj, name) if found is _NOTHING else found


def _slot(obj: Any, name: str) -> Any:
    for base in sizes.mro(type(obj)):
        descriptor = sizes.class_namespace(base).get(name)
        if type(descriptor) is types.MemberDescriptorType:
            try:
                return descriptor.__get__(obj)
            except AttributeError:
                return _NOTHING
    return _NOTHING


def _constant(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError):
        return _NOTHING


def _item(obj: Any, key: Any) -> Any:
    cls = sizes.mro(type(obj))
    try:
        for base in (list, tuple):
            if base in cls and type(key) is int:
                return base.__getitem__(obj, key)
        if dict in cls and type(key) in (int, str):
            return dict.get(obj, key, _NOTHING)
    except IndexError:
        pass
    return _NOTHING
