"""DBFS 2.0: files in blocks of at most one megabyte."""

from __future__ import annotations

import base64
import shutil
from pathlib import Path
from typing import Any

from standin.mounts import local
from standin.router import ApiError, Request, Routes

BLOCK = 1 << 20  # bytes


def _place(request: Request) -> Path:
    path = request.wanted("path").removeprefix("dbfs:")
    return local(request.workspace, "dbfs:/" + path.lstrip("/"))


def _existing(request: Request) -> Path:
    place = _place(request)
    if not place.exists():
        told = f"No file or directory exists on path {request.fields['path']}."
        raise ApiError(404, told, "RESOURCE_DOES_NOT_EXIST")
    return place


def _new(request: Request) -> Path:
    place = _place(request)
    if place.exists() and str(request.fields.get("overwrite", "false")).lower() != "true":
        raise ApiError(400, "A file or directory already exists.", "RESOURCE_ALREADY_EXISTS")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(b"")
    return place


def _block(request: Request, name: str) -> bytes:
    block = base64.b64decode(str(request.fields.get(name) or ""))
    if len(block) > BLOCK:
        raise ApiError(400, "The block is too large.", "MAX_BLOCK_SIZE_EXCEEDED")
    return block


def _put(request: Request) -> None:
    content = request.fields.get("file")  # of a form, whose files are not limited to one block
    _new(request).write_bytes(content if content is not None else _block(request, "contents"))


def _create(request: Request) -> dict[str, Any]:
    handles: list[Path] = request.workspace.kept.setdefault("dbfs", [])
    handles.append(_new(request))
    return {"handle": len(handles)}


def _add_block(request: Request) -> None:
    with request.workspace.kept["dbfs"][int(request.fields["handle"]) - 1].open("ab") as file:
        file.write(_block(request, "data"))


def _close(request: Request) -> None:
    """Nothing is kept open."""


def _read(request: Request) -> dict[str, Any]:
    begin = int(request.fields.get("offset") or 0)
    length = min(int(request.fields.get("length") or BLOCK), BLOCK)
    content = _existing(request).read_bytes()[begin : begin + length]
    return {"bytes_read": len(content), "data": base64.b64encode(content).decode()}


def _described(request: Request, place: Path, path: str) -> dict[str, Any]:
    told = place.stat()
    return {
        "path": path.removeprefix("dbfs:"), "is_dir": place.is_dir(),
        "file_size": 0 if place.is_dir() else told.st_size,
        "modification_time": int(told.st_mtime * 1000),
    }  # fmt: skip


def _status(request: Request) -> dict[str, Any]:
    return _described(request, _existing(request), request.wanted("path"))


def _list(request: Request) -> dict[str, Any]:
    place, path = _existing(request), request.wanted("path").rstrip("/")
    if place.is_file():
        return {"files": [_described(request, place, path)]}
    return {
        "files": [_described(request, one, f"{path}/{one.name}") for one in sorted(place.iterdir())]
    }


def _mkdirs(request: Request) -> None:
    _place(request).mkdir(parents=True, exist_ok=True)


def _delete(request: Request) -> None:
    place = _existing(request)
    if place.is_file():
        place.unlink()
    else:
        shutil.rmtree(place)


ROUTES: Routes = {
    "POST /api/2.0/dbfs/put": _put,
    "POST /api/2.0/dbfs/create": _create,
    "POST /api/2.0/dbfs/add-block": _add_block,
    "POST /api/2.0/dbfs/close": _close,
    "GET /api/2.0/dbfs/read": _read,
    "GET /api/2.0/dbfs/get-status": _status,
    "GET /api/2.0/dbfs/list": _list,
    "POST /api/2.0/dbfs/mkdirs": _mkdirs,
    "POST /api/2.0/dbfs/delete": _delete,
}
