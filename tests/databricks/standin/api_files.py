"""Files 2.0, which is Volumes: whole files only, below a volume that exists."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from standin.mounts import local
from standin.router import ApiError, Raw, Request, Routes


def add_volume(workspace: Any, path: str) -> str:
    """Make a volume ``/Volumes/CATALOG/SCHEMA/NAME`` and return its path."""
    local(workspace, path).mkdir(parents=True)
    return path


def _place(request: Request) -> Path:
    path = "/" + request.named["path"].strip("/")
    parts = path.split("/")
    if parts[1] != "Volumes" or len(parts) < 5:
        raise ApiError(400, f"Invalid path: {path}", "INVALID_PARAMETER_VALUE")
    if not local(request.workspace, "/".join(parts[:5])).is_dir():
        raise ApiError(404, f"Volume '{'.'.join(parts[2:5])}' does not exist.", "NOT_FOUND")
    return local(request.workspace, path)


def _missing(request: Request) -> ApiError:
    return ApiError(404, f"The file /{request.named['path']} was not found.", "NOT_FOUND")


def _upload(request: Request) -> Raw:
    place = _place(request)
    if place.exists() and str(request.fields.get("overwrite", "false")).lower() != "true":
        raise ApiError(409, "The file being created already exists.", "ALREADY_EXISTS")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(request.body)
    return Raw(b"", 204)


def _download(request: Request) -> Raw:
    place = _place(request)
    if not place.is_file():
        raise _missing(request)
    return Raw(place.read_bytes(), headers={"Content-Type": "application/octet-stream"})


def _remove(request: Request) -> Raw:
    place = _place(request)
    if not place.is_file():
        raise _missing(request)
    place.unlink()
    return Raw(b"", 204)


def _make_folder(request: Request) -> Raw:
    _place(request).mkdir(parents=True, exist_ok=True)
    return Raw(b"", 204)


def _folder(request: Request) -> dict[str, Any]:
    place = _place(request)
    if not place.is_dir():
        raise _missing(request)
    path = "/" + request.named["path"].strip("/")
    return {
        "contents": [
            {
                "path": f"{path}/{one.name}", "name": one.name, "is_directory": one.is_dir(),
                "file_size": one.stat().st_size,
                "last_modified": int(one.stat().st_mtime * 1000),
            }
            for one in sorted(place.iterdir())
        ]
    }  # fmt: skip


def _remove_folder(request: Request) -> Raw:
    place = _place(request)
    if not place.is_dir():
        raise _missing(request)
    if any(place.iterdir()):
        raise ApiError(400, "The directory is not empty.", "DIRECTORY_NOT_EMPTY")
    shutil.rmtree(place)
    return Raw(b"", 204)


ROUTES: Routes = {
    "PUT /api/2.0/fs/files/{path*}": _upload,
    "GET /api/2.0/fs/files/{path*}": _download,
    "HEAD /api/2.0/fs/files/{path*}": _download,
    "DELETE /api/2.0/fs/files/{path*}": _remove,
    "PUT /api/2.0/fs/directories/{path*}": _make_folder,
    "GET /api/2.0/fs/directories/{path*}": _folder,
    "DELETE /api/2.0/fs/directories/{path*}": _remove_folder,
}
