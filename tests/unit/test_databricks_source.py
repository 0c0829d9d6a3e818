"""Databricks source notebooks as cells: what becomes Python, and what is told as left out."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from memprobe.targets.databricks_source import is_source_notebook, read_source
from memprobe.targets.databricks_sql import as_python, statements
from memprobe.targets.derived_script import derive

pytest.importorskip("IPython")
SEPARATOR = "\n\n# COMMAND ----------\n\n"


def written(folder: Path, *commands: str, name: str = "etl.py") -> Path:
    path = folder / name
    path.write_text("# Databricks notebook source\n" + SEPARATOR.join(commands) + "\n")
    return path


def cells(path: Path) -> list[str]:
    return [cell.source for cell in read_source(path).cells]


def test_only_the_first_line_makes_a_file_a_notebook(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    for text, expected in (
        ("# Databricks notebook source\nx = 1", True),
        ("\ufeff# Databricks notebook source\r\nx = 1", True),
        ("# Databricks notebook source", True),
        ("x = 1\n# Databricks notebook source", False),
        ("", False),
    ):
        path.write_text(text, encoding="utf-8")
        assert is_source_notebook(path) is expected, text
    assert not is_source_notebook(tmp_path / "missing.py")
    assert not is_source_notebook(tmp_path / "etl.ipynb")


def test_commands_become_cells_and_titles_and_texts_go(tmp_path: Path) -> None:
    path = written(
        tmp_path, "# MAGIC %md\n# MAGIC # Title", "# DBTITLE 1,Load\nx = 1\n# a comment",
        "# MAGIC %md-sandbox\n# MAGIC <p>", "", "# MAGIC %python\n# MAGIC y = 2",
        "# MAGIC %time z = x + y\nprint(z)",
    )  # fmt: skip
    assert cells(path) == ["x = 1\n# a comment", "y = 2", "%time z = x + y\nprint(z)"]
    assert read_source(path).left_out == []


def test_what_is_no_python_is_told_with_its_command_and_reason(tmp_path: Path) -> None:
    path = written(
        tmp_path, "# MAGIC %pip install seaborn", "x = 1", "# MAGIC %scala\n# MAGIC val x = 1",
        "# MAGIC %r\n# MAGIC x <- 1", "# MAGIC %fs ls /mnt", "# MAGIC %run ./missing",
        "# MAGIC %sh\n# MAGIC pip install x", "# MAGIC %pip install a\n# MAGIC import a",
    )  # fmt: skip
    found = read_source(path)
    assert [cell.source for cell in found.cells] == ["x = 1", "import a"]
    assert found.left_out == [
        ("%pip, command 1", "it installs packages"),
        ("%scala, command 3", "it is Scala"),
        ("%r, command 4", "it is R"),
        ("%fs, command 5", "only Databricks has its file system"),
        ("%run ./missing, command 6", "there is no such notebook beside it"),
        ("%sh, command 7", "it installs packages"),
    ]


def test_a_notebook_that_is_run_is_part_of_the_cell(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    written(tmp_path / "shared", "a = 1", "# MAGIC %scala\n# MAGIC 1", "b = a", name="set_up.py")
    path = written(tmp_path, "# MAGIC %run ./shared/set_up", "print(a, b)")
    found = read_source(path)
    assert [cell.source for cell in found.cells] == ["a = 1\nb = a", "print(a, b)"]
    assert found.left_out == [("%scala, command 2 of set_up.py", "it is Scala")]


def test_notebooks_that_run_each_other_end(tmp_path: Path) -> None:
    written(tmp_path, "# MAGIC %run ./etl", "b = 1", name="other.py")
    path = written(tmp_path, "# MAGIC %run ./other", "a = 1")
    found = read_source(path)
    assert [cell.source for cell in found.cells] == ["b = 1", "a = 1"]
    assert found.left_out == [("%run ./etl, command 1 of other.py", "it runs itself")]


def test_widgets_keep_their_defaults_and_the_rest_says_where_it_is(tmp_path: Path) -> None:
    path = written(
        tmp_path, "dbutils.widgets.text('day', '2024-01-01')\nday = dbutils.widgets.get('day')",
        "dbutils.fs.ls('/')", "dbutils.notebook.exit('done')",
    )  # fmt: skip
    found = read_source(path)
    assert found.left_out == [("dbutils.fs in cell 2", "only Databricks has it")]
    space: dict[str, object] = {}
    exec(found.cells[0].source, space)
    assert space["day"] == "2024-01-01"
    with pytest.raises(NotImplementedError, match=r"dbutils\.fs is there on Databricks only"):
        exec(found.cells[1].source, space)
    exec(found.cells[2].source, space)


def test_an_exit_before_the_end_is_told(tmp_path: Path) -> None:
    path = written(tmp_path, "dbutils.notebook.exit('early')", "x = 1")
    assert read_source(path).left_out[0][0] == "dbutils.notebook.exit in cell 1"


def test_the_session_is_made_only_where_a_cell_uses_it_and_none_makes_it(tmp_path: Path) -> None:
    assert "getOrCreate" in cells(written(tmp_path, "df = spark.range(3)"))[0]
    assert "getOrCreate" in cells(written(tmp_path, "n = sc.parallelize([1]).count()"))[0]
    own = "spark = make()\ndf = spark.range(3)"
    assert cells(written(tmp_path, own)) == [own]
    assert cells(written(tmp_path, "x = 1")) == ["x = 1"]


@pytest.mark.parametrize(
    ("sql", "python"),
    [
        ("SELECT 1", "_sqldf = spark.sql('SELECT 1')\n_sqldf.show()"),
        ("SELECT ';' -- a; b\n", "_sqldf = spark.sql(\"SELECT ';' -- a; b\")\n_sqldf.show()"),
        (
            "USE a; SELECT 1;",
            "_sqldf = spark.sql('USE a')\n_sqldf = spark.sql('SELECT 1')\n_sqldf.show()",
        ),
        ("SELECT a::int", "_sqldf = spark.sql('SELECT a::int')\n_sqldf.show()"),
        (
            "SELECT :day, ':no'",
            "_sqldf = spark.sql(\"SELECT :day, ':no'\", "
            "args={'day': dbutils.widgets.get('day')})\n_sqldf.show()",
        ),
        (
            "SELECT '${day}'",
            "_sqldf = spark.sql(\"SELECT '${day}'\""
            ".replace('${day}', dbutils.widgets.get('day')))\n_sqldf.show()",
        ),
        ("-- nothing\n/* at; all */", ""),
    ],
)
def test_sql_is_run_statement_by_statement(sql: str, python: str) -> None:
    assert as_python(sql) == python
    ast.parse(python)


@pytest.mark.parametrize("text", ["'", '"a', "`", "/* a", "-- a", "'\\\\", "", ";;"])
def test_sql_that_is_cut_off_is_split_all_the_same(text: str) -> None:
    assert "".join(statements(text)) == text.replace(";", "")
    ast.parse(as_python(text))


def test_a_derived_script_has_the_cells_in_order_and_parses(tmp_path: Path) -> None:
    path = written(
        tmp_path, "dbutils.widgets.text('n', '3')", "# MAGIC %sql\n# MAGIC SELECT :n\n# MAGIC AS x",
        "display(_sqldf)",
    )  # fmt: skip
    script = derive(read_source(path).cells, path)
    ast.parse(script.source)
    assert [start.name for start in script.starts] == ["cell 1", "cell 2", "cell 3"]
    assert "dbutils.widgets.get('n')" in script.source
