# ruff: noqa: E501 - sentences of the page
"""Each claim in words: what is said, what was measured, and whether the two agree.

The verdict is worked out of the numbers, so that a page of another machine may say otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Found = dict[str, Any]
Told = tuple[str, str]  # whether it is right, and what was measured
NOISE = 20e6  # bytes of RSS by which two kernels differ anyway


def verdicts(name: str, found: Found | None, *, brief: bool = False) -> Iterator[str]:
    """Yield the lines about one claim; ``brief``: one line for the takeaways."""
    said, judge = CLAIMS[name]
    if found is None:
        if not brief:
            yield f"### {said}"
            yield ""
            yield "Not measured."
        return
    word, measured = judge(found)
    if brief:
        if word != "right":
            yield f"- “{said}”: {word}."
        return
    yield f"### {said}"
    yield ""
    yield f"**{word.capitalize()}.** {measured}"


def _mb(value: float | None) -> str:
    return "not measured" if value is None else f"{value / 1e6:,.1f} MB"


def _outputs(found: Found) -> Told:
    word = "right" if (found["per_round"] or 0) > 10e6 else "wrong here"
    return word, (
        f"A frame of 40 MB that a cell ends in: the first round holds {_mb(found['holds'])}, and each further "
        f"round of the cells adds {_mb(found['per_round'])}. A script holds {_mb(found['script'])} before it exits, "
        "and processes do not add up. It is the display of the value that keeps it, not the notebook as such."
    )


def _executions(found: Found) -> Told:
    per_cell = found["bytes"] / max(found["cells"], 1)
    word = "right, but of no weight" if found["bytes"] < 10e6 else "right"
    return word, (
        f"After {found['cells']:,} cells, `_ih` and the history manager hold {_mb(found['bytes'])} of text, "
        f"{per_cell:,.0f} bytes a cell; the kernel grew by {_mb(found['rss'])} in all. They hold source, never data."
    )


def _unused(found: Found) -> Told:
    same = abs((found["holds"] or 0) - (found["script"] or 0)) < 1e6
    word = "right of a script as well" if same else "right"
    return word, (
        f"Frames that nobody used again: the notebook holds {_mb(found['holds'])} at its end, the script "
        f"{_mb(found['script'])} just before its exit. Globals live as long as their process in both; "
        f"only the script's process ends. memprobe names them: {', '.join(found['rules']) or 'nothing'}."
    )


def _stays(found: Found) -> Told:
    kept = found["after"]["rss"] - found["before"]["rss"]
    return "right", (
        f"After `del` of a 40 MB frame the idle kernel holds {_mb(found['after']['rss'])}, {_mb(kept)} more than "
        f"before: modules, and what allocators keep. Of the script {found['script']['left']} processes are left, "
        f"{_mb(found['script']['left_rss'])}."
    )


def _pool(found: Found) -> Told:
    after, left = found["after"], found["script"]["left"]
    word = (
        "right"
        if after["children"] and not left
        else "wrong here"
        if not after["children"]
        else "right of both"
    )
    return word, (
        f"In the kernel {after['children']} processes stay below it, {_mb(after['children_rss'])} (shared pages "
        f"counted in each). Of the script {left} are left when it has ended."
    )


def _threads(found: Found) -> Told:
    kept = found["after"]["rss"] - found["before"]["rss"]
    return "right" if kept > 60e6 else "wrong here", (
        f"Eight futures with results of 10 MB each: the kernel is {_mb(kept)} larger while `futures` is there. "
        f"The script's process ended; {_mb(found['script']['left_rss'])} are left."
    )


def _command(found: Found) -> Told:
    kept = found["after"]["rss"] - found["before"]["rss"]
    word = "wrong" if kept < NOISE and not found["after"]["children"] else "right"
    return word, (
        f"`!python my_etl_job.py` used {_mb(found['job']['rss'])} in a process of its own. When it had ended, "
        f"the kernel had {_mb(kept)} more and {found['after']['children']} processes below it: a job that a cell "
        "starts is as ephemeral as one that a shell starts."
    )


def _parallel(found: Found) -> Told:
    kept = found["after"] - found["before"]
    return "right", (
        f"Two kernels on one driver, each with a 40 MB frame that it deleted: together {_mb(found['after'])} when "
        f"idle, {_mb(kept)} more than before. Two scripts leave {_mb(found['script_left'])}. What the contexts "
        "keep adds up. (Databricks' own scheduler was not there: these are two kernels.)"
    )


def _modules(found: Found) -> Told:
    steady = max(found["run_per_round"] or 0, found["import_per_round"] or 0) < 1e6
    return "right of a script as well, and it does not add up" if steady else "right", (
        f"A file that makes 40 MB: by `%run` the notebook holds {_mb(found['run'])}, and each further round adds "
        f"{_mb(found['run_per_round'])}; as a module on `sys.path` {_mb(found['import'])}, adding "
        f"{_mb(found['import_per_round'])}, and the script holds {_mb(found['import_script'])} too. A name that is "
        "bound anew lets go of what it held; a module keeps its globals in either context until the process ends."
    )


def _pickles(found: Found) -> Told:
    live, peak = found["live"], found["peak"]
    written = (live.get("cell 2") or 0) - (live.get("cell 1") or 0)
    doubled = (live.get("cell 3") or 0) - (live.get("cell 2") or 0)
    word = "wrong: the checkpoint frees nothing" if abs(written) < 1e6 else "right"
    return word, (
        f"Writing 40 MB by pickle changed what is held by {_mb(written)}; reading it again added {_mb(doubled)}, "
        f"with peaks of {_mb(peak.get('cell 2'))} and {_mb(peak.get('cell 3'))}. What gives memory back is the `del` "
        f"({_mb(live.get('cell 4'))} held after it). A script holds {_mb(found['script'])} at its end."
    )


def _forest(found: Found) -> Told:
    after, left = found["after"], found["script"]["left"]
    word = "right" if after["children"] else "wrong here"
    return word, (
        f"After RandomForest (threads) and a grid search (joblib's processes), {after['children']} processes stay "
        f"below the kernel, {_mb(after['children_rss'])}, for the next call; joblib ends them after five idle "
        f"minutes. Of the script {left} are left."
    )


def _pictures(found: Found) -> Told:
    shown, ends, agg = (found[name]["open"] for name in ("shown", "at_end", "agg"))
    scripts = found["script"]["open"]
    word = "wrong with the inline backend" if not shown and not ends else "right"
    return word, (
        f"15 seaborn pictures. Inline, {shown} are open after `plt.show()` and {ends} after a cell that only drew "
        f"them: the backend closes what it has shown. With Agg, {agg} stay open in the kernel, and {scripts} in a "
        f"script, which has {_mb(found['script']['rss'])} by then."
    )


CLAIMS: dict[str, tuple[str, Callable[[Found], Told]]] = {
    "output-history": ("Displayed results are kept by the history of outputs", _outputs),
    "execution-history": (
        "The history of executed cells (`_ih`, HistoryManager) fills the memory",
        _executions,
    ),
    "unused-frames": ("Frames that are used no more stay in a notebook", _unused),
    "contexts-that-stay": ("A context that stays keeps memory after its work", _stays),
    "pool-multiprocessing": ("A pool of `multiprocessing` stays with the notebook", _pool),
    "pool-futures": ("A pool of `concurrent.futures` stays with the notebook", _pool),
    "pool-threads": ("Futures of a thread pool keep their results", _threads),
    "command-from-a-cell": ("`!python my_etl_job.py` from a cell bloats the notebook", _command),
    "parallel-contexts": (
        "`dbutils.notebook.run` in parallel contexts adds up on one driver",
        _parallel,
    ),
    "run-and-modules": ("`%run` and modules on `sys.path` keep what they made", _modules),
    "pickle-checkpoints": ("A checkpoint by pickle frees memory", _pickles),
    "random-forest": ("RandomForest and grid search leave joblib's workers behind", _forest),
    "pictures": ("Cells of matplotlib and seaborn leave figures open", _pictures),
}
