"""The page ``reports/peers.md``: a table of tools, and one of every tool on every scenario."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import median

from environments import version

from .cases import Case
from .drive import cells
from .judge import NEAR, Said, said
from .tools import Tool

OURS = "**memprobe**"
RULES = f"""
What counts, by rule (`benchmarks/comparison/judge.py`):

- **holder**: the name of one of the references that keep the bytes (the scenario's own label, found
  by hand) occurs anywhere in the output; `all` of them, or 1 of 3. Source lines that a tool quotes
  do not count.
- **bytes**: some size in the output is within {NEAR:.0%} of the known bytes, in decimal or binary
  units.
- **cell**: an execution that made the object or came to hold it is named (`cell 4`, `In[4]`,
  `Out[4]`, `_4`), or the file name that IPython gave that cell's code.

Where two readings are possible, the one in the tool's favour counts: a size may be a total that
happens to be near, a name may stand in a long list, and tools that explain objects of a type were
told the right type. Of memprobe's own report only the findings are judged, not its tables of
names and cells, which would name nearly everything. Each output is kept in
`benchmarks/.cache/peers/` by a run.
"""


@dataclass
class Result:
    """A tool's answer about a case. ``tool`` None is memprobe; ``trouble`` is why there is none."""

    tool: Tool | None
    case: Case
    text: str = ""
    seconds: float = 0.0
    files: dict[int, str] = field(default_factory=dict)  # execution → file name of its code
    trouble: str | None = None

    @property
    def name(self) -> str:
        """The tool's name as the page writes it."""
        return self.tool.name if self.tool else OURS

    def said(self) -> Said:
        """Return the judgement of this answer; of a missing one, too."""
        lines = [line for source in cells(self.case.program) for line in source.splitlines()]
        return said(self.text, self.case, lines, self.files)


def page(results: list[Result]) -> str:
    """Return the page as Markdown. ``results``: every tool on every case, memprobe's first."""
    by_tool: dict[str, list[Result]] = {}
    for result in results:
        by_tool.setdefault(result.name, []).append(result)
    cases = list(dict.fromkeys(result.case.name for result in results))
    lines = [
        "# Other tools on the same leaks",
        "",
        f"{len(cases)} of the labelled scenarios as real notebook kernels, one tool at a time,",
        "asked at the end as its documentation says: does the answer name the holder, the bytes,",
        f"the cell? Made by `make peers` on {datetime.date.today()}, "
        f"Python {platform.python_version()}.",
        "",
        "These tools are made for other questions, and are good at them; most explain any object,",
        "of any type, that one points at, which memprobe does not. Here it is only asked what",
        "a person gets to read who does not yet know which object it is.",
        "",
        *_tools(by_tool),
        *_questions(by_tool),
        *_scenarios(by_tool, cases),
        *_without(results),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _tools(by_tool: dict[str, list[Result]]) -> Iterator[str]:
    heads = ("tool", "made for", "names a holder", "all of them", "the bytes", "the cell")
    yield f"| {' | '.join(heads)} | program waits |"
    yield "|---|---|---|---|---|---|---|"
    for name, results in by_tool.items():
        tool, judged = results[0].tool, [result.said() for result in results]
        row = [
            f"{name} {version(tool.name)}" if tool else name,
            tool.made_for if tool else "leaks of long-lived notebooks and jobs",
            _share([bool(one.named) for one in judged]),
            _share([len(one.named) == one.of for one in judged]),
            _share([one.bytes for one in judged]),
            _share([bool(one.cell) for one in judged]),
            tool.stops if tool else "for milliseconds, bounded by `--max-pause`",
        ]
        yield "| " + " | ".join(row) + " |"


def _share(answers: list[bool]) -> str:
    return f"{sum(answers)} of {len(answers)}"


def _questions(by_tool: dict[str, list[Result]]) -> Iterator[str]:
    yield RULES
    yield "What each was asked, the median length of its answer, and the median time of the"
    yield "questions alone: an order of magnitude, on a busy machine."
    yield ""
    yield "| tool | asked | told beforehand | lines | time |"
    yield "|---|---|---|---|---|"
    for name, results in by_tool.items():
        tool = results[0].tool
        asked = tool.asked if tool else "`memprobe run`, then `memprobe report`"
        told = tool.told if tool else "to be there from the start (or `memprobe attach` later)"
        yield f"| {name} | {asked} | {told} | {_lines(results)} | {_time(results)} |"
    yield ""


def _lines(results: list[Result]) -> str:
    lengths = [len(result.text.splitlines()) for result in results if not result.trouble]
    return str(round(median(lengths))) if lengths else "–"


def _time(results: list[Result]) -> str:
    times = [result.seconds for result in results if not result.trouble]
    return f"about {max(1, round(median(times)))} s" if times else "–"


def _scenarios(by_tool: dict[str, list[Result]], cases: list[str]) -> Iterator[str]:
    yield "Each scenario: **h**older (of how many), **b**ytes, **c**ell; – for none of them."
    yield ""
    yield "| scenario | " + " | ".join(by_tool) + " |"
    yield "|---" * (len(by_tool) + 1) + "|"
    for case in cases:
        row = [
            result for results in by_tool.values() for result in results if result.case.name == case
        ]
        about = f"`{case}`: {row[0].case.about}"
        yield f"| {about} | " + " | ".join(_letters(result) for result in row) + " |"
    yield ""


def _letters(result: Result) -> str:
    if result.trouble:
        return "no answer"
    judged = result.said()
    holder = f"h {len(judged.named)}/{judged.of}" if judged.named else ""
    parts = [holder, "b" if judged.bytes else "", "c" if judged.cell else ""]
    return " · ".join(part for part in parts if part) or "–"


def _without(results: list[Result]) -> Iterator[str]:
    missing = [result for result in results if result.trouble]
    if missing:
        yield "No answer:"
        yield ""
        yield from (f"- {one.name} on `{one.case.name}`: {one.trouble}" for one in missing)
