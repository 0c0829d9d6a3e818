"""A Jupyter Server's address as a user pastes it, taken apart so that the token is never shown.

    https://hub.example.org/user/ada/lab/tree/team/etl.ipynb?token=…

What stands before the server's own pages is its base URL (JupyterHub gives each user one); which
part that is cannot be told from the text alone, so every beginning of the path is a candidate.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

from memprobe.errors import UsageError

DOCS = "verbs/attach.md"
TOKEN_VARIABLE = "JUPYTER_TOKEN"
MOST_PARTS = 8  # of a path that are tried as base URL
# How the pages that a browser shows lead from the base URL to a notebook.
PAGES = re.compile(
    r"^(?:nbclassic/|retro/)?(?:lab(?:/workspaces/[^/]+)?/tree|doc/tree|doc/workspaces/[^/]+/tree"
    r"|notebooks|tree|edit|consoles|api/kernels|lab(?:/workspaces/[^/]+)?|doc)(?:/|$)"
)


@dataclass(frozen=True)
class ServerUrl:
    """An address without its secrets; ``token`` is what its query held, or empty."""

    origin: str  # https://host:port
    path: tuple[str, ...]
    token: str = field(default="", repr=False)

    @property
    def shown(self) -> str:
        """The address as it may be shown and recorded."""
        return "/".join([self.origin, *self.path]) + ("" if self.path else "/")

    def candidates(self) -> list[tuple[str, str]]:
        """Return (base URL, path of a notebook or kernel below it), shortest base first."""
        found = []
        for length in range(min(len(self.path), MOST_PARTS) + 1):
            base = "/".join([self.origin, *self.path[:length]])
            rest = PAGES.sub("", "/".join(self.path[length:]), count=1)
            found.append((base, unquote(rest)))
        return found


def is_url(target: str | None) -> bool:
    """Whether ``target`` is the address of a server and not of something on this machine."""
    return bool(target) and re.match(r"https?://", str(target), re.IGNORECASE) is not None


def parsed(target: str) -> ServerUrl:
    """Return ``target`` taken apart. Raises UsageError, without its query, where it is none."""
    plain = target.split("?")[0].split("#")[0]
    try:
        parts = urlsplit(target)
        port = parts.port
    except ValueError:
        raise _no_address("a server's address", "its host or port is malformed") from None
    if not parts.hostname:
        raise _no_address(plain.rpartition("@")[2] or "it", "it names no host")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    origin = f"{parts.scheme.lower()}://{host}" + (f":{port}" if port else "")
    path = tuple(part for part in parts.path.split("/") if part)
    return ServerUrl(origin, path, (parse_qs(parts.query).get("token") or [""])[0])


def chosen_token(
    address: ServerUrl, configured: str = "", environment: Mapping[str, str] | None = None
) -> str:
    """Return the token of the address, else ``JUPYTER_TOKEN``, else the configured one, or empty.

    Raises UsageError, without showing it, for one that cannot be sent.
    """
    environment = os.environ if environment is None else environment
    token = address.token or environment.get(TOKEN_VARIABLE, "") or configured
    token = token.strip()
    if not all(33 <= ord(sign) < 127 for sign in token):
        raise UsageError(
            f"the token for {address.shown} cannot be sent",
            cause="it holds blanks or signs that are no ASCII",
            remedy="copy it again: jupyter server list, or the hub's page of tokens",
            docs=DOCS,
        )
    return token


def _no_address(what: str, cause: str) -> UsageError:
    return UsageError(
        f"cannot reach {what}",
        cause=cause,
        remedy="give it as http://HOST:PORT/ or https://HUB/user/NAME/",
        docs=DOCS,
    )
