"""The recording in pieces: bounded, in order, and only of the file it was opened for."""

from __future__ import annotations

import base64
import os
import types
import zlib
from pathlib import Path
from typing import Any

import pytest

from memprobe_probes import courier


class Session:
    """Keeps what the courier sends."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def send(self, stream: Any, kind: str, content: Any, parent: Any, ident: Any) -> None:
        assert kind == courier.REPLY
        self.sent.append(content)


@pytest.fixture
def kernel() -> Any:
    return types.SimpleNamespace(control_handlers={"other": 1}, session=Session())


def _asked(kernel: Any, verb: str, **args: Any) -> dict[str, Any]:
    message = {"content": {"verb": verb, "args": args}}
    kernel.control_handlers[courier.REQUEST](None, [], message)
    answer: dict[str, Any] = kernel.session.sent[-1]
    return answer


def test_spool_arrives_whole_in_bounded_pieces(kernel: Any, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    content = os.urandom(3 * courier.LARGEST + 17)
    spool.write_bytes(content)
    one = courier.Courier(kernel, str(spool), "")
    got = b""
    while True:
        piece = _asked(kernel, "pull", offset=len(got), client="a", most=10**9)["result"]
        data = zlib.decompress(base64.b64decode(piece["data"]))
        assert len(data) <= courier.LARGEST
        if not data:
            break
        got += data
    assert got == content
    assert piece["size"] == len(content)
    one.leave()
    assert kernel.control_handlers == {"other": 1}


def test_descriptor_that_the_program_reused_is_not_read(kernel: Any, tmp_path: Path) -> None:
    spool, other = tmp_path / "spool", tmp_path / "other"
    spool.write_bytes(b"x")
    other.write_bytes(b"private")
    one = courier.Courier(kernel, str(spool), "")
    theirs = os.open(other, os.O_RDONLY)
    os.dup2(theirs, one._spool)  # the program closed what it does not know, and opened its own
    assert _asked(kernel, "pull", offset=0)["result"]["lost"] is True
    one.leave()
    os.fstat(one._spool)  # theirs is still open
    os.close(one._spool)
    os.close(theirs)


def test_nonsense_is_answered_and_never_raised(kernel: Any, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    spool.write_bytes(b"x")
    one = courier.Courier(kernel, str(spool), "")
    assert _asked(kernel, "pull", offset="far")["ok"] is False
    assert _asked(kernel, "snapshot")["ok"] is False  # no probe is in this process
    assert _asked(kernel, "status")["ok"] is False
    kernel.control_handlers[courier.REQUEST](None, [], {"content": None})
    kernel.session.send = None
    kernel.control_handlers[courier.REQUEST](None, [], {"content": {"verb": "pull"}})
    one.leave()


def test_folder_is_removed_only_where_it_is_ours(kernel: Any, tmp_path: Path) -> None:
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "spool").write_bytes(b"x")
    courier.Courier(kernel, str(tmp_path / "ours/spool"), str(tmp_path / "ours")).leave()
    courier.Courier(kernel, str(tmp_path / "theirs/spool"), "").leave()
    assert os.listdir(tmp_path) == ["theirs"]
