"""Run the labelled scenarios and say how accurate memprobe is.

    python scenarios/harness.py                      all of them → reports/accuracy.md
    python scenarios/harness.py --only output-view   programs whose name holds this text
    python scenarios/harness.py --no-fix             without executing the fixes
    python scenarios/harness.py --attach             attach to finished notebooks from outside
    python scenarios/harness.py --resume             go on where an earlier run was cut off
    python scenarios/harness.py --kept               the page of a run that was cut off, as it is

Exits with 1 where anything is wrong: a false positive, a miss, a wrong holder, bytes outside a
scenario's tolerance, a program without a report, a scenario that is labelled wrong.
"""

from __future__ import annotations

import argparse
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from accuracy import fix, page, runner
from accuracy.judge import Verdict
from accuracy.scenario import Case, cases, problems, scenarios

ROOT = Path(__file__).resolve().parent.parent
REPORT = ROOT / "reports" / "accuracy.md"
KEPT = ROOT / "benchmarks" / ".cache" / "accuracy"  # a verdict per program, for --resume


def main(arguments: list[str] | None = None) -> int:
    """Run what was asked for, print a line per program, write the page."""
    options = _options(arguments)
    wrong = [f"{one.name}: {problem}" for one in scenarios() for problem in problems(one)]
    if wrong:
        print("\n".join(wrong), file=sys.stderr)
        return 2
    chosen, skipped = choose(options.only)
    if options.kept:
        skipped += [f"{case.name} (the run was cut off)" for case in chosen if not _is_kept(case)]
        chosen = [case for case in chosen if _is_kept(case)]
    if not chosen:
        print("error: no program has that in its name", file=sys.stderr)
        return 2
    verdicts = _run_all(chosen, options)
    text = page.render(verdicts, skipped)
    _write(text, options)
    return 0 if all(verdict.good for verdict in verdicts) else 1


def choose(only: list[str]) -> tuple[list[Case], list[str]]:
    """Return the programs to run, and those that cannot be run here with the reason."""
    chosen: list[Case] = []
    skipped: list[str] = []
    for scenario in scenarios():
        picked = [one for one in cases(scenario) if not only or any(t in one.name for t in only)]
        missing = scenario.missing()
        if missing and picked:
            skipped.append(f"{scenario.name} (needs {missing})")
        else:
            chosen += picked
    return chosen, skipped


def _kept(case: Case) -> Path:
    return KEPT / f"{case.name.replace('/', '.')}.pickle"


def _is_kept(case: Case) -> bool:
    return _kept(case).exists()


def judge_case(case: Case, options: argparse.Namespace) -> Verdict:
    """Run and judge one program, and execute its fix."""
    kept = _kept(case)
    if (options.resume or options.kept) and kept.exists():
        earlier: Verdict = pickle.loads(kept.read_bytes())
        return earlier
    verdict = runner.run(case, attach=options.attach)
    if options.fix and case.leaky and case.notebook:
        fix.measure(verdict)
    if options.fix and not options.attach:
        KEPT.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(pickle.dumps(verdict))
    return verdict


def _run_all(chosen: list[Case], options: argparse.Namespace) -> list[Verdict]:
    verdicts = []
    with ThreadPoolExecutor(options.jobs) as pool:
        for verdict in pool.map(lambda case: judge_case(case, options), chosen):
            print(_line(verdict), file=sys.stderr, flush=True)
            verdicts.append(verdict)
    return verdicts


def _line(verdict: Verdict) -> str:
    state = "ok   " if verdict.good else "WRONG"
    said = "; ".join(page.troubles(verdict))
    return f"{state} {verdict.case.name} ({verdict.seconds:.0f} s) {said}".rstrip()


def _write(text: str, options: argparse.Namespace) -> None:
    """Write the page; a part of the programs is only printed."""
    target = options.output or (None if options.only or options.attach else REPORT)
    if target is None:
        print(text)
        return
    target.write_text(text, encoding="utf-8")
    print(f"wrote {target}", file=sys.stderr)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Run the labelled scenarios.")
    parser.add_argument("--only", action="append", default=[], metavar="TEXT")
    parser.add_argument("-j", "--jobs", type=int, default=1, metavar="N")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE")
    parser.add_argument("--no-fix", dest="fix", action="store_false")
    parser.add_argument("--attach", action="store_true")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--kept", action="store_true")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
