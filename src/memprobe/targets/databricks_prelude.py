"""What a Databricks notebook finds without making it: ``spark``, ``dbutils``, ``displayHTML``.

On Databricks they are its own. Elsewhere ``spark`` is the session that ``getOrCreate`` gives, and
``dbutils`` knows widgets by their defaults, and nothing that needs Databricks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from memprobe.targets.magics import transformed
from memprobe_probes.names import of_cell

SPARK = """try:
    spark
except NameError:
    from pyspark.sql import SparkSession
    spark = SparkSession.builder.getOrCreate()"""
CONTEXT = "sc = spark.sparkContext"
HTML = "def displayHTML(html): print(html)"
DBUTILS = """try:
    dbutils
except NameError:
    try:
        from databricks.sdk.runtime import dbutils
        dbutils.widgets
    except Exception:
        class _Widgets(dict):
            def text(self, name, default="", label=None): self.setdefault(name, str(default))
            def dropdown(self, name, default, choices=(), label=None): self.text(name, default)
            combobox = multiselect = dropdown
            def get(self, name): return self[name]
            def getAll(self): return dict(self)
            def remove(self, name): self.pop(name, None)
            def removeAll(self): self.clear()
        class _Nothing:
            def __init__(self, name): self._name = name
            def __getattr__(self, name):
                raise NotImplementedError(f"dbutils.{self._name} is there on Databricks only")
        class _NotebookUtils(_Nothing):
            def exit(self, value=None): print(value)
        class _Library(_Nothing):
            def restartPython(self): pass
        class dbutils:
            widgets, notebook, library = _Widgets(), _NotebookUtils("notebook"), _Library("library")
            fs, secrets, jobs = _Nothing("fs"), _Nothing("secrets"), _Nothing("jobs")
            credentials, data = _Nothing("credentials"), _Nothing("data")"""
ONLY_THERE = re.compile(r"\bdbutils\.(fs|secrets|jobs|credentials|data|notebook\.run)\b")
EXIT = re.compile(r"\bdbutils\.notebook\.exit\b")


def prelude(sources: Sequence[str]) -> tuple[str, list[tuple[str, str]]]:
    """Return the code to run first, and (what, why) of what the cells use and it does not give.

    Raises ImportError without IPython.
    """
    found = [of_cell(transformed(source)) for source in sources]
    used = {name for names in found for name in names.used}
    bound = {name for names in found for name in names.bound}
    wanted = {name for name in ("spark", "sc", "dbutils", "displayHTML") if name in used - bound}
    wanted |= {"spark"} if "sc" in wanted else set()
    parts = [("spark", SPARK), ("sc", CONTEXT), ("dbutils", DBUTILS), ("displayHTML", HTML)]
    code = "\n".join(text for name, text in parts if name in wanted)
    return code, list(_notes(sources)) if "dbutils" in wanted else []


def _notes(sources: Sequence[str]) -> list[tuple[str, str]]:
    found = []
    for number, source in enumerate(sources, start=1):
        for name in dict.fromkeys(ONLY_THERE.findall(source)):
            found.append((f"dbutils.{name} in cell {number}", "only Databricks has it"))
        if EXIT.search(source) and number < len(sources):
            why = "it ends no notebook outside Databricks: later cells run"
            found.append((f"dbutils.notebook.exit in cell {number}", why))
    return found
