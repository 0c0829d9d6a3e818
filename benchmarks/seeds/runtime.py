"""Which Spark the ETL runs on: with Delta's own jars where they can be had, else with Parquet."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import environments
from seeds import etl

ROOT = Path(__file__).resolve().parents[2]
SOURCES = (ROOT / "src", ROOT / "probes")
PATIENCE = 900.0
SERVICE = "META-INF/services/org.apache.spark.sql.sources.DataSourceRegister"
TRY = (
    'spark.range(5).write.format("delta").mode("overwrite").save("{folder}/tried")\nspark.stop()\n'
)


@dataclass
class Runtime:
    """An interpreter with pyspark, the settings of its session, and the format of its tables."""

    python: Path
    form: str
    said: str  # which one it is, or why it is not Delta
    settings: dict[str, str] = field(default_factory=dict)


def runtime(folder: Path) -> Runtime:
    """Return the runtime with Delta, or the one of this Python with the reason why not."""
    try:
        python = environments.python_of("delta")
        _see_sources(python)
        jars = _jars(python, folder)
        settings = {**etl.DELTA, "spark.jars": ",".join(jars)}
        program = etl.session(settings) + "\n" + TRY.format(folder=folder)
        if not (folder / "tried" / "_delta_log").exists():  # it was seen to work before
            _run(python, program)
    except (environments.Unavailable, RuntimeError) as reason:
        why = str(reason).splitlines()[-1][:200]
        return Runtime(Path(sys.executable), "parquet", f"Parquet tables; no Delta runtime: {why}")
    return Runtime(python, "delta", "real Delta tables (delta-spark 4.0, pyspark 4.0.3)", settings)


def run_program(runtime_: Runtime, source: str) -> str:
    """Run a program in a process of its own; return its stdout. Raises RuntimeError."""
    return _run(runtime_.python, source)


def environment() -> dict[str, str]:
    """Return the environment of what is run: without settings of somebody else's Spark."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SPARK_")}
    return {**kept, "PYTHONWARNINGS": "ignore"}


def _run(python: Path, source: str) -> str:
    done = subprocess.run(
        [str(python), "-c", source], capture_output=True, text=True, timeout=PATIENCE,
        env=environment(),
    )  # fmt: skip
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise RuntimeError(lines[-1] if lines else f"status {done.returncode}")
    return done.stdout


def _see_sources(python: Path) -> None:
    """Make the environment find memprobe where it is developed."""
    where = _run(python, "import sysconfig; print(sysconfig.get_paths()['purelib'])").strip()
    Path(where, "memprobe_sources.pth").write_text("\n".join(map(str, SOURCES)) + "\n")


def _jars(python: Path, folder: Path) -> list[str]:
    """Return the jars of jsoniq's wheel, and one with the line that names Delta's format."""
    import zipfile

    found = _run(python, "import jsoniq; print(jsoniq.__path__[0])").strip()
    jars = sorted(map(str, Path(found).rglob("*.jar")))
    if not jars:
        raise RuntimeError("the wheel of jsoniq has no jar")
    service = folder / "delta-service.jar"
    with zipfile.ZipFile(service, "w") as archive:
        archive.writestr(SERVICE, "org.apache.spark.sql.delta.sources.DeltaDataSource\n")
    return [*jars, str(service)]
