"""The native walker counts right on every Python it loads in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_packaging import PYTHONS, VERSIONS, run

from memprobe_probes import native_walker

UNIT = Path(__file__).parents[1] / "unit"
PROBES = Path(native_walker.__file__).parents[1]
CYCLES = Path(__file__).with_name("programs") / "cycles_again_and_again.py"
SEEDS = 40
ROUNDING = 16  # bytes per block; a block that is found by its object alone has no rest of its own

pytestmark = pytest.mark.skipif(
    native_walker.load()[0] is None, reason=str(native_walker.load()[1])
)


@pytest.fixture(params=VERSIONS)
def python(request: pytest.FixtureRequest) -> str:
    """Each supported interpreter in turn."""
    found = PYTHONS[request.param]
    if found is None:
        pytest.skip(f"Python {request.param} is not installed")
    return found


def test_sizes_are_what_the_allocators_were_asked_for(python: str) -> None:
    told = json.loads(run(python, "-I", str(UNIT / "real_sizes.py"), str(PROBES)))
    wrong = {
        name: (real, found)
        for name, (real, found, objects) in told["kinds"].items()
        # Freed blocks that a module keeps for later ones, and locks, which are not walked.
        if not real * 0.98 - 48 <= found <= real * 1.02 + ROUNDING * (objects + 1)
    }
    assert wrong == {}
    assert told["mistaken"] == []
    assert told["disagreements"] == {}


def test_random_graphs_are_attributed_alike(python: str) -> None:
    said = run(python, "-I", str(UNIT / "compared.py"), str(PROBES), str(SEEDS))
    assert said == "compared\n"


def test_looking_for_cycles_frees_nothing_that_is_free(python: str) -> None:
    first, *others = map(int, run(python, "-I", str(CYCLES), str(PROBES)).split())
    assert first >= 1000
    assert others == [first, first]
