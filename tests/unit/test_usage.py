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


@pytest.mark.parametrize(
    "bound",
    [
        "if len(MEMO) > 9: MEMO.popitem()",
        "if len(MEMO) > 9: del MEMO[next(iter(MEMO))]",
        "if len(MEMO) > 9: MEMO.clear()",
    ],
)
def test_a_cache_from_which_items_are_taken_has_a_bound(bound: str) -> None:
    fill = "MEMO = {}\ndef load(k):\n    if k not in MEMO: MEMO[k] = make(k)\n"
    assert usage(f"{fill}    return MEMO[k]\n").memos == {"MEMO"}
    assert usage(f"{fill}    {bound}\n    return MEMO[k]\n").memos == set()


def test_emptying_a_cache_elsewhere_is_no_bound() -> None:
    fill = "MEMO = {}\ndef load(k):\n    if k not in MEMO: MEMO[k] = make(k)\n"
    assert usage(fill, "def reset(): MEMO.clear()").memos == {"MEMO"}


KEEP = """
class Keeper:
    def __init__(self):
        self.rows = []
    def add(self, row):
        self.rows.append(row)
    def save(self):
        {save}
keeper = Keeper()
keeper.add(1)
{after}
"""


@pytest.mark.parametrize(
    ("save", "after"),
    [
        ("pass", "pickle.dump(keeper, file)"),
        ("pass", "send(dataclasses.asdict(keeper))"),
        ("pass", "upload([keeper, 1])"),
        ("pass", "for name in names: print(len(getattr(keeper, name)))"),
        ("pass", "show(getattr(keeper, 'rows'))"),
        ("pass", "print(globals()[name])"),
        ("return json.dumps(vars(self))", ""),
        ("return json.dumps(self.__dict__)", ""),
        ("store.put(self)", ""),
    ],
)
def test_what_is_handed_on_whole_may_be_read(save: str, after: str) -> None:
    assert usage(KEEP.format(save=save, after=after)).grown(["keeper.rows"]) == []


@pytest.mark.parametrize(
    ("save", "after"),
    [
        ("pass", "save(keeper)\ndef save(one): print(one.name)"),
        ("print(self, len(self.rows), isinstance(self, Keeper))", "level = getattr(logging, x)"),
        ("pass", "pickle.loads(data); numpy.copy(array); df.eval('a + b')"),
        ("pass", "import logging\nlogging.basicConfig(level=getattr(logging, level))"),
    ],
)
def test_what_stays_with_the_users_code_is_read_by_its_name(save: str, after: str) -> None:
    source = "import logging\n" + KEEP.format(save=save, after=after)
    assert usage(source).grown(["keeper.rows"]) == ["keeper.rows"]


def test_a_name_imported_as_another_is_read_under_that() -> None:
    fills = "SEEN = []\ndef handle(x):\n    SEEN.append(x)\n"
    assert usage(fills, "import store").grown(["store.SEEN"]) == ["store.SEEN"]
    assert usage(fills, "from store import SEEN as kept").grown(["store.SEEN"]) == []


def test_a_container_that_the_code_did_not_make_is_somebody_elses() -> None:
    assert (
        usage("class Log(UserList):\n  def add(self, x): self.data.append(x)").only_filled == set()
    )


def test_a_cache_filled_in_one_function_and_asked_in_another_is_not_known_as_one() -> None:
    apart = "def fill(k): MEMO[k] = make(k)\ndef ask(k): return k in MEMO\n"
    assert usage(apart).memos == set()


def test_expressions_are_found_by_their_last_name() -> None:
    assert named(["_SEEN", "Job.history", "mod._SEEN", "x"], {"_SEEN", "history"}) == [
        "Job.history", "_SEEN", "mod._SEEN",
    ]  # fmt: skip


def test_what_does_not_parse_teaches_nothing() -> None:
    assert usage("def (", "\0").only_filled == set()
