"""What a Databricks task begins with, on a driver that has another memprobe already."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from memprobe.databricks import job_source
from memprobe_probes import VERSION

OTHER = """
import sys, types
other = sys.modules["memprobe_probes"] = types.ModuleType("memprobe_probes")
other.VERSION, other.__path__ = "0.0.0", []
older = sys.modules["memprobe_probes.job"] = types.ModuleType("memprobe_probes.job")
"""


def test_another_version_that_is_there_is_not_mixed_with_ours(tmp_path: Path) -> None:
    script = tmp_path / "etl.py"
    script.write_text("import sys\nprint(sys.modules['memprobe_probes'].VERSION)\n")
    task = job_source.script_task({"script": str(script), "probe": {}, "folders": []}).decode()
    (tmp_path / "task.py").write_text(OTHER + task)
    done = subprocess.run(
        [sys.executable, "-S", "-E", str(tmp_path / "task.py")],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout == f"{VERSION}\n", done.stderr
