"""After a detach the kernel is as it was: names, hooks, threads, descriptors, references."""

from __future__ import annotations

import ctypes
import time
from pathlib import Path
from typing import Any

import pytest
from kernels import PATIENCE, Kernel
from traces import FINGERPRINT, SETUP, differences

from memprobe.errors import TargetError
from memprobe.targets import kernel_request, payload, probe_file, visit
from memprobe.targets.kernel import AttachOptions, attach


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> object:
    with Kernel(tmp_path_factory.mktemp("kernel")) as running:
        running.run(SETUP)
        running.run(FINGERPRINT)
        # A first client on the control channel makes ipykernel open an eventfd and keep it.
        running.control_info()
        running.run("print('so does the first text from the main thread')")
        yield running


def _visit(kernel: Kernel, path: Path) -> None:
    attachment = attach(kernel.connection_file, kernel.pid, AttachOptions(output=path))
    kernel.wait_for(
        attachment, lambda records: any(r.__class__.__name__ == "Sample" for r in records)
    )
    attachment.detach()
    assert attachment.ended is not None
    assert attachment.ended.reason == "detach"


def test_an_idle_kernel_is_as_before_after_a_visit(kernel: Kernel, tmp_path: Path) -> None:
    before = kernel.value("_describe()")
    _visit(kernel, tmp_path / "a.memprobe")
    after = kernel.value("_describe()")
    changed = differences(before, after)
    assert changed == {}, changed


def test_a_busy_kernel_is_as_before_after_a_visit(kernel: Kernel, tmp_path: Path) -> None:
    before = kernel.value("_describe()")
    waiting = kernel.start_cell(
        "import select\n"
        f"gate = {str(tmp_path / 'gate')!r}\nos.mkfifo(gate)\n"
        "print('running', flush=True)\n"
        "fd = os.open(gate, os.O_RDONLY)\nos.read(fd, 1)\nos.close(fd)\n"
        "answer = get_ipython().kernel._allow_stdin\n"
        "del select, gate, fd"
    )
    kernel.wait_for_output(waiting, "running")
    _visit(kernel, tmp_path / "b.memprobe")
    (tmp_path / "gate").write_text("x")
    kernel.finish(waiting)
    assert kernel.value("answer") is True
    kernel.run("del answer")
    after = kernel.value("_describe()")
    # The cell that ran meanwhile counts as cells do.
    changed = differences(before, after)
    assert changed == {}, changed


def _came_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    content = kernel_request.content

    def expired(module: str, **arguments: Any) -> dict[str, Any]:
        return content(module, **{**arguments, "expires": 0.0})

    monkeypatch.setattr(kernel_request, "content", expired)


def _finds_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a request that waited until we had given up and removed the folder."""
    monkeypatch.setattr(probe_file, "FILE", "elsewhere")


@pytest.mark.parametrize(
    ("spoil", "cause"),
    [(None, ""), (_came_too_late, "expired"), (_finds_no_file, "FileNotFoundError")],
    ids=["attached", "expired", "without a folder"],
)
def test_the_last_result_and_callbacks_do_not_notice(
    kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Any, cause: str
) -> None:
    """A thread in the kernel looks before and after, for every cell replaces the last result."""
    kernel.run(
        "import threading\n"
        f"gate = {str(tmp_path / 'gate')!r}\nos.mkfifo(gate)\nseen = []; fired = []\n"
        "note = lambda *_: fired.append(1)\n"
        "get_ipython().events.register('post_execute', note)\n"
        "get_ipython().events.register('post_run_cell', note)\n"
        "def look():\n"
        "    for _ in range(2):\n"
        "        with open(gate) as file: file.read()\n"
        "        ip = get_ipython()\n"
        "        seen.append((id(ip.last_execution_result), len(fired)))\n"
        "watch = threading.Thread(target=look); watch.start()\n"
    )
    (tmp_path / "gate").write_text("x")
    if spoil is None:
        _visit(kernel, tmp_path / "c.memprobe")
    else:
        spoil(monkeypatch)
        with pytest.raises(TargetError) as caught:
            _visit(kernel, tmp_path / "c.memprobe")
        assert cause in caught.value.cause
    (tmp_path / "gate").write_text("x")
    kernel.run("watch.join()")
    before, after = kernel.value("seen")
    kernel.run(
        "get_ipython().events.unregister('post_execute', note)\n"
        "get_ipython().events.unregister('post_run_cell', note)"
    )
    assert before == after


def _asked(kernel: Kernel) -> dict[str, Any]:
    """Ask which notebook it is, over the control channel."""

    def ask(kind: str, content: dict[str, Any]) -> dict[str, Any]:
        message = kernel.client.session.msg(kind, content)
        kernel.client.control_channel.send(message)
        while True:
            reply = kernel.client.get_control_msg(timeout=PATIENCE)
            if reply["parent_header"].get("msg_id") == message["header"]["msg_id"]:
                return dict(reply["content"])

    return visit.visit(ask, time.time() + PATIENCE)


def test_asking_which_notebook_it_is_leaves_nothing(kernel: Kernel, tmp_path: Path) -> None:
    before = kernel.value("_describe()")
    told = _asked(kernel)
    assert told == {"ok": True, "pid": kernel.pid, "notebook": "", "probe": False, "busy": False}
    assert differences(before, kernel.value("_describe()")) == {}
    waiting = kernel.start_cell(
        f"door = {str(tmp_path / 'gate')!r}\nos.mkfifo(door)\nprint('running', flush=True)\n"
        "with open(door) as file: file.read()\n"
        "answer = get_ipython().kernel._allow_stdin\ndel door, file"
    )
    kernel.wait_for_output(waiting, "running")
    assert _asked(kernel)["busy"] is True  # also in the middle of a cell
    (tmp_path / "gate").write_text("x")
    kernel.finish(waiting)
    assert kernel.value("answer") is True
    kernel.run("del answer")
    assert differences(before, kernel.value("_describe()")) == {}


def test_a_question_that_fails_leaves_nothing(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_request, "MODULES", ("frames", "traces", "waste", "visiting"))
    before = kernel.value("_describe()")
    with pytest.raises(TargetError) as caught:
        _asked(kernel)
    assert "Error" in caught.value.cause
    assert differences(before, kernel.value("_describe()")) == {}


@pytest.mark.parametrize("reads", [True, False], ids=["from the folder", "in the request"])
def test_a_probe_that_cannot_start_leaves_nothing(
    kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: bool
) -> None:
    broken = {**payload.texts(), f"{payload.PACKAGE}.zzz": "def broken(:"}
    monkeypatch.setattr(payload, "texts", lambda: broken)
    monkeypatch.setattr(probe_file, "_seen", lambda path, pid: reads)
    before = kernel.value("_describe()")
    with pytest.raises(TargetError) as caught:
        attach(kernel.connection_file, kernel.pid, AttachOptions(output=tmp_path / "d.memprobe"))
    assert "SyntaxError" in caught.value.cause
    assert kernel.value("hasattr(__import__('sys'), 'last_value')") is False
    assert differences(before, kernel.value("_describe()")) == {}


def test_a_kernel_that_cannot_read_our_folder_has_the_probe_from_the_request(
    kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []
    source = kernel_request.source

    def counted(module: str, **arguments: Any) -> str:
        text = source(module, **arguments)
        sent.append(len(text))
        return text

    monkeypatch.setattr(kernel_request, "source", counted)
    _visit(kernel, tmp_path / "e.memprobe")
    monkeypatch.setattr(probe_file, "_seen", lambda path, pid: False)
    before = kernel.value("_describe()")
    _visit(kernel, tmp_path / "f.memprobe")
    assert differences(before, kernel.value("_describe()")) == {}
    short, long = sent
    assert short < 12_000  # IPython takes a third of a second for each million signs
    assert long > 20 * short


def test_its_memory_comes_back_without_a_garbage_collection(kernel: Kernel, tmp_path: Path) -> None:
    _visit(kernel, tmp_path / "g.memprobe")  # what the first one makes libraries load stays
    if not hasattr(ctypes.CDLL(None), "mallinfo2"):
        pytest.skip("this C library does not tell how much it has handed out (glibc 2.33 does)")
    kernel.run(SIZES)
    kernel.run("gc.collect(); gc.disable()")
    try:
        before = kernel.value("_used()")
        for number in range(4):
            _visit(kernel, tmp_path / f"h{number}.memprobe")
        objects, taken = (
            now - then for now, then in zip(kernel.value("_used()"), before, strict=True)
        )
    finally:
        kernel.run("gc.enable(); del _used, _libc, _Info, ctypes, gc")
    # Without it: 13,000 objects and 4 MB a visit.
    assert objects < 4 * 2_500
    assert taken < 4 * 1_000_000


SIZES = """
import ctypes, gc, sys
_libc = ctypes.CDLL(None)
class _Info(ctypes.Structure):
    _fields_ = [(str(n), ctypes.c_size_t) for n in range(10)]
_libc.mallinfo2.restype = _Info
def _used():
    info = _libc.mallinfo2()
    return len(gc.get_objects()), getattr(info, "7") + 100 * sys.getallocatedblocks()
"""
