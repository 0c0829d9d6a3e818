"""What runs in a target reads ``sys.modules`` while the target's threads import.

A loop over the dict itself raises RuntimeError then, at a moment that no test can choose.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
BARE = re.compile(r"\bin sys\.modules(\.(items|values|keys)\(\))?( if\b|:$|\])", re.MULTILINE)
LOOP = re.compile(r"\bfor .*")


def _loops(text: str) -> list[str]:
    return [line for line in map(str.strip, text.splitlines())
            if (loop := LOOP.search(line)) and BARE.search(loop[0])]  # fmt: skip


def test_a_loop_over_the_dict_itself_is_seen() -> None:
    assert _loops("for name in sys.modules:\n") != []
    assert _loops("x = [one for one in sys.modules if one]") != []
    assert _loops("for name, one in sys.modules.items():") != []
    assert _loops("for name in list(sys.modules):\nif name in sys.modules:") == []


def test_nothing_that_runs_in_a_target_loops_over_the_dict_itself() -> None:
    files = [*(ROOT / "probes").rglob("*.py"), *(ROOT / "src/memprobe/targets").glob("*.py")]
    found = {path.name: _loops(path.read_text(encoding="utf-8")) for path in files}
    assert {name: lines for name, lines in found.items() if lines} == {}
