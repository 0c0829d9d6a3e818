# ruff: noqa: E501 - cells of notebooks keep their own lines
"""What is often said of notebooks against scripts, each tried on its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from seeds.contrasted import contrasted
from seeds.kernels import both, kernel, script

FRAME = "import pandas as pd, numpy as np\ndf = pd.DataFrame({f'c{n}': np.random.rand(500_000) for n in range(10)})"
SHOW = "import json, os\nrss = int(open('/proc/self/statm').read().split()[1]) * 4096\n"
Found = dict[str, Any]


def output_history(python: Path, folder: Path) -> Found:
    """A displayed frame is kept by the history of outputs."""
    found = contrasted(python, folder, "output-history", [FRAME, "df", "n = len(df)"], 3)
    return {"holds": _total(found, "live"), "per_round": found["contrast"]["verdict"]["per_round"],
            "script": _script(found, "live"), "script_growth": _growth(found)}  # fmt: skip


def execution_history(python: Path, folder: Path) -> Found:
    """The source of every cell is kept in _ih and the history manager."""
    with kernel(python) as one:
        one.run("import gc")
        before = one.facts()["rss"]
        for number in range(1000):
            one.run(f"x = {number}  # {'a long comment ' * 20}")
        code = ("import json, sys; hm = get_ipython().history_manager; print(json.dumps({'cells': len(_ih), "
                "'bytes': sum(map(sys.getsizeof, _ih)) + sum(map(sys.getsizeof, hm.input_hist_raw))}))")  # fmt: skip
        told = json.loads(one.run(code))
        return {**told, "rss": one.facts()["rss"] - before}


def unused_frames(python: Path, folder: Path) -> Found:
    """Frames that nobody uses again stay until the end."""
    cells = [FRAME, "clean = df.dropna()\nscaled = clean * 2", "total = float(scaled.sum().sum())",
             *(f"step = {number}" for number in range(6)), "print(total)"]  # fmt: skip
    found = contrasted(python, folder, "unused-frames", cells, 2)
    return {"holds": _total(found, "live"), "script": _script(found, "live"),
            "rules": sorted({one["code"] for one in found["findings"]})}  # fmt: skip


def contexts_that_stay(python: Path, folder: Path) -> Found:
    """A kernel that has done its work keeps its memory; a script has given it back."""
    return both(
        python, [FRAME, "total = float(df.sum().sum())", "del df", _printed("{'total': total}")]
    )


def pool_multiprocessing(python: Path, folder: Path) -> Found:
    """A pool of multiprocessing that nobody closes."""
    # `len` and not a function of the notebook: that could not be sent to a spawned worker.
    cells = ["from multiprocessing import Pool\npool = Pool(2)\nsizes = pool.map(len, ['a' * n for n in range(100)])",
             _printed("{'sum': sum(sizes)}")]  # fmt: skip
    return both(python, cells)


def pool_futures(python: Path, folder: Path) -> Found:
    """A ProcessPoolExecutor that nobody shuts down."""
    cells = ["from concurrent.futures import ProcessPoolExecutor\npool = ProcessPoolExecutor(2)\n"
             "sizes = list(pool.map(len, ['a' * n for n in range(100)]))",
             _printed("{'sum': sum(sizes)}")]  # fmt: skip
    return both(python, cells)


def pool_threads(python: Path, folder: Path) -> Found:
    """A ThreadPoolExecutor whose futures keep their results."""
    cells = ["from concurrent.futures import ThreadPoolExecutor\npool = ThreadPoolExecutor(4)\n"
             "futures = [pool.submit(bytearray, 10_000_000) for _ in range(8)]\n"
             "sizes = [len(one.result()) for one in futures]", _printed("{'sum': sum(sizes)}")]  # fmt: skip
    return both(python, cells)


def command_from_a_cell(python: Path, folder: Path) -> Found:
    """``!python my_etl_job.py`` from a cell: does its memory stay with the notebook?"""
    folder.mkdir(parents=True, exist_ok=True)
    job = folder / "my_etl_job.py"
    job.write_text(f"{FRAME}\n{SHOW}print(json.dumps({{'rss': rss}}))\n", encoding="utf-8")
    with kernel(python) as one:
        before = one.facts()
        told = one.run(f"import subprocess\n!{python} {job}")
        return {"before": before, "after": one.facts(), "job": _json(told)}


def parallel_contexts(python: Path, folder: Path) -> Found:
    """Two notebooks at once on one driver, as dbutils.notebook.run in threads does, and scripts."""
    cell = f"{FRAME}\ntotal = float(df.sum().sum())\ndel df"
    with kernel(python) as first, kernel(python) as second:
        before = first.facts()["rss"] + second.facts()["rss"]
        started = second.start(cell)
        first.run(cell)
        second.run("pass")
        after = first.facts()["rss"] + second.facts()["rss"]
    ended = [script(python, cell) for _ in range(2)]
    return {"before": before, "after": after, "script_left": sum(one["left_rss"] for one in ended),
            "started": bool(started)}  # fmt: skip


def run_and_modules(python: Path, folder: Path) -> Found:
    """``%run`` and a module on sys.path: whose names keep the data?"""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "seed_helper.py").write_text("table = bytearray(40_000_000)\n", encoding="utf-8")
    file = folder / "seed_helper.py"
    by_run = contrasted(
        python, folder, "by-run", [f"%run {file}", "n = len(table)"], 3,
        script=f"exec(open({str(file)!r}).read())\nn = len(table)\n",
    )  # fmt: skip
    cells = [
        f"import sys; sys.path.insert(0, {str(folder)!r})\nimport seed_helper",
        "n = len(seed_helper.table)",
    ]
    by_import = contrasted(python, folder, "by-import", cells, 3)
    return {"run": _total(by_run, "live"), "run_per_round": _least(by_run),
            "import": _total(by_import, "live"), "import_per_round": _least(by_import),
            "import_script": _script(by_import, "live")}  # fmt: skip


def pickle_checkpoints(python: Path, folder: Path) -> Found:
    """A checkpoint by pickle: does writing it, or reading it again, free or double anything?"""
    path = folder / "checkpoint.pickle"
    cells = [FRAME, f"df.to_pickle({str(path)!r})", f"again = pd.read_pickle({str(path)!r})", "del df",
             "print(len(again))"]  # fmt: skip
    found = contrasted(python, folder, "pickle", cells, 2)
    live = {row["name"]: row["live"]["first"] for row in found["contrast"]["steps"]}
    peak = {row["name"]: row["peak"]["first"] for row in found["contrast"]["steps"]}
    return {"live": live, "peak": peak, "script": _script(found, "live")}


def random_forest(python: Path, folder: Path) -> Found:
    """RandomForest and a grid search with joblib's workers: are they gone when it is done?"""
    data = "from sklearn.datasets import make_classification\nX, y = make_classification(4000, 20, random_state=0)"
    cells = [data, "from sklearn.ensemble import RandomForestClassifier\n"
             "forest = RandomForestClassifier(50, n_jobs=2, random_state=0).fit(X, y)",
             "from sklearn.model_selection import GridSearchCV\n"
             "grid = GridSearchCV(RandomForestClassifier(10, random_state=0), {'max_depth': [2, 4, 6]}, n_jobs=2).fit(X, y)",
             _printed("{'score': float(grid.best_score_)}")]  # fmt: skip
    return both(python, cells)


def pictures(python: Path, folder: Path) -> Found:
    """Cells of matplotlib and seaborn: the inline backend, and figures that a script leaves open."""
    plot = ("import matplotlib\n{backend}import matplotlib.pyplot as plt, seaborn as sns, numpy as np\n"
            "for n in range(15):\n    plt.figure(figsize=(6, 4)); sns.lineplot(x=np.arange(2000), y=np.random.rand(2000)); {close}")  # fmt: skip
    count = _printed("{'open': len(plt.get_fignums()), 'rss': rss}")
    inline = "get_ipython().run_line_magic('matplotlib', 'inline')\n"
    with kernel(python) as one:
        # Shown within its own cell, as %matplotlib inline does at a cell's end.
        one.run(inline + plot.format(backend="", close="plt.show()"))
        shown = json.loads(one.run(count))
        one.run(plot.format(backend="", close="pass"))
        at_end = json.loads(one.run(count))
        one.run("plt.switch_backend('agg')")
        one.run(plot.format(backend="", close="pass"))
        left = json.loads(one.run(count))
    told = script(
        python, plot.format(backend="matplotlib.use('agg')\n", close="pass") + "\n" + count
    )
    return {"shown": shown, "at_end": at_end, "agg": left, "script": told["printed"]}


CLAIMS: dict[str, Callable[[Path, Path], Found]] = {
    one.__name__.replace("_", "-"): one
    for one in (
        output_history, execution_history, unused_frames, contexts_that_stay, pool_multiprocessing,
        pool_futures, pool_threads, command_from_a_cell, parallel_contexts, run_and_modules,
        pickle_checkpoints, random_forest, pictures,
    )
}  # fmt: skip


def _printed(value: str) -> str:
    return f"{SHOW}print(json.dumps({value}))"


def _json(text: str) -> Any:
    return json.loads(text.strip().splitlines()[-1])


def _total(found: Found, name: str) -> float | None:
    return found["contrast"]["totals"][name]["first"]  # type: ignore[no-any-return]


def _script(found: Found, name: str) -> float | None:
    told = found["contrast"]["totals"][name]["script"]
    return told["median"] if told else None


def _growth(found: Found) -> float | None:
    told = found["contrast"]["totals"]["growth"]["script"]
    return told["high"] if told else None


def _least(found: Found) -> float | None:
    grown = [row["growth"] for row in found["contrast"]["rounds"] if row["growth"] is not None]
    return min(grown) if grown else None
