"""What runs in the side context, on the driver: it looks at processes and talks to kernels.

This file is sent away as text. It imports the standard library, and pyzmq and jupyter_client,
which every notebook's kernel is made of; nothing of memprobe. Each function's answer is plain JSON.
It runs on Pythons older than those that memprobe can enter, to be able to say so.

A side context that nobody talks to any more ends itself, so that a laptop that was closed leaves
nothing behind on the cluster.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import threading
import time
import zlib
from typing import Any

TICKS = 100  # per second, in /proc on every Linux there is
ERRANDS: dict[str, Any] = {}
_received: dict[str, list[str]] = {}  # pieces of an errand that is too long for one command
_answers: dict[str, str] = {}
_sockets: dict[str, Any] = {}  # connection file → (session, socket)
_heard = time.monotonic()


def receive(number: str, piece: str) -> None:
    """Keep a piece of an errand until ``run`` comes."""
    global _heard
    _heard = time.monotonic()
    _received.setdefault(number, []).append(piece)


def run(number: str, last: str, most: int) -> str:
    """Do an errand and return the first ``most`` signs of its answer, framed; ``piece`` has more.

    The errand is the base64 of compressed JSON ``[name, arguments]``, in all pieces together.
    """
    receive(number, last)
    try:
        name, arguments = json.loads(zlib.decompress(base64.b64decode("".join(_received[number]))))
        told: dict[str, Any] = {"ok": True, "result": ERRANDS[name](**arguments)}
    except Exception as error:
        told = {"ok": False, "error": f"{type(error).__name__}: {error}"}
    finally:
        _received.clear()
    _answers.clear()
    _answers[number] = base64.b64encode(zlib.compress(json.dumps(told).encode(), 6)).decode()
    return piece(number, 0, most)


def piece(number: str, begin: int, most: int) -> str:
    """Return a part of an answer between marks that tell whether it came through in one piece."""
    global _heard
    _heard = time.monotonic()
    text = _answers[number]
    part = text[begin : begin + most]
    return f"{{memprobe {number} {begin} {len(part)} {len(text)}:{part}:memprobe}}"


def keep_watch(lease: float) -> None:
    """End this process when nobody has said anything for ``lease`` seconds."""

    def watch() -> None:
        while time.monotonic() - _heard < lease:
            time.sleep(min(1.0, lease / 4))
        os._exit(0)

    threading.Thread(target=watch, daemon=True, name="memprobe-lease").start()


def _errand(function: Any) -> Any:
    ERRANDS[function.__name__] = function
    return function


@_errand
def survey() -> dict[str, Any]:
    """Return the driver's notebooks, JVMs and memory. Bytes; seconds."""
    boot = _boot_time()
    kernels, jvms = [], []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            row = _process(int(name), boot)
        except OSError:
            continue  # it has ended, or is hidden
        if row.get("file"):
            kernels.append(row)
        elif row.get("jvm"):
            jvms.append(row)
    return {
        "pid": os.getpid(), "python": sys.version.split()[0],
        "runtime": os.environ.get("DATABRICKS_RUNTIME_VERSION", ""),
        "kernels": kernels, "jvms": jvms, "memory": _memory(),
    }  # fmt: skip


@_errand
def describe() -> dict[str, Any]:
    """Return what a developer of memprobe wants to know of a driver that nobody has seen yet."""
    import importlib.metadata
    import platform

    versions = {}
    for name in ("ipykernel", "ipython", "jupyter_client", "pyzmq", "tornado", "pyspark", "pandas"):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    with open("/proc/self/cmdline", "rb") as opened:
        argv = [os.fsdecode(part) for part in opened.read().split(b"\0")]
    named = [name for name in os.environ if name.startswith(("DATABRICKS", "DB_", "SPARK"))]
    return {
        "versions": versions, "machine": platform.machine(), "libc": platform.libc_ver()[1],
        "uid": os.getuid(), "argv": argv, "environment": sorted(named),  # names, never values
        "pid_1": _name_of(1), "noexec": _unexecutable("/tmp"),
        "repl_context": "dbruntime.databricks_repl_context" in sys.modules,
    }  # fmt: skip


@_errand
def ask(file: str, pid: int, kind: str, content: dict[str, Any], timeout: float) -> dict[str, Any]:
    """Send one request over a kernel's control channel; return its reply, or why there is none.

    ``gone``: the process ``pid`` has ended. ``session`` changes with each process of a kernel.
    """
    import zmq

    if not os.path.exists(f"/proc/{pid}"):
        return {"gone": True}
    session, socket = _socket(file)
    message = session.send(socket, kind, content)
    number = message["header"]["msg_id"]
    deadline = time.monotonic() + timeout
    while (left := deadline - time.monotonic()) > 0:
        if not socket.poll(min(left, 0.5) * 1000, zmq.POLLIN):
            if not os.path.exists(f"/proc/{pid}"):
                return {"gone": True}
            continue
        _, parts = session.feed_identities(socket.recv_multipart())
        reply = session.deserialize(parts)
        if reply["parent_header"].get("msg_id") == number:
            told = _plain(reply["content"])
            return {
                "content": told,
                "session": reply["header"].get("session"),
                "clock": time.time(),
            }
    return {"silent": True}


@_errand
def hang_up() -> None:
    """Close the connections to all kernels."""
    for _, socket in _sockets.values():
        socket.close(0)
    _sockets.clear()


def _socket(file: str) -> Any:
    """Return our end of a kernel's control channel, which is kept for the next request."""
    if file not in _sockets:
        import zmq
        from jupyter_client.session import Session

        with open(file, encoding="utf-8") as opened:
            told = json.load(opened)
        session = Session(
            key=told.get("key", "").encode(),
            signature_scheme=told.get("signature_scheme", "hmac-sha256"),
        )
        socket: Any = zmq.Context.instance().socket(zmq.DEALER)
        socket.linger = 0
        socket.connect(_address(told))
        _sockets[file] = session, socket
    return _sockets[file]


def _address(told: dict[str, Any]) -> str:
    if told.get("transport") == "ipc":
        return f"ipc://{told['ip']}-{told['control_port']}"
    return f"tcp://{told['ip']}:{told['control_port']}"


def _plain(content: Any) -> Any:
    return json.loads(json.dumps(content, default=str))


def _process(pid: int, boot: float) -> dict[str, Any]:
    with open(f"/proc/{pid}/cmdline", "rb") as opened:
        argv = [os.fsdecode(part) for part in opened.read().split(b"\0")]
    file, jvm = _connection_file(argv), _is_jvm(argv)
    if not file and not jvm:
        return {}
    with open(f"/proc/{pid}/stat", "rb") as opened:
        fields = opened.read().rpartition(b")")[2].split()
    row: dict[str, Any] = {
        "pid": pid, "rss": int(fields[21]) * os.sysconf("SC_PAGE_SIZE"), "file": file,
        "age": max(0.0, time.time() - boot - int(fields[19]) / TICKS), "jvm": jvm,
        "user": _user(os.stat(f"/proc/{pid}").st_uid), "own": pid == os.getpid(),
        "launched": any(part.endswith("db_ipykernel_launcher.py") for part in argv[:4]),
    }  # fmt: skip
    if file:
        row.update(readable=os.access(file, os.R_OK), there=os.path.exists(file))
        row["folder"] = _folder(pid)
    if jvm:
        row["heap"] = next((part[4:] for part in argv if part.startswith("-Xmx")), "")
        row["driver"] = any("DriverDaemon" in part or "SparkSubmit" in part for part in argv)
    return row


def _connection_file(argv: list[str]) -> str:
    """Return what follows ``-f`` in a kernel's command line; empty: it is no kernel."""
    for at, word in enumerate(argv[:-1]):
        if word == "-f" and argv[at + 1].endswith(".json"):
            return argv[at + 1]
    return ""


def _is_jvm(argv: list[str]) -> bool:
    return bool(argv) and os.path.basename(argv[0]) == "java"


def _folder(pid: int) -> str:
    """Return the working directory: since DBR 14, that of the notebook in the workspace."""
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return ""


def _name_of(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8") as opened:
            return opened.read().strip()
    except OSError:
        return ""


def _unexecutable(folder: str) -> bool:
    return bool(os.statvfs(folder).f_flag & os.ST_NOEXEC)


def _user(number: int) -> str:
    try:
        import pwd

        return pwd.getpwuid(number).pw_name
    except (ImportError, KeyError):
        return str(number)


def _boot_time() -> float:
    with open("/proc/stat", encoding="ascii") as opened:
        for line in opened:
            if line.startswith("btime "):
                return float(line.split()[1])
    return 0.0


def _memory() -> dict[str, Any]:
    """Return the limit that applies to the driver and what is used of it: cgroup, else machine."""
    found = {}
    with open("/proc/meminfo", encoding="ascii") as opened:
        for line in opened:
            name, _, rest = line.partition(":")
            found[name] = int(rest.split()[0]) * 1024
    total, available = found["MemTotal"], found.get("MemAvailable", found["MemFree"])
    told: dict[str, Any] = {"limit": total, "used": total - available, "source": "machine"}
    for limit, used in (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        (
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        ),
    ):
        try:
            with open(limit, encoding="ascii") as opened:
                most = int(opened.read())
            with open(used, encoding="ascii") as opened:
                now = int(opened.read())
        except (OSError, ValueError):
            continue
        if most < total:
            told = {"limit": most, "used": now, "source": "cgroup"}
    return told
