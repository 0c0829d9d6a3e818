"""Which containers code only fills, and which it uses as caches."""

from __future__ import annotations

import pytest

from memprobe_probes.usage import Usage, named


def usage(*sources: str) -> Usage:
    found = Usage()
    for source in sources:
        found.learn(source)
    return found


@pytest.mark.parametrize(
    "use",
    [
        "SEEN.append(x)",
        "SEEN.extend(x); print(len(SEEN))",
        "SEEN[x] = 1",
        "SEEN.setdefault(x, 1)",
        "SEEN.setdefault(x, []).append(1)",
        "SEEN[x].append(1)",
        "global SEEN\n    SEEN += [x]",
        "mod.SEEN.add(x)",
    ],
)
def test_what_is_only_added_to_is_only_filled(use: str) -> None:
    assert "SEEN" in usage(f"SEEN = {{}}\ndef handle(x):\n    {use}\n").only_filled


@pytest.mark.parametrize(
    "use",
    [
        "for x in SEEN: print(x)",
        "SEEN.clear()",
        "last = SEEN[-1]",
        "SEEN.pop()",
        "del SEEN[0]",
        "save(SEEN)",
        "def f(): return SEEN",
        "if 3 in SEEN: pass",
        "first = SEEN.setdefault(1, 2)",
        "print(sorted(SEEN))",
        "alias = SEEN",
        "SEEN = []",
        "def f():\n  global SEEN\n  SEEN = []",
        "import mod\nmod.SEEN.copy()",
        "total = sum(x for x in SEEN)",
        "SEEN[3] += 1",
    ],
)
def test_what_is_read_or_emptied_anywhere_is_not(use: str) -> None:
    fills = "SEEN = []\ndef handle(x):\n    SEEN.append(x)\n"
    assert "SEEN" in usage(fills).only_filled
    assert "SEEN" not in usage(fills, use).only_filled


def test_a_local_of_the_same_name_is_another_container() -> None:
    fills = "SEEN = []\ndef handle(x):\n    SEEN.append(x)\n"
    local = "def other():\n    SEEN = [1]\n    return SEEN\n"
    assert "SEEN" in usage(fills, local).only_filled


@pytest.mark.parametrize(
    "body",
    [
        "if k not in MEMO: MEMO[k] = make(k)\n    return MEMO[k]",
        "found = MEMO.get(k)\n    if found is None: MEMO[k] = make(k)\n    return MEMO[k]",
        "return MEMO.setdefault(k, make(k))",
        "if k in self.MEMO: return self.MEMO[k]\n    self.MEMO[k] = make(k)",
    ],
)
def test_a_dict_that_is_looked_up_and_filled_by_key_is_a_cache(body: str) -> None:
    found = usage(f"MEMO = {{}}\ndef load(self, k):\n    {body}\n")
    assert found.memos == {"MEMO"}
    assert found.only_filled == set()


@pytest.mark.parametrize(
    "body",
    [
        "MEMO[k] = MEMO.get(k, 0) + 1",
        "MEMO[k] += 1",
        "MEMO.setdefault(k, []).append(1)",
        "return MEMO[k]",
        "MEMO[k] = make(k)",
    ],
)
def test_tallies_indexes_and_tables_are_no_caches(body: str) -> None:
    assert usage(f"MEMO = {{}}\ndef load(k):\n    {body}\n").memos == set()


def test_a_cache_filled_in_one_function_and_asked_in_another_is_not_known_as_one() -> None:
    apart = "def fill(k): MEMO[k] = make(k)\ndef ask(k): return k in MEMO\n"
    assert usage(apart).memos == set()


def test_expressions_are_found_by_their_last_name() -> None:
    assert named(["_SEEN", "Job.history", "mod._SEEN", "x"], {"_SEEN", "history"}) == [
        "Job.history", "_SEEN", "mod._SEEN",
    ]  # fmt: skip


def test_what_does_not_parse_teaches_nothing() -> None:
    assert usage("def (", "\0").only_filled == set()
