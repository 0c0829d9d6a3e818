"""Signals are counted and wake who waits, also where the system has no ``pipe2``."""

from __future__ import annotations

import os
import signal

import pytest

from memprobe.targets.interrupts import Interrupts


@pytest.mark.parametrize("has_pipe2", [True, False])
def test_a_signal_wakes_who_waits(monkeypatch: pytest.MonkeyPatch, has_pipe2: bool) -> None:
    if not has_pipe2:
        monkeypatch.delattr(os, "pipe2")  # as on macOS
    before = signal.getsignal(signal.SIGINT)
    with Interrupts() as interrupts:
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupts.wait(30)
        assert not interrupts.wait(0.01, beyond=1)
    assert signal.getsignal(signal.SIGINT) == before
