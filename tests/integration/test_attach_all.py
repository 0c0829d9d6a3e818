"""Several kernels at once: each recorded, who holds what, and the one that nobody uses (MP206)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from kernels import Kernel

from memprobe.cli import main
from memprobe.detectors.idle_context import IdleContext
from memprobe.recording.reader import read
from memprobe.targets import contexts as module

HOLDS = "import numpy as np\nfeatures = np.ones(20_000_000)"
COMPUTES = (
    "import threading\nover = threading.Event()\n"
    "def work():\n    while not over.is_set():\n        sum(range(100_000))\n"
    "worker = threading.Thread(target=work, daemon=True)\nworker.start()"
)


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Kernel, Kernel]]:
    """One kernel that is left alone, and one that computes on a thread of its own."""
    with (
        Kernel(tmp_path_factory.mktemp("idle")) as idle,
        Kernel(tmp_path_factory.mktemp("works")) as works,
    ):
        for kernel in (idle, works):
            kernel.run(HOLDS)
        works.run(COMPUTES)
        yield idle, works
        works.run("over.set()")


@pytest.fixture(autouse=True)
def only_these(monkeypatch: pytest.MonkeyPatch, kernels: tuple[Kernel, Kernel]) -> None:
    """The machine may run other kernels, which are none of a test's business."""
    ours, whole = {kernel.pid for kernel in kernels}, module.contexts
    monkeypatch.setattr(
        module, "contexts", lambda *args: [row for row in whole(*args) if row.pid in ours]
    )


def test_all_are_recorded_and_the_idle_one_is_named(
    kernels: tuple[Kernel, Kernel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("MEMPROBE_IDLE_SECONDS", "0.5")
    arguments = ["attach", "--all", "--duration", "6", "--output", str(tmp_path)]
    assert main([*arguments, "--output-format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    reports = told.get("reports", [told])
    found = {one["recording"]["pid"]: one["findings"] for one in reports}
    idle, works = (kernel.pid for kernel in kernels)
    assert set(found) == {idle, works}
    assert [one["code"] for one in found[idle]] == [IdleContext.code]
    assert found[works] == []  # its twin: the same data, but it is at work
    (finding,) = found[idle]
    assert [holder["expr"] for holder in finding["holders"]] == ["features"]
    assert finding["exclusive_bytes"] == pytest.approx(160_000_000, rel=0.01)
    assert {read(path).header.pid for path in tmp_path.glob("*.memprobe")} == {idle, works}


def test_an_idle_context_below_the_thresholds_is_no_finding(
    kernels: tuple[Kernel, Kernel], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["attach", "--all", "--duration", "1", "--output", str(tmp_path)]) == 0
    told = capsys.readouterr()
    assert "2 kernels hold" in told.out
    assert IdleContext.code not in told.out
    for kernel in kernels:
        assert str(kernel.pid) in told.out
        assert kernel.value("[n for n in __import__('sys').modules if 'memprobe_pr' in n]") == []


def test_all_and_a_target_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["attach", "--all", "etl.ipynb"]) == 2
    assert main(["attach", "--all", "--output", str(tmp_path / "no")]) == 2
    told = capsys.readouterr().err
    assert "takes no TARGET" in told
    assert "is no folder" in told
