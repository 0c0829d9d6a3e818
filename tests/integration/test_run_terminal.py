"""``memprobe run`` at a terminal: Ctrl-C, Ctrl-Z and the terminal itself reach the target alone."""

from __future__ import annotations

import os
import pty
import select
import shlex
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest
from running import PROGRAMS, bare_environment, memprobe_run

DEADLINE = 120.0  # seconds for something that takes a moment, on a machine busy with others

PROGRAM = "counts_interrupts.py"


class Terminal:
    """A program at a terminal of its own."""

    def __init__(self, line: list[str]) -> None:
        self.seen = ""
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.chdir(PROGRAMS)
            os.execvpe(line[0], line, bare_environment(PS1="> ", TERM="dumb"))

    def expect(self, text: str) -> None:
        """Wait until ``text`` was shown; what comes after it is left for the next call."""
        deadline = time.monotonic() + DEADLINE
        while text not in self.seen:
            left = deadline - time.monotonic()
            assert left > 0, f"{text!r} was never shown; seen: {self.seen!r}"
            if select.select([self.master], [], [], left)[0]:
                self.seen += os.read(self.master, 4096).decode()
        self.seen = self.seen.partition(text)[2]

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def status(self) -> int:
        """Wait for the end; return the exit status."""
        try:
            while os.read(self.master, 4096):
                pass
        except OSError:
            pass  # the terminal hangs up when nobody is left
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def close(self) -> None:
        os.close(self.master)  # hangs up on whoever is left


def lines_to_compare(tmp_path: Path) -> list[list[str]]:
    return [[sys.executable, PROGRAM], memprobe_run(tmp_path / "pty.memprobe", PROGRAM)]


def test_control_c_interrupts_the_target_once(tmp_path: Path) -> None:
    for line in lines_to_compare(tmp_path):
        terminal = Terminal(line)
        terminal.expect("ready True 0 True")
        terminal.type("\x03")
        terminal.expect("interrupt 1")
        terminal.type("x\n")
        terminal.expect("line x after 1")
        terminal.type("\x03")
        terminal.expect("interrupt 2")
        terminal.type("end\n")
        terminal.expect("line end after 2")
        assert terminal.status() == 0
        terminal.close()


def test_control_backslash_ends_both(tmp_path: Path) -> None:
    terminal = Terminal(memprobe_run(tmp_path / "pty.memprobe", PROGRAM))
    terminal.expect("ready")
    terminal.type("\x1c")
    assert terminal.status() == 128 + signal.SIGQUIT
    terminal.close()


def test_job_control_stops_and_continues_both(tmp_path: Path) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash here: job control needs a shell that has it")
    for line in lines_to_compare(tmp_path):
        terminal = Terminal([bash, "--norc", "--noediting", "-i"])
        terminal.expect("> ")
        terminal.type(shlex.join(line) + "\n")
        terminal.expect("ready True")
        terminal.type("\x1a")
        terminal.expect("Stopped")
        terminal.expect("> ")
        terminal.type("fg\n")
        terminal.type("end\n")
        terminal.expect("line end after 0")
        terminal.expect("> ")
        terminal.type("echo status=$?; exit\n")
        terminal.expect("status=0")
        assert terminal.status() == 0
        terminal.close()
