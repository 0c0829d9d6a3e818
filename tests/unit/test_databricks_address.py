"""What a user types for a place on Databricks, and which notebook it means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memprobe.databricks.address import Address, is_databricks, parsed
from memprobe.databricks.notebooks import is_meant
from memprobe.errors import UsageError
from memprobe.targets.contexts import ContextRow

PATH = "/Users/ada@example.org/team/etl"


@pytest.mark.parametrize(
    ("typed", "cluster", "notebook"),
    [
        ("databricks:shared", "shared", ""),
        ("databricks:0101-120000-abcd1234/etl", "0101-120000-abcd1234", "etl"),
        ("databricks:shared//Users/ada@example.org/etl", "shared", "Users/ada@example.org/etl"),
        ("databricks:dev%2Fetl (13.3)/4711", "dev/etl (13.3)", "4711"),
    ],
)
def test_an_address_is_taken_apart(typed: str, cluster: str, notebook: str) -> None:
    assert parsed(typed) == Address(cluster, notebook)


@given(st.text(min_size=1).map(str.strip).filter(bool), st.text(alphabet="abc/ä-_. ", max_size=20))
def test_what_is_shown_can_be_typed_again(cluster: str, notebook: str) -> None:
    address = Address(cluster, notebook.strip("/"))
    assert parsed(address.shown) == address


@pytest.mark.parametrize("typed", ["databricks:", "databricks:/etl", "databricks: /etl"])
def test_an_address_without_a_cluster_is_refused(typed: str) -> None:
    with pytest.raises(UsageError, match="not said which cluster"):
        parsed(typed)


def test_only_its_own_scheme_is_databricks() -> None:
    assert is_databricks("databricks:x")
    assert not any(map(is_databricks, [None, "", "databricks", "etl.ipynb", "http://databricks:1"]))


@pytest.mark.parametrize("wanted", ["etl", "team/etl", PATH.strip("/"), "4711", "5b0", "5b0c77"])
def test_a_notebook_is_meant_by_its_path_pid_or_id(wanted: str) -> None:
    row = ContextRow(pid=4711, kind="kernel", name="etl", notebook=PATH, kernel_id="5b0c77")
    assert is_meant(row, wanted)


@pytest.mark.parametrize("wanted", ["tl", "team", "471", "5b", "other/etl", "Users"])
def test_a_part_of_a_name_means_none(wanted: str) -> None:
    row = ContextRow(pid=4711, kind="kernel", name="etl", notebook=PATH, kernel_id="5b0c77")
    assert not is_meant(row, wanted)
