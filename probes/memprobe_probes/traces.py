"""What a request on the control thread disturbs in IPython and ipykernel, and how it is put back.

A request that a stranger sends is an ordinary ``execute_request`` that the control thread serves
while a cell may be running on the main thread. IPython and ipykernel were not written for two
requests at once, so what the request disturbs is put back:

- ``post_execute`` callbacks (matplotlib would show and close half-drawn figures) do not see it;
- ``last_execution_result``, ``last_execution_succeeded`` and the running cell's
  ``displayhook.exec_result`` are restored;
- ``input`` and ``getpass``, which ipykernel swaps around each request, are restored, also when
  the request came in the middle of a cell that had swapped them already;
- the request's own source leaves ``linecache`` and IPython's map of cell files.

``pre_execute`` callbacks run before any code of the request does: they are the one thing that
cannot be kept from noticing.
"""

from __future__ import annotations

import _thread
import builtins
import gc
import getpass
import linecache
import sys
import types

from . import frames

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# A module of this name carries a request's state to its end; the request's own text holds it too.
IDENTITY = "_memprobe_entry"


class Traces:
    """What a request on the control thread changes in the shell and the kernel."""

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self.kernel = getattr(shell, "kernel", None)
        self.cell_file = _file_of_request()
        self.original_input = self._original_input()
        self.gate = _Gate.install(shell)
        self.result: Any = None
        self.succeeded: Any = None

    def remember_result(self) -> None:
        """Keep the last cell's result for the moment between here and ``remove``."""
        self.result = getattr(self.shell, "last_execution_result", None)
        self.succeeded = getattr(self.shell, "last_execution_succeeded", None)

    def remove(self) -> None:
        """Put everything back."""
        for undo in (
            self._restore_result, self._restore_running_result, self._restore_input,
            self.gate.remove, self._forget_source,
        ):  # fmt: skip
            try:
                undo()
            except Exception:
                continue
        self.result = None

    def _restore_result(self) -> None:
        present = self.shell.last_execution_result
        if IDENTITY in str(getattr(getattr(present, "info", None), "raw_cell", "")):
            self.shell.last_execution_result = self.result
            self.shell.last_execution_succeeded = self.succeeded

    def _restore_running_result(self) -> None:
        """Give the display hook back the result object of the cell that is running."""
        frame = running_frame("run_cell_async")
        if frame is not None:
            result = (frames.function_locals(frame) or {}).get("result")
            if result is not None:
                self.shell.displayhook.exec_result = result

    def _original_input(self) -> Any:
        """Return the ``input`` of before any swap.

        In the middle of a cell ipykernel has dropped its only reference to it for ours; the
        interpreter keeps a pristine copy of the builtins, which only the collector can show.
        """
        saved = getattr(self.kernel, "_sys_raw_input", None)
        if not isinstance(saved, types.MethodType):
            return saved
        for names in gc.get_referrers(builtins.print):
            if type(names) is dict and type(names.get("input")) is types.BuiltinFunctionType:
                return names["input"]
        return None

    def _restore_input(self) -> None:
        kernel, original = self.kernel, self.original_input
        if kernel is None or original is None:
            return
        kernel._sys_raw_input = original
        if running_frame("do_execute") is None:
            builtins.input = original
            return
        builtins.input = kernel.raw_input
        self._restore_getpass(kernel)
        parent = kernel.get_parent("shell") if hasattr(kernel, "get_parent") else {}
        content = parent.get("content") or {}
        if "allow_stdin" in content:
            kernel._allow_stdin = content["allow_stdin"]

    @staticmethod
    def _restore_getpass(kernel: Any) -> None:
        original = getattr(getpass, "unix_getpass", None)
        if original is not None and isinstance(kernel._save_getpass, types.MethodType):
            kernel._save_getpass = original
            getpass.getpass = kernel.getpass

    def _forget_source(self) -> None:
        if self.cell_file:
            linecache.cache.pop(self.cell_file, None)
            getattr(self.shell.compile, "_filename_map", {}).pop(self.cell_file, None)


class _Gate(list):  # type: ignore[type-arg]
    """IPython's list of ``post_execute`` callbacks, empty for the thread that made it."""

    @classmethod
    def install(cls, shell: Any) -> _Gate:
        callbacks = shell.events.callbacks
        gate = cls(callbacks["post_execute"])
        gate.callbacks = callbacks
        gate.original = callbacks["post_execute"]
        gate.thread = _thread.get_ident()
        callbacks["post_execute"] = gate
        return gate

    callbacks: dict[str, Any]
    original: list[Any]
    thread: int

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice) and _thread.get_ident() == self.thread:
            return []
        return super().__getitem__(index)

    def remove(self, value: Any = None) -> None:
        """Put the original list back, with what was registered meanwhile; or remove a value."""
        if value is not None:
            super().remove(value)
            return
        self.original[:] = list(self)
        self.callbacks["post_execute"] = self.original


def _file_of_request() -> str | None:
    """Return the name under which IPython compiled the request: the outermost cell's file."""
    frame: types.FrameType | None = sys._getframe()
    while frame is not None:
        above = frame.f_back
        if above is not None and above.f_code.co_name == "run_code":
            return frame.f_code.co_filename
        frame = above
    return None


def running_frame(function: str) -> types.FrameType | None:
    """Return the innermost frame of that name on the main thread's stack."""
    import threading

    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    while frame is not None and frame.f_code.co_name != function:
        frame = frame.f_back
    return frame
