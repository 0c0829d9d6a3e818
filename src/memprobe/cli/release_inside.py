"""The child process of ``%memprobe release``: what would be cut, and how it went, in words.

python -m memprobe.cli.release_inside plan SPOOL FINGERPRINT…   → {"text", "request", "report"}
python -m memprobe.cli.release_inside told SPOOL                → {"text"}, from stdin's answer
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

import msgspec

from memprobe.analysis import build
from memprobe.analysis.release_choice import chosen, planned, told
from memprobe.cli.failure import print_error
from memprobe.cli.output import FAILED, columns
from memprobe.config import load
from memprobe.errors import MemprobeError, NothingMeasured, TargetError
from memprobe.recording.reader import read
from memprobe.releases import ReleaseReport
from memprobe.reporters import release


def main(words: Sequence[str]) -> int:
    """Answer one request; what a user did wrong goes to stderr."""
    try:
        answer = plan(words[1], words[2:]) if words[0] == "plan" else tell(json.load(sys.stdin))
    except MemprobeError as error:
        print_error(error)
        return FAILED
    print(json.dumps(answer))
    return 0


def plan(spool: str, fingerprints: Sequence[str]) -> dict[str, Any]:
    """Return what would be done, as text and as the probe takes it."""
    recording = read(spool)
    report = build.report(recording, load())
    numbered = [one for one in recording.snapshots if one.reason == "request"]
    if not numbered or numbered[-1].skipped is not None or numbered[-1].number is None:
        why = numbered[-1].skipped if numbered else "it is not in the recording"
        raise NothingMeasured("no snapshot could be taken", cause=why or "")
    findings = chosen(report, fingerprints)
    shown = ReleaseReport(
        program=report.recording.program, pid=report.recording.pid, findings=planned(findings)
    )
    asked = [
        {"fingerprint": one.fingerprint, "cuts": msgspec.to_builtins(one.cuts)} for one in findings
    ]
    return {
        "text": release.render(shown, width=columns()).rstrip(),
        "request": {"number": numbered[-1].number, "findings": asked},
        "report": msgspec.to_builtins(shown),
    }


def tell(given: dict[str, Any]) -> dict[str, Any]:
    """Return how it went."""
    report = msgspec.convert(given["plan"]["report"], ReleaseReport)
    reply = given["reply"]
    answer = reply.get("result") or {"state": "failed", "why": reply.get("error")}
    if answer["state"] != "done":
        raise TargetError("nothing was released", cause=str(answer.get("why")), remedy="try again")
    return {"text": release.render(told(report, answer), width=columns()).rstrip()}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
