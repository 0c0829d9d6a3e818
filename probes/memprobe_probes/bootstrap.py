"""Start, stop, status and commands of the one probe a process can have."""

from __future__ import annotations

import atexit
import os
import sys
import time

from .measure import Probe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .watcher import Watcher

INJECTED = "_memprobe_injected"  # set on the package when it came as a payload
FINDER = "_memprobe_finder"  # in a plain process: what makes its modules, in sys.meta_path

_DEFAULTS: dict[str, Any] = {
    "context": "script", "method": "record", "program": "", "argc": 0, "interval": 1.0,
    "max_pause": 0.25, "cap": 64 * 1024 * 1024, "cpu_share": 0.01, "client": "host",
    "lease": None, "thread": False, "limits": None, "peak_reset": True,
    "first_snapshot": "attach",
}  # fmt: skip

_MOST_CELLS = 1500  # what fits into one answer
_DEPARTURE = 5.0  # seconds that a leaving probe may take for its last snapshot

at_last: list[Callable[[], object]] = []  # called at exit, when the recording is complete

_probe: Probe | None = None
_watcher: Watcher | None = None


def active() -> Probe | None:
    """Return the probe of this process, or None."""
    return _probe if _probe is not None and _probe.alive else None


def start(config: dict[str, Any]) -> dict[str, Any]:
    """Put a probe into this process, or join the one that is there.

    ``config`` is the session's ``config.json``; missing keys have defaults. With ``thread`` the
    probe runs a thread of its own and leaves when its last lease ends; without, the caller
    drives it. Returns ``{"ok", "session", "folder", "spool", "pid", "joined"}``.
    """
    global _probe, _watcher
    settings = {**_DEFAULTS, **config}
    outlive_departure()
    present = active()
    if present is not None:
        return _join(present, settings)
    if _probe is not None:
        forked_child()  # the probe of the process this one was forked from
    settings.setdefault("session", f"{os.getpid()}-{time.monotonic_ns():x}")
    settings.setdefault("folder", "")
    settings.setdefault("spool", os.path.join(settings["folder"], "spool.memprobe"))
    probe = Probe(settings)
    _probe = probe
    if settings["thread"]:
        from .watcher import Watcher

        try:
            _watcher = Watcher(probe, command, _gone)
        except BaseException:
            probe.abandon()
            _probe = None
            raise
        _watcher.renew(settings["client"])
        probe.listen(_watcher.cell_ended)
        atexit.register(_at_exit)
        _watcher.start(settings["first_snapshot"])
        probe.trace_allocations()
    return _described(probe, joined=False)


def stop(reason: str = "stop") -> None:
    """Take the probe out; returns at once where a thread has to leave first."""
    if _watcher is not None:
        _watcher.stop(reason)
    elif _probe is not None:
        _probe.close(reason)
        _forget()


def command(message: dict[str, Any]) -> dict[str, Any]:
    """Answer one control message ``{id, verb, args}`` with ``{id, ok, result | error}``."""
    answer: dict[str, Any] = {"id": message.get("id")}
    verb = verbs.get(str(message.get("verb")))
    if verb is None:
        return {**answer, "ok": False, "error": f"unknown verb {message.get('verb')!r}"}
    probe = active()
    if probe is None:
        return {**answer, "ok": False, "error": "no probe in this process"}
    try:
        arguments = message.get("args") or {}
        return {**answer, "ok": True, "result": verb(probe, arguments)}
    except Exception as error:
        return {**answer, "ok": False, "error": type(error).__name__}


def post(line: bytes) -> bool:
    """Hand a control message (one line of JSON) to the probe's own thread; whether it has one."""
    return _watcher is not None and active() is not None and _watcher.post(line)


def forked_child() -> None:
    """Disarm the probe in a forked child: close its files, write nothing."""
    global _probe, _watcher
    _with_courier("abandon", remove=False)
    if _probe is not None:
        _probe.abandon()
    if _watcher is not None:
        for fd in (_watcher._control, _watcher._alive):
            _watcher._close(fd)
    _probe = _watcher = None


def new_session_folder() -> str:
    """Make a session folder (0700) with its FIFOs for a probe started from inside."""
    import tempfile

    base = os.path.join(tempfile.gettempdir(), f"memprobe-{os.getuid()}")
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and os.path.isdir(runtime) and os.stat(runtime).st_uid == os.getuid():
        base = os.path.join(runtime, "memprobe")
    os.makedirs(base, 0o700, exist_ok=True)
    facts = os.lstat(base)
    if facts.st_uid != os.getuid() or facts.st_mode & 0o077 or os.path.islink(base):
        raise PermissionError(f"{base} is not a private folder of this user")
    folder = tempfile.mkdtemp(prefix="s", dir=base)
    for name in ("control", "replies", "alive"):
        os.mkfifo(os.path.join(folder, name), 0o600)
    return folder


def _join(probe: Probe, settings: dict[str, Any]) -> dict[str, Any]:
    if _watcher is not None:
        _watcher.renew(settings["client"])
        probe.event("joined", client=settings["client"])
    return _described(probe, joined=True)


def _described(probe: Probe, *, joined: bool) -> dict[str, Any]:
    config = probe.config
    return {
        "ok": True, "session": config["session"], "folder": config["folder"],
        "spool": config["spool"], "pid": probe.pid, "joined": joined,
    }  # fmt: skip


def _status(probe: Probe, args: dict[str, Any]) -> dict[str, Any]:
    return {
        **_described(probe, joined=False),
        "interval": probe.interval,
        "busy": _is_busy(probe),
        "clients": sorted(_watcher.leases) if _watcher else [],
        "cost": probe.governor.report(probe.recorder.written),
        "written": probe.recorder.written,
        "failed": probe.recorder.failed,
    }


def _joined(probe: Probe, args: dict[str, Any]) -> dict[str, Any]:
    return _join(probe, {"client": str(args.get("client", "host"))})


def _is_busy(probe: Probe) -> bool:
    from . import main_thread

    return probe.shell is not None and main_thread.in_a_cell(probe.shell)


def _lease(probe: Probe, args: dict[str, Any]) -> dict[str, Any]:
    if _watcher is not None:
        _watcher.renew(str(args.get("client", "host")))
    return {}


def _snapshot(probe: Probe, args: dict[str, Any]) -> dict[str, Any]:
    # Who asks may allow another pause than who started the probe, and look into other holders.
    allowed, inside = probe.config["max_pause"], probe.inside
    counted = probe.config.get("jvm_histogram")
    probe.config["max_pause"] = args.get("max_pause", allowed)
    probe.config["jvm_histogram"] = bool(args.get("jvm_histogram"))
    probe.inside = [*map(str, args.get("inside") or ()), *inside]
    try:
        probe.snapshot("request", on_user_thread=_watcher is None)
    finally:
        probe.config["max_pause"], probe.inside = allowed, inside
        probe.config["jvm_histogram"] = counted
    return {"written": probe.recorder.written}


def _release(probe: Probe, args: dict[str, Any]) -> dict[str, Any]:
    """Let go of what findings name; the host says which references, and that it was told to."""
    from . import release

    return release.release(probe, args, inside=bool(args.get("inside")))


def _end_log(probe: Probe, args: dict[str, Any]) -> dict[str, Any]:
    """End the log of allocations; return the cells that it names by file."""
    from . import allocation_sites

    probe.end_log()
    files = allocation_sites.cell_files()
    return {"cells": {os.path.basename(file): files[file] for file in list(files)[-_MOST_CELLS:]}}


def _detach(probe: Probe, args: dict[str, Any]) -> dict[str, Any]:
    if _watcher is not None:
        _watcher.drop(args.get("client"), last_snapshot=bool(args.get("last_snapshot", True)))
    return {"left": len(_watcher.leases) if _watcher else 0}


def _collect(probe: Probe, args: dict[str, Any]) -> dict[str, Any]:
    """Have Python collect garbage and the allocators give back what is free, as a user asks for."""
    from . import reclaimed

    before = reclaimed.resident()
    reclaimed.settle()
    probe.event("collected")
    return {"before": before, "after": reclaimed.resident()}


def _stop(probe: Probe, args: dict[str, Any]) -> dict[str, Any]:
    stop("stop")
    return {}


verbs: dict[str, Callable[[Probe, dict[str, Any]], dict[str, Any]]] = {
    "status": _status, "lease": _lease, "snapshot": _snapshot, "detach": _detach, "stop": _stop,
    "end-log": _end_log, "join": _joined, "release": _release,
    "collect": _collect,
}  # fmt: skip


def _at_exit() -> None:
    """Close the recording while the process's objects are still there."""
    probe = active()
    if probe is None:
        return
    try:
        probe.close(probe.parting or "exit", final_snapshot="exit")
    except BaseException:
        probe.abandon()
    _with_courier("abandon", remove=True)
    for last in at_last:
        try:
            last()
        except BaseException:
            continue


def _gone() -> list[Any]:
    """Undo what ``start`` did, on the probe's thread; return the modules that nobody needs now.

    Whoever follows from afar gets the last records first.
    """
    _with_courier("see_off", wait=_watcher is not None and _watcher.stop_reason != "lease-expired")
    return leave_nothing()


def _with_courier(act: str, **options: Any) -> None:
    """Let the courier act if there is one. It came with us or not at all."""
    courier = sys.modules.get(f"{__package__}.courier")
    try:
        if courier is not None:
            getattr(courier, act)(**options)
    except Exception:
        pass


def leave_nothing() -> list[Any]:
    """Undo what ``start`` did, and take an injected package out of ``sys.modules``.

    Returns its modules, to be dissolved when the caller needs none of them any more.
    """
    atexit.unregister(_at_exit)
    package = sys.modules.get(__package__ or "")
    finder = getattr(package, FINDER, None)
    if finder is not None and finder in sys.meta_path:
        sys.meta_path.remove(finder)
        finder.sources.clear()
    own = _own_modules() if getattr(package, INJECTED, False) else {}
    for name in own:
        del sys.modules[name]
    _forget()  # last: whoever waits for our departure may start again now
    return list(own.values())


def leaving() -> bool:
    """Whether a probe was told to leave and has not gone yet."""
    present = _probe is not None and _watcher is not None and _probe.pid == os.getpid()
    return present and _watcher is not None and _watcher.stop_reason is not None


def wait_for_departure() -> None:
    """Wait until a probe that is leaving has gone: it can be joined no more."""
    deadline = time.monotonic() + _DEPARTURE
    while leaving() and time.monotonic() < deadline:
        time.sleep(0.005)


def outlive_departure() -> None:
    """Wait as ``wait_for_departure`` does; an injected package, which goes with it, stays."""
    own = _own_modules()
    wait_for_departure()
    sys.modules.update(own)


def _own_modules() -> dict[str, Any]:
    modules = list(sys.modules.items())
    return {name: module for name, module in modules if name.split(".")[0] == __package__}


def _forget() -> None:
    global _probe, _watcher
    _probe = _watcher = None
