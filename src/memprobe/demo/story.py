"""The demo's story: run the notebook, attach while its last cell trains, measure, leave."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from memprobe.config import Config
from memprobe.demo.kernel import DemoKernel, started
from memprobe.errors import NothingMeasured
from memprobe.findings import Report
from memprobe.recording.schema import Snapshot
from memprobe.targets.kernel import Attachment, AttachOptions, attach

NOTEBOOK = Path(__file__).with_name("orders.ipynb")
EXPECTED = "MP201"  # the displayed frame: the demo has failed where it is not found
PATIENCE = 10.0  # seconds until a snapshot must have come
WATCH = 2.0  # seconds to stay at least, so that there are samples to show
POLL = 0.05  # seconds between two looks at the spool

Tell = Callable[[str], None]


def play(folder: Path, config: Config, tell: Tell) -> Report:
    """Play the story in ``folder`` and return the report; ``tell`` gets a line per step.

    Raises MemprobeError where the kernel cannot start or be attached to.
    """
    from memprobe.analysis import build
    from memprobe.recording.reader import read

    recording = folder / "demo.memprobe"
    tell("starting a Jupyter kernel")
    with started(folder) as kernel:
        _run_cells(kernel, tell)
        _record(kernel, recording, config, tell)
    return build.report(read(str(recording)), config)


def found(report: Report) -> bool:
    """Whether the report holds the leak that the notebook was written for."""
    return any(finding.code == EXPECTED and finding.fails for finding in report.findings)


def _run_cells(kernel: DemoKernel, tell: Tell) -> None:
    """Run all cells but the last to their ends, and leave the last one running."""
    *cells, last = _cells()
    for number, (name, source) in enumerate(cells, start=1):
        error = kernel.run(source)
        tell(f"{NOTEBOOK.name} cell {number}: {name}" + (f" · {error}" if error else ""))
    kernel.begin(last[1])
    tell(f"{NOTEBOOK.name} cell {len(cells) + 1}: {last[0]} · running")


def _cells() -> list[tuple[str, str]]:
    import nbformat

    book = nbformat.read(str(NOTEBOOK), as_version=4)  # type: ignore[no-untyped-call]
    return [(cell.id, cell.source) for cell in book.cells if cell.cell_type == "code"]


def _record(kernel: DemoKernel, recording: Path, config: Config, tell: Tell) -> None:
    options = AttachOptions(
        output=recording, program=NOTEBOOK.name, interval=config.interval,
        max_pause=config.max_pause, cap=config.cap,
    )  # fmt: skip
    attachment = attach(kernel.connection_file, kernel.pid, options)
    tell(f"attached to process {kernel.pid} from outside, while the cell runs")
    try:
        _follow(attachment)
    finally:
        attachment.detach()
    tell("measured and detached; the cell went on all the while")


def _follow(attachment: Attachment) -> None:
    """Poll for a while, until a snapshot has measured something too.

    Raises NothingMeasured when none comes.
    """
    began = time.monotonic()
    measured = False
    skipped = "none was taken"
    while time.monotonic() - began < PATIENCE and attachment.ended is None:
        for record in attachment.poll():
            if isinstance(record, Snapshot) and record.skipped is None:
                measured = True
            elif isinstance(record, Snapshot):
                skipped = str(record.skipped)
        if measured and time.monotonic() - began >= WATCH:
            return
        time.sleep(POLL)
    raise NothingMeasured(
        "the demo's notebook could not be measured",
        cause=skipped,
        remedy="on a busy machine allow a longer pause: MEMPROBE_MAX_PAUSE=1 memprobe demo",
        docs="verbs/demo.md",
    )
