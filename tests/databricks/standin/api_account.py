"""Who one is: the host's description, the user, rights on objects."""

from __future__ import annotations

from typing import Any

from standin.router import Request, Routes


def _config(request: Request) -> dict[str, Any]:
    return {
        "oidc_endpoint": f"{request.workspace.host}/oidc", "workspace_id": "1234567890123456",
        "cloud": "AWS",
    }  # fmt: skip


def _me(request: Request) -> dict[str, Any]:
    user = request.workspace.user
    return {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "id": "7001",
        "userName": user, "displayName": "Ada", "active": True,
        "emails": [{"type": "work", "value": user, "primary": True}],
        "groups": [{"display": "users", "type": "direct", "value": "1"}],
    }  # fmt: skip


def _permissions(request: Request) -> dict[str, Any]:
    kind, identity = request.named["kind"], request.named["identity"]
    level = {"permission_level": request.workspace.kept.get("right", "CAN_MANAGE")}
    row = {"user_name": request.workspace.user, "all_permissions": [{**level, "inherited": False}]}
    return {"object_id": f"/{kind}/{identity}", "object_type": kind, "access_control_list": [row]}


ROUTES: Routes = {
    "GET /.well-known/databricks-config": _config,
    "GET /api/2.0/preview/scim/v2/Me": _me,
    "GET /api/2.0/permissions/{kind}/{identity}": _permissions,
}
