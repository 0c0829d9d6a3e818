"""Reading frames' locals: what is found, and that nobody can tell that we looked."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROBES = Path(__file__).parents[2] / "probes"

# Runs in each Python, with nothing but the standard library and the probe; prints facts.
PROGRAM = """
import gc, json, sys, weakref
sys.path.insert(0, sys.argv[1])
from memprobe_probes import frames

PROXY = sys.version_info >= (3, 13)
facts = {}


class Big:
    pass


def suspended(make=Big):
    held = make()
    yield held
    yield None


# A running function.
def plain():
    big = Big()
    alive = weakref.ref(big)
    found = of_caller()
    facts["running"] = [sorted(found), found["big"] is big]
    del found
    del big
    return alive() is None


def of_caller():
    return frames.function_locals(sys._getframe(1))


facts["running: nothing is kept"] = plain()


# A suspended generator: reading it keeps nothing, and it goes on as if nobody had looked.
generator = suspended()
alive = weakref.ref(next(generator))
found = frames.function_locals(generator.gi_frame)
facts["generator"] = type(found["held"]).__name__
facts["name in generator"] = frames.name_of_local(generator.gi_frame, alive())
facts["name of nothing"] = frames.name_of_local(generator.gi_frame, Big())
del found
facts["generator: no dict is left"] = frames._present_locals(generator.gi_frame) is None
facts["generator goes on"] = next(generator) is None
del generator
facts["generator: nothing is kept"] = alive() is None


# Locals that are deleted after the look do not stay.
def drops():
    big = Big()
    alive = weakref.ref(big)
    yield alive
    del big
    yield alive() is None
    yield


generator = drops()
next(generator)
frames.function_locals(generator.gi_frame)
facts["deleted after the look"] = next(generator)


# The dict that a user got from locals() is neither refreshed nor emptied.
def asks():
    before = 1
    mine = locals()
    after = 2
    yield mine
    yield


generator = asks()
mine = next(generator)
expected = dict(mine)
found = frames.function_locals(generator.gi_frame)
facts["asks is readable"] = found is not None
facts["user's dict"] = mine == expected and "after" not in mine


# ... also when it was somebody else who asked: a debugger, a traceback printer.
def quiet():
    before = 1
    yield


generator = quiet()
next(generator)
theirs = generator.gi_frame.f_locals
frames.function_locals(generator.gi_frame)
facts["their dict keeps its names"] = "before" in theirs
facts["their dict gives names"] = frames.name_of_local(generator.gi_frame, theirs["before"])


# A frame under a debugger is left alone.
def traced():
    here = 1
    yield
    yield


def tracer(frame, event, argument):
    return tracer


generator = traced()
sys.settrace(tracer)
next(generator)
sys.settrace(None)
facts["has trace function"] = generator.gi_frame.f_trace is not None
facts["traced is readable"] = frames.function_locals(generator.gi_frame) is not None


# The ended frames behind an exception.
def fails():
    big = Big()
    alive.append(weakref.ref(big))
    cell = 1
    inner = lambda: cell
    raise ValueError


def caught():
    try:
        fails()
    except ValueError as error:
        return error.with_traceback(error.__traceback__.tb_next)


alive = []
error = caught()
frame = error.__traceback__.tb_frame
found = frames.function_locals(frame)
facts["ended"] = [sorted(found), found["cell"]]
facts["ended: name"] = frames.name_of_local(frame, alive[0]())
del found, frame
facts["ended: held by the error"] = alive[0]() is not None
error = None
facts["ended: nothing is kept"] = alive[0]() is None


# The dict that a traceback printer left attached to an ended frame: seen, read, not refreshed.
error = caught()
frame = error.__traceback__.tb_frame
theirs = frame.f_locals
facts["ended, asked: theirs is known"] = frames.is_locals_dict(frame, theirs)
facts["ended, asked: readable"] = frames.function_locals(frame) is not None
facts["ended, asked: still full"] = sorted(theirs)
facts["ended, asked: name"] = frames.name_of_local(frame, alive[1]())
del frame, error


# What is no function has no locals of its own; nor has what could hold the dict.
facts["module"] = frames.function_locals(sys._getframe()) is None
facts["is function"] = frames.is_function(sys._getframe())


class Body:
    frame = sys._getframe()
    facts["class body"] = frames.function_locals(frame) is None
    del frame


# An object whose comparison raises is never compared.
class Trap:
    def __eq__(self, other):
        raise SystemExit("compared")
    __hash__ = None


def holds():
    one, two = Trap(), Trap()
    yield one, two


generator = holds()
one, two = next(generator)
facts["by identity"] = frames.name_of_local(generator.gi_frame, two)
print(json.dumps(facts))
"""


def interpreter(version: str) -> str:
    """Return a Python of ``version``, or skip."""
    if sys.version_info[:2] == tuple(map(int, version.split("."))):
        return sys.executable
    own = Path.home().glob(f".pyenv/versions/{version}.*/bin/python")
    for place in [shutil.which(f"python{version}"), *sorted(map(str, own))]:
        if place and subprocess.run([place, "-c", ""], capture_output=True).returncode == 0:
            return place
    pytest.skip(f"no Python {version} on this machine")


@pytest.fixture(scope="module", params=["3.10", "3.11", "3.12", "3.13", "3.14"])
def facts(request: pytest.FixtureRequest) -> dict[str, object]:
    python = interpreter(request.param)
    done = subprocess.run(
        [python, "-I", "-S", "-c", PROGRAM, str(PROBES)], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, ""), done
    return {"proxy": request.param >= "3.13", **json.loads(done.stdout)}


def test_locals_of_running_suspended_and_ended_frames_are_found(facts: dict[str, object]) -> None:
    assert facts["running"] == [["alive", "big"], True]
    assert facts["generator"] == "Big"
    assert facts["ended"] == [["big", "cell", "inner"], 1]


def test_reading_keeps_nothing_alive(facts: dict[str, object]) -> None:
    for what in ("running", "generator", "ended"):
        assert facts[f"{what}: nothing is kept"] is True, what
    assert facts["ended: held by the error"] is True
    assert facts["deleted after the look"] is True
    assert facts["generator: no dict is left"] is True
    assert facts["generator goes on"] is True


def test_a_dict_that_somebody_got_is_neither_refreshed_nor_emptied(
    facts: dict[str, object],
) -> None:
    # From 3.13 on a look is free: there is no such dict.
    assert facts["asks is readable"] is facts["proxy"]
    assert facts["user's dict"] is True
    assert facts["their dict keeps its names"] is True
    assert facts["ended, asked: readable"] is facts["proxy"]
    assert facts["ended, asked: still full"] == ["big", "cell", "inner"]
    assert facts["ended, asked: theirs is known"] is not facts["proxy"]


def test_a_frame_with_a_trace_function_is_left_alone(facts: dict[str, object]) -> None:
    assert facts["has trace function"] is True
    assert facts["traced is readable"] is facts["proxy"]


def test_names_of_locals_are_told_by_identity(facts: dict[str, object]) -> None:
    assert facts["name in generator"] == "held"
    assert facts["name of nothing"] is None
    assert facts["ended: name"] == "big"
    assert facts["ended, asked: name"] == "big"
    assert facts["their dict gives names"] == "before"
    assert facts["by identity"] == "two"


def test_modules_and_class_bodies_have_no_locals_of_their_own(facts: dict[str, object]) -> None:
    assert facts["module"] is True
    assert facts["class body"] is True
    assert facts["is function"] is False
