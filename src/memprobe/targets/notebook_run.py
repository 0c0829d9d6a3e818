"""Run a notebook's cells in a fresh kernel of this interpreter, with the probe in it.

Text that the cells show goes to stdout as it comes, and a failed cell's traceback to stderr. The
notebook file is only read.
"""

from __future__ import annotations

import contextlib
import os
import queue
import re
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memprobe.errors import TargetError
from memprobe.recording.naming import free
from memprobe.recording.writer import RecordingWriter
from memprobe.targets.databricks_source import is_source_notebook, read_source
from memprobe.targets.interrupts import Interrupts
from memprobe.targets.kernel import Attachment, AttachOptions, attach
from memprobe.targets.last_words import LastWords
from memprobe.targets.outcome import Outcome

if TYPE_CHECKING:
    from memprobe.targets.allocation_log import AllocationLog

START = 60.0  # seconds a kernel may take to start
LAST_SNAPSHOT = 60.0  # seconds the snapshot at the end may take
LAST_WORDS = 1.0  # seconds for what a kernel that died had to say
LOOK = 0.2  # seconds between two looks at the recording while a cell runs
CELL_FAILED = 1
COLORS = re.compile(r"\x1b\[[0-9;]*m")
DOCS = "verbs/run.md"


class Ended(Exception):
    """Somebody ended the run by a signal."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class NotebookRun:
    """One recorded run of a notebook, stopped at the first cell that fails."""

    def __init__(
        self, notebook: Path, writer: RecordingWriter, arguments: int, options: dict[str, Any],
        log: AllocationLog | None = None,
    ) -> None:  # fmt: skip
        """``writer`` has proved that the recording can be written; the kernel's host replaces it.
        ``log``: the kernel records its allocations too.

        Raises ``TargetError`` for a file that is no notebook, takes arguments, or is not Python.
        """
        self._notebook = notebook
        self._writer = writer
        self._options = options
        self._log = log
        if arguments:
            raise _refused(notebook, "a notebook takes no arguments", "leave them out")
        self._cells, self.left_out = notebook_cells(notebook)
        self._manager: Any = None
        self._client: Any = None
        self._attachment: Attachment | None = None
        self._status = CELL_FAILED
        self._stopped = False  # the kernel has to end at once, whatever runs in it
        self._interrupts = Interrupts()
        self._obeyed = 0  # so many signals that came were given to a cell, or ended the run
        self.start_up = 0.0  # seconds the kernel took until it was ready
        self._sockets = tempfile.mkdtemp(prefix="memprobe-")
        self._words: LastWords | None = None

    def run(self, final_path: Path | None = None) -> Outcome:
        """Run to the end; ``final_path`` may hold ``{pid}``.

        Raises ``TargetError``, and ``KeyboardInterrupt`` for a Ctrl-C before the first cell: then
        nothing was run.
        """
        with self._interrupts:
            try:
                self._start(final_path)
                self._status = self._run_cells()
            except Ended as ended:
                self._status = 128 + ended.number
            finally:
                self._stop()
        path = self._attachment.writer.path if self._attachment else self._writer.path
        return Outcome(status=self._status, path=path)

    def _start(self, final_path: Path | None) -> None:
        began = time.monotonic()
        self._manager = _kernel_manager(self._sockets)
        self._start_kernel()
        self._client = self._manager.blocking_client()
        self._client.start_channels()
        self._wait_until_ready()
        self.start_up = time.monotonic() - began
        pid = self._manager.provisioner.process.pid
        self._writer.close()
        path = free(Path(str(final_path).format(pid=pid))) if final_path else self._writer.path
        if final_path:
            self._writer.rename(path)
        if self._log is not None:
            self._log.follow(path)
        options = AttachOptions(
            output=path,
            program=self._notebook.name,
            **self._options,
            log=self._log,
            force=True,
        )
        file = Path(self._manager.connection_file)
        self._attachment = attach(file, pid, options, self._interrupts)

    def _start_kernel(self) -> None:
        streams: dict[str, int] = {}
        # In a test of pytest ipykernel leaves the streams of C code and children as they are.
        if "PYTEST_CURRENT_TEST" not in os.environ:
            self._words = LastWords()
            streams = dict.fromkeys(("stdout", "stderr"), self._words.write_end)
        try:
            self._manager.start_kernel(
                cwd=str(self._notebook.absolute().parent),
                env={**os.environ, "JPY_SESSION_NAME": str(self._notebook.absolute())},
                **streams,
            )
        finally:
            if self._words is not None:
                self._words.started()

    def _wait_until_ready(self) -> None:
        """Wait for the kernel's first answer, a second at a time: a signal ends the wait."""
        deadline = time.monotonic() + START
        while True:
            self._interrupts.check()
            try:
                self._client.wait_for_ready(timeout=1)
                return
            except RuntimeError as error:
                alive = self._manager.is_alive()
                if alive and time.monotonic() < deadline:
                    continue
                self._tell_last_words()
                cause = f"the kernel did not answer within {START:.0f} s" if alive else str(error)
                remedy = "check that ipykernel is installed: pip install ipykernel"
                raise _refused(self._notebook, cause, remedy) from error

    def _run_cells(self) -> int:
        for cell in self._cells:
            failed = self._run_cell(cell)
            if failed and "raises-exception" not in cell.get("metadata", {}).get("tags", []):
                return failed
        return 0

    def _run_cell(self, cell: Any) -> int:
        """Execute one cell; return 0, or the status to end with."""
        session = self._client.session
        content = {
            "code": cell["source"],
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": True,
        }
        # What JupyterLab sends, so that markers know the notebook's own name of the cell.
        message = session.msg("execute_request", content, metadata={"cellId": cell.get("id")})
        self._client.shell_channel.send(message)
        identity = message["header"]["msg_id"]
        while True:
            reply = self._next(identity)
            self._obey_signals()
            if reply is not None:
                return _status(reply)
            if not self._manager.is_alive():
                return self._died()

    def _next(self, identity: str) -> dict[str, Any] | None:
        """Show one message of the running cell; return its reply once everything was shown."""
        assert self._attachment is not None
        self._attachment.poll()
        try:
            message = self._client.get_iopub_msg(timeout=LOOK)
        except queue.Empty:
            return None
        if message["parent_header"].get("msg_id") != identity:
            return None
        self._show(message)
        if message["msg_type"] != "status" or message["content"]["execution_state"] != "idle":
            return None
        return self._reply(identity)

    def _obey_signals(self) -> None:
        """Do what the signals ask for that have come since we looked last."""
        while self._obeyed < self._interrupts.count:
            number = self._interrupts.numbers[self._obeyed]
            self._obeyed += 1
            if number != signal.SIGINT:
                raise Ended(number)
            self._interrupted()

    def _interrupted(self) -> None:
        """Ctrl-C belongs to the cell that runs, as in a notebook."""
        self._manager.interrupt_kernel()

    def _show(self, message: dict[str, Any]) -> None:
        _show(message)

    def _reply(self, identity: str) -> dict[str, Any]:
        while True:
            reply = self._client.get_shell_msg(timeout=START)
            if reply["parent_header"].get("msg_id") == identity:
                return dict(reply["content"])

    def _died(self) -> int:
        code = self._manager.provisioner.process.poll()
        self._tell_last_words()
        _write(sys.stderr, f"memprobe: the kernel died (status {code}) while a cell ran\n")
        return 128 - code if code and code < 0 else code or CELL_FAILED

    def _tell_last_words(self) -> None:
        if self._words is not None:
            _write(sys.stderr, self._words.text(LAST_WORDS))

    def _stop(self) -> None:
        """Take the last snapshot, leave the kernel, and end it, whatever has happened."""
        try:
            if self._attachment is not None:
                self._leave(self._attachment)
        finally:
            if self._client is not None:
                self._client.stop_channels()
            if self._manager is not None:
                self._manager.shutdown_kernel(now=self._attachment is None or self._stopped)
                self._manager.cleanup_resources()
            shutil.rmtree(self._sockets, ignore_errors=True)

    def _leave(self, attachment: Attachment) -> None:
        attachment.patience = self._interrupts.count  # one more, and we wait no longer
        if self._manager.is_alive():
            if self._log is not None:
                self._log.ended(attachment.ask("end-log", timeout=LAST_SNAPSHOT))
            attachment.ask("snapshot", timeout=LAST_SNAPSHOT)
            attachment.detach(self._status)
            return
        deadline = time.monotonic() + 1.0
        while attachment.ended is None and time.monotonic() < deadline:
            attachment.poll()
            time.sleep(0.01)
        attachment.close()


def code_cells(notebook: Path) -> list[Any]:
    """Return the code cells that are not empty; TargetError for what is no Python notebook."""
    return notebook_cells(notebook)[0]


def notebook_cells(notebook: Path) -> tuple[list[Any], list[tuple[str, str]]]:
    """Return the code cells, and (what, why) of what a Databricks source notebook has besides.

    Raises TargetError.
    """
    if not is_source_notebook(notebook):
        return _ipynb_cells(notebook), []
    try:
        found = read_source(notebook)
    except ImportError as error:
        raise _refused(notebook, f"IPython is missing: {error}", "pip install ipykernel") from error
    return found.cells, found.left_out


def _ipynb_cells(notebook: Path) -> list[Any]:
    import nbformat

    try:
        content: Any = nbformat.read(notebook, as_version=4)  # type: ignore[no-untyped-call]
    except Exception as error:  # each kind of broken file has an exception of its own
        raise _refused(
            notebook, f"it is no notebook: {error}".splitlines()[0], "check the file"
        ) from error
    language = content.metadata.get("kernelspec", {}).get("language", "python")
    if language != "python":
        raise _refused(notebook, f"its language is {language}", "only Python has Python objects")
    return [cell for cell in content.cells if cell.cell_type == "code" and cell.source.strip()]


def _kernel_manager(folder: str) -> Any:
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import KernelManager

    # Sockets in a private folder: nothing listens on the network. Their names are absolute, for
    # the kernel works in the notebook's folder and we in another.
    manager = KernelManager(
        transport="ipc", ip=os.path.join(folder, "s"), connection_file=f"{folder}/kernel.json"
    )
    # This interpreter, whatever kernels are installed under the usual name.
    manager._kernel_spec = KernelSpec(
        argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        display_name="memprobe run",
        language="python",
    )
    return manager


def _show(message: dict[str, Any]) -> None:
    kind, content = message["msg_type"], message["content"]
    if kind == "stream":
        _write(sys.stderr if content["name"] == "stderr" else sys.stdout, content["text"])
    elif kind in ("execute_result", "display_data"):
        _write(sys.stdout, content["data"].get("text/plain", "") + "\n")
    elif kind == "error":
        text = "\n".join(content["traceback"]) + "\n"
        _write(sys.stderr, text if sys.stderr.isatty() else COLORS.sub("", text))


def _write(stream: Any, text: str) -> None:
    # A reader that has gone must not end the notebook: a kernel's cells do not see it either.
    with contextlib.suppress(OSError, ValueError):
        stream.write(text)
        stream.flush()


def _status(reply: dict[str, Any]) -> int:
    if reply.get("status") == "ok":
        return 0
    return 128 + signal.SIGINT if reply.get("ename") == "KeyboardInterrupt" else CELL_FAILED


def _refused(notebook: Path, cause: str, remedy: str) -> TargetError:
    return TargetError(f"cannot run {notebook}", cause=cause, remedy=remedy, docs=DOCS)
