"""The probe's JSON is what the ``json`` package writes and reads, without importing it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memprobe_probes import plain_json

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)  # fmt: skip


@given(ANYTHING)
def test_it_writes_what_the_package_writes(value: Any) -> None:
    theirs = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    assert plain_json.dumps(value) == theirs
    assert plain_json.loads(theirs) == value


@pytest.mark.parametrize("text", ["", "{", "[1] 2", '{"a":}', "nope", "[1,]"])
def test_what_is_no_json_is_a_value_error_even_where_the_package_is_not_loaded(text: str) -> None:
    program = (
        "import sys; from memprobe_probes import plain_json\n"
        "assert 'json' not in sys.modules\n"
        "try: plain_json.loads(sys.argv[1])\n"
        "except ValueError: print('refused')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, text], capture_output=True, text=True, check=True
    )
    assert done.stdout == "refused\n"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": -float("inf")}])
def test_numbers_that_json_cannot_hold_are_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="Out of range"):
        plain_json.dumps(value)
