"""The answer on top of a contrast: what the notebook keeps that the script does not."""

from __future__ import annotations

from memprobe.analysis.contrast_side import Side
from memprobe.contrasts import Measure, ScriptSide, Verdict
from memprobe.findings import Finding
from memprobe.reporters.amounts import counted, size

SHOWN = 3
TAX = "MP601"


def verdict(
    program: str, findings: list[Finding], script: ScriptSide, notebook: Side,
    live: Measure,
) -> Verdict:  # fmt: skip
    """Return the verdict; ``findings`` are the notebook's, ``live`` what both hold at the end."""
    tax = [one for one in findings if one.fails and TAX in (one.code, *one.also)]
    left = [one for one in tax if one.code != TAX or one.growth is None]
    sentences = []
    if left:
        sentences.append(_left(program, left, script))
    growing = [one for one in tax if one.growth is not None]
    if growing:
        sentences.append(_growth(program, growing, script, also=bool(left)))
    leaks = [one for one in script.findings if one.fails]
    unread = not notebook.first.steps or notebook.first.last_snapshot() is None
    if not tax:
        sentences.append(_unread(program) if unread else _clean(program, findings, script, live))
    sentences += _stopped(notebook)
    if leaks or script.left:
        sentences.append(_script_leaks(script, leaks))
    kind = "notebook-keeps" if tax else "not-compared" if unread else "clean"
    return Verdict(
        kind=kind,  # type: ignore[arg-type]
        text=" ".join(sentences),
        bytes=sum(one.exclusive_bytes for one in tax),
        per_round=sum(one.growth.bytes_per_round for one in growing if one.growth is not None),
        cells=sorted({one.created.cell for one in tax if one.created and one.created.cell}),
        type=list(dict.fromkeys(line for one in tax for line in one.fix.splitlines())),
        script_leaks=bool(leaks or script.left),
    )


def _left(program: str, left: list[Finding], script: ScriptSide) -> str:
    total = size(sum(one.exclusive_bytes for one in left))
    return f"{program} still holds {total} that {script.program} lets go of: {_named(left)}."


def _growth(program: str, growing: list[Finding], script: ScriptSide, *, also: bool) -> str:
    per_round = size(sum(one.growth.bytes_per_round for one in growing if one.growth is not None))
    who = "It" if also else program
    rounds = max(one.growth.rounds for one in growing if one.growth is not None)
    return (
        f"{who} keeps {per_round} more after each of {rounds} further rounds "
        f"({', '.join(_name(one) for one in growing[:SHOWN])}); "
        f"every fresh process of {script.program} ends alike."
    )


def _clean(program: str, findings: list[Finding], script: ScriptSide, live: Measure) -> str:
    advice = sum(not one.fails for one in findings)
    more = f"; {counted(advice, 'piece')} of advice below" if advice else ""
    if any(one.fails for one in findings):
        return f"{program} has findings of its own, below, but no leftover of the notebook{more}."
    if live.judgement == "more" and live.difference is not None:
        return (
            f"{program} holds {size(live.difference)} more at its end than {script.program} just "
            f"before it exits; no rule can promise that any of it comes back{more}."
        )
    if live.judgement == "not compared":
        return (
            f"{program} is clean: it holds nothing that a rule would let go of{more}. "
            "One run each tells no difference from noise: give it more rounds."
        )
    return (
        f"{program} is clean: no difference beyond noise between what it holds at the end and "
        f"what {script.program} holds just before it exits{more}."
    )


def _stopped(notebook: Side) -> list[str]:
    """Say that the work was not done to its end; the script then stopped there as well."""
    failed = next((step for step in notebook.first.steps[-1:] if step.error), None)
    return [f"Both stopped at {failed.name}: {failed.error}."] if failed is not None else []


def _unread(program: str) -> str:
    return f"What {program} holds could not be compared: no snapshot was taken at its end."


def _script_leaks(script: ScriptSide, leaks: list[Finding]) -> str:
    if not leaks:
        return f"{script.program} leaves something behind: {', '.join(script.left)}."
    total = size(sum(one.exclusive_bytes for one in leaks))
    what = ", ".join(_name(one) for one in leaks[:SHOWN])
    left = f", and leaves behind {', '.join(script.left)}" if script.left else ""
    return f"{script.program} itself keeps {total} that it does not need ({what}){left}."


def _named(found: list[Finding]) -> str:
    shown = [f"{_name(one)} {_since(one)}({size(one.exclusive_bytes)})" for one in found[:SHOWN]]
    rest = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return ", ".join(shown) + rest


def _name(one: Finding) -> str:
    if one.reclaim.where == "executors":
        return one.object.name or "data that Spark has stored"
    outputs = [held.expr for held in one.holders if held.expr.startswith("Out[")]
    names = [held.expr for held in one.holders if held.root == "notebook-namespace"]
    return (names or outputs or [held.expr for held in one.holders])[0]


def _since(one: Finding) -> str:
    return f"since cell {one.created.cell} " if one.created and one.created.cell else ""
