"""Taking callbacks out of their registries: exactly these, in the way that is documented."""

from __future__ import annotations

import atexit
import gc
import logging
import logging.handlers
import signal
import sys
import threading
import types
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from memprobe_probes import callbacks, cuts, ledger, release_space, unregister
from memprobe_probes.roots import Root

Thing = type("Thing", (), {})


def _callback(*_: object) -> None:
    """What is registered: code of a file that is the user's."""


def found(shell: Any) -> list[Root]:
    return [one for one in callbacks.registered(shell) if "_callback" in one.facts["function"]]


def space_of(shell: Any, roots: list[Root], known: ledger.Ledger) -> release_space.Space:
    return release_space.Space(shell, roots, known)


def forget(shell: Any, count: int = 1) -> None:
    known = ledger.Ledger()
    known.note(found(shell))
    (expr,) = {one.expr for one in found(shell)}
    space = space_of(shell, found(shell), known)
    cut = {"root": "callback", "expr": expr, "number": count, "type": ""}
    make = unregister.unregister(space, cut)
    space.forget()
    make()


def _on_signal() -> Callable[[], object]:
    before = signal.signal(signal.SIGUSR2, _callback)
    return lambda: signal.signal(signal.SIGUSR2, before)


def _on_exit() -> Callable[[], object]:
    atexit.register(_callback)
    return lambda: atexit.unregister(_callback)


def _timer() -> Callable[[], object]:
    timer = threading.Timer(1000, _callback)
    timer.daemon = True
    timer.start()
    return timer.cancel


def _finalizer() -> Callable[[], object]:
    kept = Thing()
    made = weakref.finalize(kept, _callback)
    return lambda: (made.detach(), kept)


def _collector() -> Callable[[], object]:
    gc.callbacks.append(_callback)
    return lambda: _callback in gc.callbacks and gc.callbacks.remove(_callback)


def _hook() -> Callable[[], object]:
    before, sys.unraisablehook = sys.unraisablehook, _callback  # type: ignore[assignment]
    return lambda: setattr(sys, "unraisablehook", before)


@pytest.mark.parametrize("register", [_on_signal, _on_exit, _timer, _finalizer, _collector, _hook])
def test_a_registry_forgets_the_callback_and_nothing_else(
    register: Callable[[], Callable[[], object]],
) -> None:
    before = [(one.expr, id(one.obj)) for one in callbacks.registered()]
    undo = register()
    try:
        assert len(found(None)) == 1
        forget(None)
        assert found(None) == []
        assert [(one.expr, id(one.obj)) for one in callbacks.registered()] == before
    finally:
        undo()


def test_an_event_of_ipython_keeps_its_other_callbacks() -> None:
    others = [len, print]
    events = types.SimpleNamespace(callbacks={"post_run_cell": [len, _callback, print]})
    shell = types.SimpleNamespace(events=events)
    forget(shell)
    assert events.callbacks["post_run_cell"] == others


def test_a_log_handler_is_removed_from_its_logger() -> None:
    class Keeps(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            """Code of the user's."""

    logger, other, keeps = logging.getLogger("shop"), logging.NullHandler(), Keeps()
    logger.handlers[:] = [other, keeps]
    known = ledger.Ledger()
    roots = [one for one in callbacks.registered() if one.expr.endswith("('shop').handlers[1]")]
    known.note(roots)
    cut = {"root": "callback", "expr": roots[0].expr, "number": 1, "type": ""}
    make = unregister.unregister(space_of(None, roots, known), cut)
    make()
    assert logger.handlers == [other]
    logger.handlers.clear()


def test_more_registrations_than_were_shown_are_left_alone() -> None:
    atexit.register(_callback)
    atexit.register(_callback)
    try:
        with pytest.raises(cuts.Changed, match="more of them"):
            forget(None, count=1)
        assert len(found(None)) == 2
        forget(None, count=2)
        assert found(None) == []
    finally:
        atexit.unregister(_callback)


def test_references_are_counted_besides_one_variable() -> None:
    kept: list[object] = []
    assert cuts.references(kept) == 0
    other = [kept]
    assert cuts.references(kept) == 1
    assert other
