"""Which line of a script asked Spark to keep what."""

from __future__ import annotations

from typing import Any

import pytest
from spark_recordings import cache

from memprobe.analysis.cache_places import place_of
from memprobe.recording.schema import CacheCall
from memprobe_probes import syntax, usage
from memprobe_probes.cache_calls import CacheCalls


def of_sources(files: list[tuple[str, bytes]]) -> list[dict[str, Any]]:
    """As at a script's end: each file is parsed for its containers, and its tree handed on."""
    calls = CacheCalls()
    usage.of_program(files, calls.learn)
    return calls.told()


def told(source: str) -> list[tuple[int, str, list[str]]]:
    found = of_sources([("/home/x/etl.py", source.encode())])
    assert {one["file"] for one in found} <= {"etl.py"}
    return [(one["line"], one["kind"], one["names"]) for one in found]


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("df = spark.range(9).cache()", ["df"]),
        ("df.cache()", ["df"]),
        ("df.persist(LEVEL)", ["df"]),
        ("n = df.cache().count()", ["df"]),
        ("wide = df.cache()", ["df", "wide"]),
        ("self.events = read().cache()", ["events"]),
        ("frames['a'] = read().cache()", ["frames"]),
        ("frames['a'].cache()", ["frames"]),
        ("a: DataFrame = read().cache()", ["a"]),
        ("(df := read().cache()).count()", ["df"]),
        ("read().cache().count()", []),
    ],
)
def test_a_call_and_what_is_kept(source: str, names: list[str]) -> None:
    assert told(source) == [(1, "cache", names)]


def test_what_a_function_returns_has_its_callers_names() -> None:
    source = "def load():\n    return read().cache()\ndef two():\n    x = read()\n"
    source += "    x.cache()\n    return x\na = load()\nb = two()\n"
    assert told(source) == [(2, "cache", ["a"]), (5, "cache", ["b", "x"])]


def test_what_a_function_keeps_for_itself_has_not() -> None:
    source = "def total():\n    x = read()\n    x.cache()\n    return x.count()\nn = total()\n"
    assert told(source) == [(3, "cache", ["x"])]


def test_the_line_is_that_of_the_call_in_a_chain_over_many() -> None:
    source = "df = (\n    read()\n    .filter(x)\n    .cache()\n)\n"
    assert told(source) == [(4, "cache", ["df"])]


def test_checkpoints_are_told_apart_and_functools_left_out() -> None:
    source = "a = df.localCheckpoint()\nload = functools.cache(load)\n"
    source += "@functools.cache\ndef f(): ...\n"
    assert told(source) == [(1, "checkpoint", ["a"])]


def test_a_source_that_does_not_parse_tells_nothing_and_hides_no_other() -> None:
    files = [("a.py", b"def ("), ("b.py", b"df.cache()"), ("c.py", b"\0" * 9)]
    assert [one["file"] for one in of_sources(files)] == ["b.py"]


def test_each_source_is_parsed_once_for_all_that_is_asked_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parsed, parse = [], syntax.parse
    monkeypatch.setattr(syntax, "parse", lambda source: parsed.append(source) or parse(source))
    files = [("a.py", b"rows = []\nrows.append(1)"), ("b.py", b"df.cache()")]
    calls = CacheCalls()
    assert usage.of_program(files, calls.learn).only_filled == {"rows"}
    assert [one["file"] for one in calls.told()] == ["b.py"]
    assert parsed == [content for _, content in files]


def call(line: int, *names: str, kind: str = "cache") -> CacheCall:
    return CacheCall(file="etl.py", line=line, kind=kind, names=list(names))  # type: ignore[arg-type]


def test_a_name_chooses_among_several_lines() -> None:
    calls = [call(3, "raw"), call(8, "df"), call(9)]
    assert place_of(cache(1, "df", root="module"), calls) == calls[1]
    assert place_of(cache(1, "store.df[0]", root="module"), calls) == calls[1]


def test_without_a_name_only_the_one_line_there_is_counts() -> None:
    assert place_of(cache(1), [call(3, "raw")]) == call(3, "raw")
    assert place_of(cache(1), [call(3, "raw"), call(8)]) is None
    assert place_of(cache(1), [call(3, kind="checkpoint")]) is None
    assert place_of(cache(1, table="t"), [call(3)]) is None


def test_two_lines_for_one_name_are_no_answer() -> None:
    assert place_of(cache(1, "df", root="module"), [call(3, "df"), call(8, "df")]) is None
