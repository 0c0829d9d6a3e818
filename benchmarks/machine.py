"""What a reader has to know of the machine that measured."""

from __future__ import annotations

import datetime
import os
import platform
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def sentence(loads: list[float]) -> str:
    """Return the date, the machine and how busy it was; ``loads`` are 1-minute load averages."""
    kernel = platform.release().partition("-")[0]
    said = f"{datetime.date.today()}, {os.cpu_count()} cores ({cpu_model()}), Linux {kernel}, "
    said += f"Python {platform.python_version()}"
    if loads:
        said += f", load average {sorted(loads)[len(loads) // 2]:.1f} (at most {max(loads):.1f})"
    return said + "."


def load() -> float:
    """Return the load average of the last minute."""
    return round(os.getloadavg()[0], 2)


def commit() -> str:
    """Return the short name of the commit that is measured; nothing outside a checkout."""
    said = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=ROOT
    )
    return said.stdout.strip()


def cpu_model() -> str:
    """Return what the kernel calls the CPU, or the architecture."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.machine()
