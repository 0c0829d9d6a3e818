"""Command Execution 1.2: contexts and commands."""

from __future__ import annotations

from typing import Any

from standin.api_clusters import found
from standin.contexts import Command, ExecutionContext
from standin.mounts import translated
from standin.router import ApiError, Request, Routes


def _create(request: Request) -> dict[str, Any]:
    cluster = found(request, "clusterId")
    cluster.refuse_unless_running()
    language = str(request.fields.get("language"))
    if language not in ("python", "scala", "sql", "r"):
        raise ApiError(400, f"Language {language} is not supported", "IllegalArgumentException")
    return {"id": cluster.new_context(language).identity}


def _context(request: Request) -> ExecutionContext:
    cluster = found(request, "clusterId")
    cluster.refuse_unless_running()
    identity = request.wanted("contextId")
    context = cluster.contexts.get(identity)
    if context is None:
        raise ApiError(400, f"Context {identity} not found", "ContextNotFound")
    return context


def _status(request: Request) -> dict[str, Any]:
    context = _context(request)
    return {"id": context.identity, "status": context.status}


def _destroy(request: Request) -> dict[str, Any]:
    context = _context(request)
    found(request, "clusterId").destroy(context)
    return {"id": context.identity}


def _execute(request: Request) -> dict[str, Any]:
    context = _context(request)
    switchboard = request.workspace.switchboard
    if switchboard.take(request.path, "evict"):
        context.cluster.evict(context)
        raise ApiError(400, f"Context {context.identity} not found", "ContextNotFound")
    if switchboard.take(request.path, "driver-killed"):
        context.cluster.kill_driver()
    failure = switchboard.take(request.path, "command-error")
    told = failure.value or "The Python REPL is not available." if failure else ""
    text = translated(request.workspace, str(request.fields.get("command") or ""))
    return {"id": context.execute(text, told).identity}


def _command(request: Request) -> Command:
    context = _context(request)
    identity = request.wanted("commandId")
    command = context.commands.get(identity)
    if command is None:
        raise ApiError(400, f"Command {identity} not found", "CommandNotFound")
    return command


def _command_status(request: Request) -> dict[str, Any]:
    command = _command(request)
    answer = command.described()
    rule = None
    if isinstance(answer.get("results"), dict) and answer["results"].get("data"):
        rule = request.workspace.switchboard.take(request.path, "truncated")
    if rule is not None:
        results = answer["results"]
        cut = str(results["data"])[: int(rule.value)]
        answer["results"] = {**results, "data": cut, "truncated": True}
    return answer


def _cancel(request: Request) -> dict[str, Any]:
    command = _command(request)
    _context(request).cancel(command)
    return {"id": command.identity}


ROUTES: Routes = {
    "POST /api/1.2/contexts/create": _create,
    "GET /api/1.2/contexts/status": _status,
    "POST /api/1.2/contexts/destroy": _destroy,
    "POST /api/1.2/commands/execute": _execute,
    "GET /api/1.2/commands/status": _command_status,
    "POST /api/1.2/commands/cancel": _cancel,
}
