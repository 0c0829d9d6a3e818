"""The pytest marker in real runs of pytest: what fails, what passes, and what is said."""

from __future__ import annotations

import importlib.util
from xml.etree import ElementTree

import pytest

pytest_plugins = ["pytester"]

APP = """
from functools import lru_cache
CACHE = {}
LOG = []
warmed = None

class Store:
    rows = []

def leak(size):
    CACHE[object()] = bytearray(size)

def warm():
    global warmed
    if warmed is None:
        warmed = bytearray(30_000_000)

@lru_cache(maxsize=64)
def bounded(x):
    return bytes(100_000)

@lru_cache(maxsize=None)
def unbounded(x):
    return bytes(100_000)
"""

HEAD = "import gc, itertools, sys, threading, unittest\nimport pytest, app\nn = itertools.count()\n"


@pytest.fixture
def folder(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project with a module ``app`` that can leak in several ways."""
    pytester.makepyfile(app=APP)
    pytester.makepyprojecttoml("[tool.memprobe]\n[tool.pytest.ini_options]\n")
    return pytester


def run(folder: pytest.Pytester, tests: str, *options: str) -> pytest.RunResult:
    folder.makepyfile(test_it=HEAD + tests)
    return folder.runpytest_subprocess("--strict-markers", "-p", "no:cacheprovider", *options)


def test_what_leaks_fails_and_names_holder_bytes_path_and_what_to_type(
    folder: pytest.Pytester,
) -> None:
    result = run(
        folder,
        "@pytest.mark.memprobe(retained='1MB')\ndef test_leak(tmp_path): app.leak(20_000_000)\n",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "the test left 19.1 MiB behind; the marker allows 976.6 KiB",
            "  app.CACHE   +19.1 MiB   module, dict",
            "    path  app.CACHE[[]key] → bytearray",
            "    fix   app.CACHE.clear() when the test ends*",
            "*= memprobe =*",
            "retained 20,000,*test_leak",
            "1 measured, 1 over the limit, 0 not measurable",
            "FAILED test_it.py::test_leak*",
        ]
    )


def test_what_is_no_leak_passes(folder: pytest.Pytester) -> None:
    result = run(
        folder,
        """
@pytest.fixture(scope="module")
def wide():
    app.Store.rows = bytearray(40_000_000)  # at home in the fixture, however long that lives
    yield
    app.Store.rows = []

@pytest.fixture
def narrow():
    app.LOG.append(bytearray(20_000_000))
    yield app.LOG
    app.LOG.clear()

@pytest.fixture(scope="session")
def database():
    return []

@pytest.mark.memprobe(growth="0")
def test_warm_cache(): app.warm()

@pytest.mark.memprobe(growth="0")
def test_bounded_cache_that_still_fills_up(): app.bounded(next(n))

@pytest.mark.memprobe(retained="25MB")
def test_below_the_limit(): app.leak(20_000_000)

@pytest.mark.memprobe(retained="10kB", growth="0")
def test_wider_fixture(wide): pass

@pytest.mark.memprobe(retained="10kB", growth="0")
def test_wider_fixture_asked_for_while_it_runs(request): request.getfixturevalue("wide")

@pytest.mark.memprobe(retained="10kB", growth="0")
def test_own_fixture(narrow, caplog, tmp_path, capsys): assert len(narrow) == 1

@pytest.mark.memprobe(retained="10kB", growth="0")
def test_value_of_a_session_fixture(database): database.append(bytearray(5_000_000))

@pytest.mark.memprobe(retained="10kB", growth="0")
@pytest.mark.parametrize("size", [1, 2])
def test_cycle_left_to_the_collector(size):
    cycle = [bytearray(size * 5_000_000)]
    cycle.append(cycle)

@pytest.mark.memprobe(retained="10kB")
def test_same_object_under_one_more_name(): app.alias = app.CACHE

@pytest.mark.memprobe(retained="10kB")
def test_freed_and_replaced(): app.warmed = bytearray(30_000_000)
""",
        "-p",
        "no:randomly",
    )
    result.assert_outcomes(passed=11)
    assert "11 measured, 0 over the limit" in result.stdout.str()


LEAKS = {
    "CACHE": "app.leak(1000)",
    "unbounded": "app.unbounded(next(n))",
    "Store.rows": "app.Store.rows.append(bytearray(2000))",
    "new names": "setattr(app, f'name_{next(n)}', bytearray(2000))",
}


def test_growth_is_found_whatever_holds_it(folder: pytest.Pytester) -> None:
    tests = "".join(
        f"@pytest.mark.memprobe(growth='0')\ndef test_{number}(): {leak}\n"
        for number, leak in enumerate(LEAKS.values())
    )
    result = run(folder, tests)
    result.assert_outcomes(failed=len(LEAKS))
    result.stdout.fnmatch_lines(
        [
            "each of 3 rounds added at least 1.1 KiB; the marker allows 0 B",
            "  app.CACHE   +1.* KiB*",
            "    fix   app.unbounded.cache_clear()",
            "  app.Store.rows   +2.0 KiB   class-attribute, list",
            "  app.name_*",
        ]
    )


def test_growth_in_some_rounds_only_is_none(folder: pytest.Pytester) -> None:
    result = run(
        folder,
        """
@pytest.mark.memprobe(growth="0", rounds=4)
def test_once(): next(n) == 3 and app.leak(5_000_000)
@pytest.mark.memprobe(growth="2kB")
def test_below(): app.leak(1000)
""",
    )
    result.assert_outcomes(passed=2)


def test_each_round_sets_up_anew_and_tells_its_properties_once(folder: pytest.Pytester) -> None:
    result = run(
        folder,
        """
ran = []
@pytest.fixture(scope="module", autouse=True)
def module(): ran.append("M"); yield; print(ran)
@pytest.fixture
def own(): ran.append("f"); yield; ran.append("-")
@pytest.mark.memprobe(growth="1MB", rounds=2)
def test_it(own, record_property): ran.append("t"); record_property("mine", 1); print("said")
class TestCase(unittest.TestCase):
    def setUp(self): ran.append("s")
    @pytest.mark.memprobe(growth="1MB", rounds=1)
    def test_unit(self): ran.append("u")
""",
        "--junitxml=j.xml",
        "-s",
    )
    result.assert_outcomes(passed=2)
    order = "M ft- ft- ft- su su".replace(" ", "")
    assert str(list(order)) in result.stdout.str()
    found = ElementTree.parse(folder.path / "j.xml").getroot().findall(".//property")
    names = [each.get("name") for each in found]
    told = [name for name in names if name != "memprobe.holders"]  # the list above grows
    assert told == ["mine", "memprobe.growth", "memprobe.growth"]


def test_properties_and_failure_are_in_the_junit_file(folder: pytest.Pytester) -> None:
    run(
        folder,
        "@pytest.mark.memprobe(retained='1MB')\ndef test_leak(): app.leak(20_000_000)\n",
        "--junitxml=j.xml",
    )
    case = ElementTree.parse(folder.path / "j.xml").getroot().find(".//testcase")
    assert case is not None
    told = {each.get("name"): each.get("value") for each in case.iter("property")}
    retained = int(told["memprobe.retained"] or 0)
    assert retained == pytest.approx(20_000_000, abs=1000)
    assert told["memprobe.holders"] == f"app.CACHE {retained}"
    failure = case.find("failure")
    assert failure is not None
    assert "app.CACHE" in (failure.text or "")


def test_a_wrong_marker_is_an_error_that_names_its_place(folder: pytest.Pytester) -> None:
    result = run(
        folder,
        """
@pytest.mark.memprobe(retianed="1MB")
def test_name(): pass
@pytest.mark.memprobe(growth="much")
def test_value(): pass
@pytest.mark.memprobe("1MB")
def test_position(): pass
@pytest.mark.memprobe(rounds=3)
def test_rounds(): pass
def test_other(): pass
""",
    )
    result.assert_outcomes(errors=4, passed=1)
    result.stdout.fnmatch_lines(
        [
            "test_it.py:5: @pytest.mark.memprobe of test_name has no argument 'retianed'",
            "  help: did you mean retained?",
            "test_it.py:7: @pytest.mark.memprobe of test_value has a wrong growth: 'much'",
            "  help: give a size, like 0, 10000000 or '10 MB'",
            "test_it.py:9: @pytest.mark.memprobe of test_position takes no positional arguments",
            "test_it.py:11: @pytest.mark.memprobe of test_rounds has rounds= without growth=",
        ]
    )


def test_a_test_that_fails_by_itself_is_reported_as_ever_and_blamed_for_nothing(
    folder: pytest.Pytester,
) -> None:
    result = run(
        folder,
        """
@pytest.fixture(scope="module")
def wide(): yield; print("module torn down")
@pytest.mark.memprobe(retained="1kB", growth="0")
def test_fails(wide): big = bytearray(20_000_000); assert not big
@pytest.mark.memprobe(retained="1kB", growth="0")
def test_after_it(wide): pass
@pytest.mark.memprobe(growth="0")
def test_second_run(wide): assert next(n) == 0
@pytest.mark.memprobe(growth="0")
def test_skipped(): pytest.skip("not here")
@pytest.mark.xfail(strict=True)
@pytest.mark.memprobe(retained="1kB")
def test_known(): app.leak(20_000)
""",
        "-rA",
        "-s",
    )
    result.assert_outcomes(failed=2, passed=1, skipped=1, xfailed=1)
    text = result.stdout.str()
    assert "AssertionError" in text
    assert "this was run 2 of 4: growth= repeats the test" in text
    assert "1 over the limit" not in text
    assert text.count("module torn down") == 1


def test_what_cannot_be_measured_fails_unless_it_may_pass(folder: pytest.Pytester) -> None:
    folder.makeconftest("from memprobe_probes import walk\nwalk.MAX_NODES = 10\n")
    test = (
        "app.CACHE.update((i, [i]) for i in range(3000))\n"
        "@pytest.mark.memprobe\ndef test_it(): pass\n"
    )
    result = run(folder, test)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["memprobe could not measure this test: more than 10 objects*", "  help: *"]
    )
    folder.makepyprojecttoml("[tool.memprobe]\npytest-unmeasured = 'pass'\n")
    result = run(folder, test)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["not measured: more than 10 objects*", "1 measured, 0 over the limit, 1 not measurable"]
    )


def test_a_bare_marker_takes_the_configured_limits_and_classes_hand_theirs_down(
    folder: pytest.Pytester,
) -> None:
    folder.makepyprojecttoml("[tool.memprobe]\npytest-retained = '5 MB'\n")
    result = run(
        folder,
        """
@pytest.mark.memprobe
def test_bare(): app.leak(6_000_000)
@pytest.mark.memprobe(retained="1MB")
class TestClass:
    @pytest.mark.memprobe(retained="9MB")
    def test_own(self): app.leak(6_000_000)
    def test_handed_down(self): app.leak(6_000_000)
""",
        "-v",
    )
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(["*::test_own PASSED*", "*allows 4.8 MiB", "*allows 976.6 KiB"])
    folder.makepyprojecttoml("[tool.memprobe]\npytest-retained = 'lots'\n")
    result = run(folder, "@pytest.mark.memprobe\ndef test_bare(): pass\n")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*pytest-retained has a wrong value: 'lots'"])


def test_without_a_marker_nothing_is_loaded(folder: pytest.Pytester) -> None:
    result = run(
        folder,
        "def test_it():\n"
        " loaded = sorted(name for name in sys.modules if name.startswith('memprobe'))\n"
        " assert loaded == ['memprobe', 'memprobe.pytest_plugin']\n"
        " assert 'pandas' not in sys.modules\n",
    )
    result.assert_outcomes(passed=1)
    assert "= memprobe =" not in result.stdout.str()


def test_hooks_of_a_conftest_clean_up_before_the_look(folder: pytest.Pytester) -> None:
    folder.makeconftest(
        "import app\ndef pytest_runtest_teardown(item, nextitem): app.CACHE.clear()\n"
    )
    result = run(
        folder, "@pytest.mark.memprobe(retained='1kB')\ndef test_it(): app.leak(20_000_000)\n"
    )
    result.assert_outcomes(passed=1)


def test_workers_of_xdist_tell_the_summary(folder: pytest.Pytester) -> None:
    if importlib.util.find_spec("xdist") is None:
        pytest.skip("pytest-xdist is not installed")
    result = run(
        folder,
        "@pytest.mark.memprobe(retained='1MB')\ndef test_leak(): app.leak(20_000_000)\n"
        "@pytest.mark.memprobe(growth='0')\ndef test_clean(): pass\n",
        "-n2",
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*app.CACHE*", "2 measured, 1 over the limit, 0 not measurable"])
