"""From a method and a path to the function that answers: each API's file lists its own."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from standin.workspace import Workspace


@dataclass(frozen=True)
class Request:
    """What a client has sent. ``fields``: of the query for GET, else of the JSON body."""

    workspace: Workspace
    method: str
    path: str
    fields: dict[str, Any]
    body: bytes
    headers: dict[str, str]
    named: dict[str, str] = field(default_factory=dict)  # from {…} in the route

    def wanted(self, name: str) -> str:
        """Return a field that the API requires."""
        if not self.fields.get(name):
            raise ApiError(400, f"Missing required field: {name}", "INVALID_PARAMETER_VALUE")
        return str(self.fields[name])


@dataclass(frozen=True)
class Raw:
    """An answer that is not JSON, or has headers of its own."""

    content: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


class ApiError(Exception):
    """A refusal as the API tells it: 1.2 has ``error``, 2.x ``error_code`` and ``message``."""

    def __init__(
        self, status: int, message: str, code: str = "", headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.headers = headers or {}

    def body(self, path: str) -> dict[str, str]:
        if path.startswith("/api/1.2/"):
            return {"error": f"{self.code}: {self.message}" if self.code else self.message}
        return {"error_code": self.code or str(self.status), "message": self.message}


Handler = Callable[[Request], Any]
Routes = dict[str, Handler]  # "GET /api/2.1/clusters/get"; {name} takes one part, {name*} the rest


class Router:
    """All routes of all APIs."""

    def __init__(self, *tables: Routes) -> None:
        self._routes = [
            (*_compiled(route), handler) for table in tables for route, handler in table.items()
        ]

    def find(self, method: str, path: str) -> tuple[Handler, dict[str, str]]:
        """Return who answers, and the parts of the path that the route names."""
        for wanted, pattern, handler in self._routes:
            found = pattern.fullmatch(path) if wanted == method else None
            if found:
                return handler, found.groupdict()
        raise ApiError(404, f"No API found for '{method} {path}'", "ENDPOINT_NOT_FOUND")


def _compiled(route: str) -> tuple[str, re.Pattern[str]]:
    method, path = route.split(" ")
    parts = re.split(r"\{(\w+)(\*?)\}", path)
    text = re.escape(parts[0])
    for name, rest, literal in zip(parts[1::3], parts[2::3], parts[3::3]):
        text += f"(?P<{name}>{'.*' if rest else '[^/]+'})" + re.escape(literal)
    return method, re.compile(text)
