"""Callbacks of the user as roots, each registry by itself, and what they keep as MP105."""

from __future__ import annotations

import asyncio
import atexit
import functools
import gc
import logging
import logging.handlers
import signal
import sys
import threading
import types
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from test_evidence import MB, Cell, Held, findings, idle, notebook, program

from memprobe.recording.reader import Recording
from memprobe_probes import callbacks, heap, roots
from memprobe_probes.waiting import Waiting

BIG = 2 * MB
SOURCE = """
def keeps(kept):
    def inner(*given):
        return kept
    return inner

def plain(*given):
    return given

class Session:
    def __init__(self, kept):
        self.kept = kept
    def close(self, *given):
        return self.kept

class Loud:
    compared = []
    def __eq__(self, other):
        self.compared.append(other)
        return False
    def __call__(self):
        return None
"""


def big() -> Any:
    return np.ones(BIG, dtype=np.uint8)


@pytest.fixture
def users(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> types.ModuleType:
    """Return a module of the user's with functions and classes to register."""
    found = types.ModuleType("my_callbacks")
    found.__file__ = str(tmp_path / "my_callbacks.py")
    exec(compile(SOURCE.replace("class Loud", "class _Loud"), found.__file__, "exec"), vars(found))
    del vars(found)["_Loud"]
    monkeypatch.setitem(sys.modules, "my_callbacks", found)
    return found


def registered(shell: Any = None) -> dict[str, Any]:
    """Return expr → facts of the callbacks."""
    return {root.expr: root.facts for root in callbacks.registered(shell)}


def kept_alone(*exprs: str, shell: Any = None) -> dict[str, float]:
    """Return expr → megabytes that only this callback keeps."""
    found = [root for root in callbacks.registered(shell) if root.expr in exprs]
    tables = heap.tables(found, roots.stop_ids(), 10**10, 1.0)
    names = {row["id"]: row["expr"] for row in tables["holders"]}
    return {
        names[row["holders"][0]]: round(row["bytes"] / MB, 1)
        for row in tables["groups"]
        if len(row["holders"]) == 1
    }


@pytest.fixture
def undo() -> Iterator[list[Callable[[], Any]]]:
    steps: list[Callable[[], Any]] = []
    yield steps
    for step in steps:
        step()


# --- whose it is ------------------------------------------------------------------------------


def test_a_callable_is_the_users_by_its_code_or_by_the_data_it_is_a_method_of(users: Any) -> None:
    frame = pd.Series(big())
    mine = [users.plain, users.keeps(1), users.Session(1).close, functools.partial(users.plain, 1),
            frame.to_csv, big().sum,
            functools.partial(print, frame), functools.partial(frame.to_csv)]  # fmt: skip
    others = [print, logging.shutdown, [].append, functools.partial(print, 1), sys.exit, gc.collect,
              callbacks.registered, functools.partial(logging.info, "x")]  # fmt: skip
    assert [callbacks.is_users(one) for one in mine] == [True] * len(mine)
    assert [callbacks.is_users(one) for one in others] == [False] * len(others)


def test_names_are_those_of_what_is_called(users: Any) -> None:
    assert callbacks.name_of(users.keeps(1)) == "keeps.<locals>.inner"
    assert callbacks.name_of(users.Session(1).close) == "Session.close"
    assert callbacks.name_of(functools.partial(functools.partial(users.plain), 1)) == "plain"
    assert callbacks.name_of(big().sum) == "ndarray.sum"


# --- registries -------------------------------------------------------------------------------


def test_exit_handlers_are_found_and_keep_what_they_close_over(users: Any) -> None:
    before = atexit._ncallbacks()
    exprs = ["atexit: keeps.<locals>.inner", "atexit: Session.close", "atexit: plain"]
    inner = users.keeps(big())
    for one in (inner, users.Session(big()).close, users.plain):
        atexit.register(one)
    del one
    try:
        assert set(exprs) <= set(registered())
        assert registered()["atexit: plain"]["function"] == "plain"
        assert kept_alone(*exprs) == {exprs[1]: 2.0}, "the variable here holds the other one too"
        del inner
        assert kept_alone(*exprs) == {exprs[0]: 2.0, exprs[1]: 2.0}
        assert atexit._ncallbacks() == before + 3
    finally:
        for one in filter(callbacks.is_users, callbacks.exit_handlers()):
            atexit.unregister(one)
    assert not set(exprs) & set(registered())


def test_listing_exit_handlers_leaves_no_garbage() -> None:
    gc.collect()
    for _ in range(3):
        callbacks.exit_handlers()
    assert gc.collect() == 0


def test_where_a_callable_class_compares_itself_exit_handlers_are_not_asked(
    users: Any, undo: Any
) -> None:
    loud: dict[str, Any] = {"__name__": "my_callbacks"}
    exec(compile(SOURCE, users.__file__, "exec"), loud)
    handler = loud["Loud"]()
    atexit.register(handler)
    undo.append(functools.partial(_unregister_by_id, handler))
    vars(users)["Loud"] = loud["Loud"]
    try:
        assert callbacks.exit_handlers() == []
        assert handler.compared == []
    finally:
        del vars(users)["Loud"]


def _unregister_by_id(handler: Any) -> None:
    type(handler).__eq__ = object.__eq__
    atexit.unregister(handler)


def test_a_signal_handler_is_named_by_its_signal(users: Any, undo: Any) -> None:
    before = signal.signal(signal.SIGUSR2, users.keeps(big()))
    undo.append(functools.partial(signal.signal, signal.SIGUSR2, before))
    expr = "signal.getsignal(signal.SIGUSR2)"
    assert registered()[expr]["line"] == 3
    assert kept_alone(expr) == {expr: 2.0}


def test_hooks_of_the_interpreter(users: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "excepthook", users.keeps(big()))
    assert kept_alone("sys.excepthook") == {"sys.excepthook": 2.0}
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    assert "sys.excepthook" not in registered()


def test_callbacks_of_the_collector(users: Any, undo: Any) -> None:
    gc.callbacks.append(functools.partial(users.plain, big()))
    undo.append(gc.callbacks.pop)
    expr = f"gc.callbacks[{len(gc.callbacks) - 1}]"
    assert kept_alone(expr) == {expr: 2.0}


def test_events_of_the_shell_are_numbered_among_the_users(users: Any) -> None:
    shell = types.SimpleNamespace(
        events=types.SimpleNamespace(
            callbacks={"post_run_cell": [callbacks.registered, users.keeps(big()), users.plain]}
        )
    )
    expr = "get_ipython().events.callbacks['post_run_cell'][{}]"
    assert set(registered(shell)) >= {expr.format(0), expr.format(1)}
    assert registered(shell)[expr.format(1)]["function"] == "plain"
    assert kept_alone(expr.format(0), shell=shell) == {expr.format(0): 2.0}


def test_a_timer_tells_when_it_is_due_and_keeps_its_arguments(users: Any, undo: Any) -> None:
    timer = threading.Timer(5000, users.plain, args=(big(),))
    timer.name, timer.daemon = "nightly", True
    timer.start()
    undo.append(timer.join)
    undo.append(timer.cancel)
    undo.reverse()
    assert registered()["timer 'nightly'"]["due"] == 5000
    del timer
    assert kept_alone("timer 'nightly'") == {"timer 'nightly'": 2.0}


def test_a_finalizer_keeps_its_arguments_until_it_is_detached(users: Any) -> None:
    watched = users.Session(None)
    finalizer = weakref.finalize(watched, users.plain, big())
    expr = "weakref.finalize: plain"
    assert kept_alone(expr) == {expr: 2.0}
    finalizer.detach()
    assert expr not in registered()


def test_planned_calls_of_a_loop_tell_when_they_are_due(users: Any) -> None:
    async def plan() -> tuple[dict[str, Any], dict[str, float]]:
        loop = asyncio.get_running_loop()
        call = loop.call_later(5000, users.keeps(big()))
        gone = loop.call_later(5000, users.plain, big())
        gone.cancel()
        expr = "loop.call_later: keeps.<locals>.inner"
        try:
            del gone
            held, call_of = registered(), [call]
            del call
            return held, {} if call_of[0].cancelled() else _without(call_of, expr)
        finally:
            for one in loop._scheduled:  # type: ignore[attr-defined]
                one.cancel()

    found, alone = asyncio.run(plan())
    [expr] = [one for one in found if one.startswith("loop.")]
    assert 4990 < found[expr]["due"] <= 5000
    assert alone == {expr: 2.0}


def _without(held: list[Any], expr: str) -> dict[str, float]:
    held.clear()
    return kept_alone(expr)


def test_a_log_handler_of_the_users_keeps_its_records(users: Any, undo: Any) -> None:
    class Remember(logging.Handler):
        def __init__(self) -> None:
            super().__init__()
            self.records: list[Any] = []

    # Its emit is compiled as the user's, in their file.
    names: dict[str, Any] = {}
    exec(compile("def emit(self, record): self.records.append(record)", users.__file__, "exec"),
         names)  # fmt: skip
    Remember.emit = names["emit"]  # type: ignore[method-assign]
    log = logging.getLogger("etl.tests")
    log.propagate, log.handlers = False, [Remember(), logging.handlers.MemoryHandler(100)]
    undo.append(log.handlers.clear)
    log.warning("%s", big())
    exprs = [f"logging.getLogger('etl.tests').handlers[{n}]" for n in (0, 1)]
    assert {exprs[0], exprs[1] + ".buffer"} <= set(registered())
    # Both keep the one record.
    assert kept_alone(exprs[0], exprs[1] + ".buffer") == {}
    log.handlers[1].buffer.clear()  # type: ignore[attr-defined]
    assert kept_alone(exprs[0]) == {exprs[0]: 2.0}


# --- since when, and threads ------------------------------------------------------------------


def test_the_cell_that_registered_is_remembered_as_long_as_it_is_there(
    users: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = Waiting()
    monkeypatch.setattr(sys, "excepthook", users.keeps(1))

    def since() -> Any:
        found = callbacks.callback_roots(None, waiting)
        return {root.expr: root.facts.get("since") for root in found}["sys.excepthook"]

    assert since() is None
    waiting.look(3)
    waiting.look(4)
    assert since() == 3
    monkeypatch.setattr(sys, "excepthook", users.keeps(2))
    waiting.look(5)
    assert since() == 5


@pytest.mark.parametrize("kind", ["event", "queue"])
def test_a_thread_waits_since_a_cell_unless_it_waits_for_work(users: Any, kind: str) -> None:
    import queue

    go, work = threading.Event(), queue.Queue[Any]()
    wait = {"event": go.wait, "queue": work.get}[kind]
    names: dict[str, Any] = {"wait": wait}
    exec(compile("def run(kept):\n    wait()\n", users.__file__, "exec"), names)
    thread = threading.Thread(target=names["run"], args=(big(),), name="waiter", daemon=True)
    thread.start()
    waiting = Waiting()
    try:
        _until_it_waits(thread, waiting)
        found = [root for root in roots._threads(waiting) if root.expr == "thread 'waiter'"]
        assert found[0].facts.get("since") == (7 if kind == "event" else None)
        assert found[0].obj is thread
    finally:
        go.set()
        work.put(None)
        thread.join()


def test_a_thread_at_work_in_a_librarys_own_code_does_not_wait() -> None:
    values = np.random.default_rng(1).random(60_000_000)
    thread = threading.Thread(target=values.sort, daemon=True)
    thread.start()
    waiting = Waiting()
    seen = []
    for cell in range(4):
        waiting.look(cell)
        seen.append(waiting.since_of_thread(thread.ident or 0))
        thread.join(0.05)
    assert thread.is_alive(), "it was done before it had been looked at"
    assert seen[-1] != 0
    thread.join()


def _until_it_waits(thread: threading.Thread, waiting: Waiting) -> None:
    """Look until two looks find the thread in the same place."""
    for _ in range(1000):
        waiting.look(7)
        if waiting.since_of_thread(thread.ident or 0) == 7:
            return
        thread.join(0.01)
    raise AssertionError("it never came to wait")


# --- MP105 ------------------------------------------------------------------------------------


def with_callbacks(recording: Recording, **changes: dict[str, Any]) -> Recording:
    """Make the holders that ``changes`` names callbacks, with the given fields."""
    for holder in recording.snapshots[-1].holders:
        fields = changes.get(holder.expr)
        if fields is not None:
            given = {"root": "callback", "type": "function", "function": "f", **fields}
            for name, value in given.items():
                setattr(holder, name, value)
    return recording


def told(recording: Recording) -> list[tuple[str, str]]:
    return [(one.code, " ".join(held.expr for held in one.holders)) for one in findings(recording)]


def hook(held: str = "hook", cells: int = 1, **fields: Any) -> Recording:
    recording = notebook(Cell("df"), *idle(cells), held=[Held(held)])
    return with_callbacks(recording, hook={"since": 1, **fields})


def test_a_callback_that_keeps_what_nothing_names_is_told_after_the_next_cell() -> None:
    assert told(hook(cells=0)) == []
    assert told(hook(cells=1)) == [("MP105", "hook")]
    assert findings(hook())[0].status == "suspect"


def test_without_a_cell_that_saw_it_come_the_one_that_wrote_it_counts() -> None:
    assert told(hook(cells=0, since=None, cell=1)) == []
    assert told(hook(cells=1, since=None, cell=1)) == [("MP105", "hook")]


@pytest.mark.parametrize("cells", [1, 9])
def test_where_a_name_leads_to_the_data_nothing_is_told_stale_or_not(cells: int) -> None:
    assert told(hook("hook df", cells=cells)) == []


@pytest.mark.parametrize(("via", "codes"), [("traceback", ["MP104"]), ("list", [])])
def test_frames_that_failed_are_nobodys_work_whatever_name_leads_to_them(
    via: str, codes: list[str]
) -> None:
    recording = notebook(Cell("df"), *idle(1), held=[Held("df hook", via=via)])
    recording.snapshots[-1].awaited = ["df"]
    with_callbacks(recording, hook={"since": 1, "expr": "logging.getLogger('job').handlers[0]"})
    assert [code for code, _ in told(recording)] == codes
    for one in findings(recording):
        assert "import logging; logging.getLogger('job').handlers.clear()" in one.fix
        assert one.why.startswith("`df` keeps an exception")


@pytest.mark.parametrize(("cells", "found"), [(4, []), (5, [("MP105", "df hook")])])
def test_the_name_of_the_callback_itself_is_one_more_holder_once_it_is_stale(
    cells: int, found: list[Any]
) -> None:
    recording = hook("hook df", cells=cells)
    for holder in recording.snapshots[-1].holders:
        holder.type = "function"
    assert told(recording) == found


@pytest.mark.parametrize(("due", "fires"), [(599.0, False), (601.0, True), (None, True)])
def test_what_is_called_soon_lets_go_soon(due: float | None, fires: bool) -> None:
    assert bool(told(hook(due=due))) is fires


def test_what_somebody_unknown_holds_too_is_not_promised() -> None:
    assert told(hook("hook ?")) == []


@pytest.mark.parametrize(("cells", "fires"), [(4, False), (5, True)])
def test_a_thread_must_have_waited_for_long(cells: int, fires: bool) -> None:
    expr = "thread 'saver'"
    recording = notebook(Cell("x"), *idle(cells), held=[Held("waiter")])
    with_callbacks(recording, waiter={"root": "thread", "expr": expr, "since": 1})
    assert told(recording) == ([("MP105", expr)] if fires else [])
    assert told(with_callbacks(recording, **{expr: {"root": "thread", "since": None}})) == []


def test_in_a_script_a_callbacks_own_name_may_go_too_and_no_other() -> None:
    def script(kind: str) -> Recording:
        recording = program(Held("hook timer"))
        with_callbacks(recording, hook={"due": 5000.0}, timer={"root": "module", "type": kind})
        return recording

    assert told(script("threading.Timer")) == [("MP105", "timer hook")]
    assert told(script("pandas.DataFrame")) == []
    assert told(with_callbacks(program(Held("hook")), hook={})) == [("MP105", "hook")]


@pytest.mark.parametrize(
    ("expr", "typed"),
    [
        ("signal.getsignal(signal.SIGUSR1)", "signal.signal(signal.SIGUSR1, signal.SIG_DFL);"),
        ("sys.excepthook", "sys.excepthook = sys.__excepthook__"),
        ("gc.callbacks[1]", "del gc.callbacks[1]"),
        ("timer 'nightly'", "if one.name == 'nightly'];"),
        ("weakref.finalize: f", "one.detach() for one in"),
        ("loop.call_later: f", "one.cancel() for one in"),
        ("atexit: f", "atexit.unregister(one) for one in"),
        ("get_ipython().events.callbacks['post_run_cell'][0]",
         "get_ipython().events.unregister('post_run_cell', one) for one in"),
        ("logging.getLogger('etl').handlers[0]", "logging.getLogger('etl').handlers.clear()"),
    ],
)  # fmt: skip
def test_the_fix_can_be_typed(expr: str, typed: str) -> None:
    [one] = findings(hook(expr=expr))
    assert typed in one.fix
    compile(one.fix, "<fix>", "exec")
    assert "`f`" in one.title or "SIGUSR1" in one.title or "timer" in one.title
