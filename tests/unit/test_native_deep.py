"""Objects whose memory Python cannot see, and that lie too deep to be asked about all."""

from __future__ import annotations

from typing import Any

import pytest

from memprobe_probes import native_request, native_walker
from memprobe_probes.native import Native
from memprobe_probes.roots import Root

walker, reason = native_walker.load()
pytestmark = pytest.mark.skipif(walker is None, reason=f"no native walker here: {reason}")
ROWS = 100_000


def kept(table: Any, others: Any) -> tuple[dict[tuple[str, ...], int], list[str]]:
    """Return names of holders → bytes that only these keep, and what was not measured."""
    tables = Native(walker).here(
        [Root("namespace", "table", table), Root("namespace", "others", others)], set(), (), 10**10
    )
    # Whoever calls this refers to both as well, and has no name here.
    names = {row["id"]: row["expr"] for row in tables["holders"] if row["root"] == "namespace"}
    groups: dict[tuple[str, ...], int] = {}
    for group in tables["groups"]:
        holders = tuple(sorted(names[one] for one in group["holders"] if one in names))
        groups[holders] = groups.get(holders, 0) + group["bytes"]
    return groups, [row["what"] for row in tables["unmeasured"]]


def test_a_long_container_is_looked_through_for_what_shares_memory() -> None:
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.table({"v": pyarrow.array(range(ROWS))})
    others: dict[Any, Any] = {number: number for number in range(3 * native_request.PER_OBJECT)}
    others["half"] = table.slice(0, ROWS // 2)
    groups, unmeasured = kept(table, others)
    assert groups["others", "table"] >= ROWS * 8
    assert groups.get(("table",), 0) < ROWS
    assert unmeasured == []


@pytest.mark.parametrize("library", ["pyarrow", "polars"])
def test_what_nobody_asked_about_may_share_what_its_like_keep(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = pytest.importorskip(library)
    monkeypatch.setattr(native_request, "SCOUTED_DEEPER", native_request.PER_OBJECT)
    kind: Any = loaded.table if library == "pyarrow" else loaded.DataFrame
    table = kind({"v": loaded.array(range(ROWS)) if library == "pyarrow" else range(ROWS)})
    halves = [table.slice(0, ROWS // 2), table.slice(ROWS // 2)]
    others = [*halves, *range(3 * native_request.PER_OBJECT)]
    groups, unmeasured = kept(table, others)
    assert groups["others", "table"] >= ROWS * 8
    assert groups.get(("table",), 0) < ROWS
    assert len(unmeasured) == 1
    assert unmeasured[0].startswith("2 × ")
