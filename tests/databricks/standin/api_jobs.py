"""Jobs 2.2 (and 2.1): submit, run-now, get, get-output, cancel."""

from __future__ import annotations

from typing import Any

from standin.job_runs import JobRun
from standin.router import ApiError, Request, Routes

FIRST_RUN, FIRST_JOB = 610_000, 55_000


def runs(workspace: Any) -> dict[int, JobRun]:
    """Return run id → run, of whole runs (not of their tasks)."""
    kept: dict[int, JobRun] = workspace.kept.setdefault("runs", {})
    return kept


def add_job(workspace: Any, tasks: list[dict[str, Any]]) -> int:
    """Add a job as the web page would, and return its id."""
    jobs = workspace.kept.setdefault("jobs", {})
    jobs[FIRST_JOB + len(jobs)] = tasks
    return FIRST_JOB + len(jobs) - 1


def _submit(request: Request) -> dict[str, Any]:
    tasks = request.fields.get("tasks") or []
    if not tasks:
        raise ApiError(400, "At least one task is required.", "INVALID_PARAMETER_VALUE")
    return _started(request, tasks, None, request.fields.get("environments") or [])


def _run_now(request: Request) -> dict[str, Any]:
    identity = int(request.wanted("job_id"))
    tasks = request.workspace.kept.get("jobs", {}).get(identity)
    if tasks is None:
        raise ApiError(400, f"Job {identity} does not exist.", "INVALID_PARAMETER_VALUE")
    parameters = request.fields.get("python_params")
    if parameters:
        python = {**tasks[0]["spark_python_task"], "parameters": parameters}
        tasks = [{**tasks[0], "spark_python_task": python}]
    return {**_started(request, tasks, identity, []), "number_in_job": 1}


def _started(
    request: Request, tasks: list[dict[str, Any]], job: int | None, environments: list[Any]
) -> dict[str, Any]:
    known, token = request.workspace.kept.setdefault("tokens", {}), None
    token = request.fields.get("idempotency_token")
    if token is not None and len(token) > 64:
        raise ApiError(400, "The idempotency token is too long.", "INVALID_PARAMETER_VALUE")
    if token in known:
        return {"run_id": known[token]}
    identity = FIRST_RUN + 2 * len(runs(request.workspace))
    name = str(request.fields.get("run_name") or "Untitled")
    run = JobRun(request.workspace, identity, name, tasks[0], job, environments)
    runs(request.workspace)[identity] = run
    if token is not None:
        known[token] = identity
    run.start()
    return {"run_id": identity}


def _found(request: Request) -> JobRun:
    identity = int(request.wanted("run_id"))
    for run in runs(request.workspace).values():
        if identity in (run.identity, run.task_id):
            return run
    raise ApiError(400, f"Run {identity} does not exist.", "INVALID_PARAMETER_VALUE")


def _get(request: Request) -> dict[str, Any]:
    return _found(request).described()


def _output(request: Request) -> dict[str, Any]:
    run = _found(request)
    if int(request.fields["run_id"]) != run.task_id:
        told = (
            "Retrieving the output of runs with multiple tasks is not supported. Please retrieve "
            "the output of each individual task run instead."
        )
        raise ApiError(400, told, "INVALID_PARAMETER_VALUE")
    answer = run.output()
    if answer.get("logs"):
        rule = request.workspace.switchboard.take(request.path, "truncated")
        if rule is not None:
            answer |= {"logs": answer["logs"][: int(rule.value)], "logs_truncated": True}
    return answer


def _cancel(request: Request) -> None:
    _found(request).cancel()


ROUTES: Routes = {
    f"{method} /api/{version}/jobs/{name}": handler
    for version in ("2.1", "2.2")
    for method, name, handler in (
        ("POST", "runs/submit", _submit), ("POST", "run-now", _run_now),
        ("GET", "runs/get", _get), ("GET", "runs/get-output", _output),
        ("POST", "runs/cancel", _cancel),
    )
}  # fmt: skip
