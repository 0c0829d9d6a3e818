"""Workspace 2.0: folders, files and notebooks; imported as JSON or as a form."""

from __future__ import annotations

import base64
import email.parser
import email.policy
import shutil
from pathlib import Path
from typing import Any

from standin.mounts import local
from standin.router import ApiError, Raw, Request, Routes

HEAD = "# Databricks notebook source"
LARGEST = 10 << 20  # bytes of an import that comes as JSON


def notebooks(workspace: Any) -> dict[str, str]:
    """Return path → source of the notebooks, which no driver sees as files of that name."""
    kept: dict[str, str] = workspace.kept.setdefault("notebooks", {})
    return kept


def plain(path: str) -> str:
    """Return a path without the mount's name, which the API accepts too."""
    return "/" + path.removeprefix("/Workspace").strip("/")


def _import(request: Request) -> None:
    fields, content = _form(request)
    path = plain(str(fields.get("path") or ""))
    form = str(fields.get("format") or "SOURCE")
    text = content.decode(errors="replace")
    is_notebook = form == "JUPYTER" or (form == "SOURCE" and fields.get("language"))
    if form == "AUTO":
        is_notebook = text.startswith(HEAD) or path.endswith(".ipynb")
        path = path.rsplit(".", 1)[0] if is_notebook else path
    if form == "SOURCE" and not is_notebook:
        raise ApiError(400, "The language is required for SOURCE.", "INVALID_PARAMETER_VALUE")
    place = local(request.workspace, path)
    if str(fields.get("overwrite", "false")).lower() != "true" and (
        place.exists() or path in notebooks(request.workspace)
    ):
        raise ApiError(400, f"Path ({path}) already exists.", "RESOURCE_ALREADY_EXISTS")
    if not place.parent.is_dir():
        told = f"The parent folder ({Path(path).parent}) does not exist."
        raise ApiError(404, told, "RESOURCE_DOES_NOT_EXIST")
    if is_notebook:
        notebooks(request.workspace)[path] = text
    else:
        place.write_bytes(content)


def _form(request: Request) -> tuple[dict[str, Any], bytes]:
    kind = request.headers.get("Content-Type", "")
    if not kind.startswith("multipart/"):
        content = str(request.fields.get("content") or "")
        if len(content) > LARGEST:
            raise ApiError(400, "content size exceeds the limit", "MAX_NOTEBOOK_SIZE_EXCEEDED")
        return request.fields, base64.b64decode(content)
    head = f"Content-Type: {kind}\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + request.body)
    parts: dict[str, bytes] = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        parts[str(name)] = part.get_payload(decode=True) or b""
    content = parts.pop("content", b"")
    return {name: value.decode() for name, value in parts.items()}, content


def _missing(path: str) -> ApiError:
    return ApiError(404, f"Path ({path}) doesn't exist.", "RESOURCE_DOES_NOT_EXIST")


def _content(request: Request, path: str) -> bytes:
    if path in notebooks(request.workspace):
        return notebooks(request.workspace)[path].encode()
    place = local(request.workspace, path)
    if not place.is_file():
        raise _missing(path)
    return place.read_bytes()


def _export(request: Request) -> Any:
    content = _content(request, plain(request.wanted("path")))
    if str(request.fields.get("direct_download", "false")).lower() == "true":
        return Raw(content, headers={"Content-Type": "application/octet-stream"})
    return {"content": base64.b64encode(content).decode()}


def _mkdirs(request: Request) -> None:
    local(request.workspace, plain(request.wanted("path"))).mkdir(parents=True, exist_ok=True)


def _delete(request: Request) -> None:
    path = plain(request.wanted("path"))
    place = local(request.workspace, path)
    held = [
        one for one in notebooks(request.workspace) if one == path or one.startswith(f"{path}/")
    ]
    if not place.exists() and not held:
        raise _missing(path)
    if place.is_dir() and str(request.fields.get("recursive", "false")).lower() != "true":
        raise ApiError(400, f"Folder ({path}) is not empty", "DIRECTORY_NOT_EMPTY")
    for one in held:
        del notebooks(request.workspace)[one]
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)


def _described(request: Request, path: str) -> dict[str, Any]:
    if path in notebooks(request.workspace):
        return {"path": path, "object_type": "NOTEBOOK", "language": "PYTHON", "object_id": 1}
    place = local(request.workspace, path)
    if place.is_dir():
        return {"path": path, "object_type": "DIRECTORY", "object_id": place.stat().st_ino}
    if not place.is_file():
        raise _missing(path)
    told = place.stat()
    return {
        "path": path, "object_type": "FILE", "object_id": told.st_ino, "size": told.st_size,
        "modified_at": int(told.st_mtime * 1000), "created_at": int(told.st_ctime * 1000),
    }  # fmt: skip


def _status(request: Request) -> dict[str, Any]:
    return _described(request, plain(request.wanted("path")))


def _list(request: Request) -> dict[str, Any]:
    path = plain(request.wanted("path"))
    place = local(request.workspace, path)
    if not place.is_dir():
        raise _missing(path)
    names = {one.name for one in place.iterdir()}
    names |= {
        one.rpartition("/")[2]
        for one in notebooks(request.workspace)
        if one.rpartition("/")[0] == path
    }
    return {"objects": [_described(request, f"{path}/{name}") for name in sorted(names)]}


ROUTES: Routes = {
    "POST /api/2.0/workspace/import": _import,
    "GET /api/2.0/workspace/export": _export,
    "POST /api/2.0/workspace/mkdirs": _mkdirs,
    "POST /api/2.0/workspace/delete": _delete,
    "GET /api/2.0/workspace/get-status": _status,
    "GET /api/2.0/workspace/list": _list,
}
