"""``docs/recording.md`` names exactly the fields that the code writes."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from memprobe.recording import schema
from memprobe.recording.lines import RECORDS

PAGE = Path(__file__).parents[2] / "docs" / "recording.md"
NESTED = (
    "Inner", "Databricks", "Limits", "Child", "Cost", "Cache", "Strings", "Holder", "Group", "Step",
    "TypeCount", "CacheCall", "Unmeasured", "ChildProcess", "ProcessHolder", "Segment",
    "SegmentHolder",
    "Site", "Place", "GroupSites", "Cycles", "ProcessMemory",
    "SparkReach", "SparkCache", "SparkExecutor", "SparkBroadcast", "SparkBlocks", "SparkStream",
)  # fmt: skip
CLASSES = {**RECORDS, **{name: getattr(schema, name) for name in NESTED}}


def tables() -> dict[str, list[list[str]]]:
    """Return heading → rows of the table below it, each a list of cells."""
    found: dict[str, list[list[str]]] = {}
    heading = ""
    for text in PAGE.read_text(encoding="utf-8").splitlines():
        if match := re.match(r"#+ (.+)", text):
            heading = match[1]
        elif text.startswith("| `"):
            found.setdefault(heading, []).append([cell.strip() for cell in text.split("|")[1:-1]])
    return found


def test_every_kind_is_documented_and_no_other() -> None:
    assert set(tables()) == set(CLASSES)
    assert set(RECORDS) == set(schema.KINDS)


@pytest.mark.parametrize("name", CLASSES)
def test_every_field_is_documented_in_the_order_of_the_code(name: str) -> None:
    documented = [row[0].strip("`") for row in tables()[name]]
    assert documented == list(CLASSES[name].__struct_fields__)


@pytest.mark.parametrize("name", CLASSES)
def test_every_field_has_a_meaning_and_says_when_it_is_missing(name: str) -> None:
    assert all(row[2] and row[3] for row in tables()[name])
    assert all(len(row) == 4 for row in tables()[name])


def test_every_record_in_the_schema_is_listed_here() -> None:
    structs = {
        value
        for value in vars(schema).values()
        if isinstance(value, type) and issubclass(value, msgspec.Struct)
    }
    assert structs - {schema.Struct} == set(CLASSES.values())
