"""What other tools say about ten of the scenarios, and what that is worth.

    python benchmarks/peers.py [--tool NAME] [--case NAME] [--again] [-o reports/peers.md]

Every answer is kept below ``benchmarks/.cache/peers`` and asked for again only where the tool, the
scenario or the questions have changed, or with ``--again``; the page is made from what is kept.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from queue import Empty

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "scenarios"))

from comparison import drive  # noqa: E402
from comparison.cases import Case, cases  # noqa: E402
from comparison.page import Result, page  # noqa: E402
from comparison.tools import TOOLS, Tool  # noqa: E402
from environments import CACHE, Unavailable, version  # noqa: E402

OURS = "memprobe"
SOURCES = ("src", "probes")


def main() -> int:
    """Ask, judge, write the page."""
    options = _options()
    results = [
        _result(tool, case, again=options.again)
        for tool in (None, *TOOLS)
        if options.tool in (None, _name(tool))
        for case in cases()
        if options.case in (None, case.name)
    ]
    text = page(results)
    if options.tool or options.case:
        print(text)
    else:
        Path(options.output).write_text(text, encoding="utf-8")
        print(f"wrote {options.output}", file=sys.stderr)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tool", help="only this one, and print instead of write")
    parser.add_argument("--case", help="only this scenario, and print instead of write")
    parser.add_argument("--again", action="store_true", help="ask even where an answer is kept")
    parser.add_argument("-o", "--output", default="reports/peers.md")
    return parser.parse_args()


def _result(tool: Tool | None, case: Case, *, again: bool) -> Result:
    """Return the kept answer, or ask for it; ``None`` stands for memprobe itself."""
    name, kept = _name(tool), CACHE / "peers" / case.name / f"{_name(tool)}.json"
    key = _key(tool, case)
    if kept.exists() and not again:
        found = json.loads(kept.read_text(encoding="utf-8"))
        if found["key"] == key:
            held = found["result"]
            files = {int(cell): name for cell, name in held.pop("files").items()}
            return Result(tool, case, files=files, **held)
    print(f"{case.name}: {name}", file=sys.stderr, flush=True)
    result = _asked(tool, case)
    if result.text or result.trouble:
        kept.parent.mkdir(parents=True, exist_ok=True)
        held = {"text": result.text, "seconds": result.seconds, "trouble": result.trouble}
        held["files"] = {str(cell): file for cell, file in result.files.items()}
        kept.write_text(json.dumps({"key": key, "result": held}), encoding="utf-8")
        kept.with_suffix(".txt").write_text(result.text, encoding="utf-8")
    return result


def _asked(tool: Tool | None, case: Case) -> Result:
    try:
        answer = drive.ask(tool, case) if tool else drive.ask_memprobe(case)
    except Unavailable as reason:
        return Result(tool, case, trouble=str(reason))
    except (TimeoutError, Empty, RuntimeError, subprocess.SubprocessError) as trouble:
        return Result(tool, case, trouble=f"{type(trouble).__name__}: {trouble}")
    return Result(tool, case, answer.text, answer.seconds, answer.files)


def _name(tool: Tool | None) -> str:
    return tool.name if tool else OURS


def _key(tool: Tool | None, case: Case) -> str:
    """Return what an answer depends on: the scenario, the tool's version, the questions."""
    if tool:
        said = repr((tool, version(tool.name)))
        return f"{case.digest} {hashlib.sha256(said.encode()).hexdigest()[:12]}"
    digest = hashlib.sha256()
    for folder in SOURCES:
        for path in sorted((HERE.parent / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    return f"{case.digest} {digest.hexdigest()[:12]}"


if __name__ == "__main__":
    sys.exit(main())
