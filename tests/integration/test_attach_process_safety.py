"""Nobody else can have a plain process run what they want, nor read what the probe records."""

from __future__ import annotations

import marshal
import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from plain_processes import PATIENCE, Works, eventually, interpreters

from memprobe.errors import TargetError
from memprobe.targets import process
from memprobe.targets.kernel import AttachOptions
from memprobe.targets.pending.bootstrap_text import bootstrap_text, read_payload
from memprobe.targets.pending.injector import Failed, Injector

PYTHON = next((one for name, one in interpreters().items() if name == "3.12" and one), None)
PYTHON = PYTHON or next((one for one in interpreters().values() if one), sys.executable)
OPENED = "o=m['posix'];o.close(o.open({mark!r},{flags},0o600))"
CREATE = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.uname().machine != "x86_64",
    reason="pending calls are written on Linux on x86_64 only",
)


@pytest.fixture(scope="module")
def works(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Works]:
    target = Works(PYTHON, tmp_path_factory.mktemp("works"))
    yield target
    target.end()


@pytest.fixture(scope="module")
def injector(works: Works) -> Iterator[Injector]:
    one = Injector(works.pid)
    yield one
    one.close()


def prepared(folder: Path, mark: Path) -> Path:
    """Make a private folder with a payload that leaves a mark when it is run."""
    folder.mkdir(mode=0o700)
    loader = f"open({str(mark)!r}, 'w').close()"
    payload = folder / "payload"
    payload.write_bytes(marshal.dumps({"loader": loader}, 2))
    payload.chmod(0o600)
    return payload


def run(injector: Injector, works: Works, folder: Path, after: Path) -> None:
    """Have the target read the payload; then, on a second request, leave another mark.

    The second one's thread begins later: when its mark is there, the first has had its time.
    """
    text = bootstrap_text(works.pid, read_payload(str(folder)))
    began = time.monotonic()
    with pytest.raises(Failed):
        injector.run(text, lambda: False, 1.0)
    assert time.monotonic() - began < PATIENCE
    for area in injector._areas:  # taken, and nobody tells: the text stays; here nobody reads it
        injector._clear(area)
    told = OPENED.format(mark=str(after), flags=CREATE)
    injector.run(bootstrap_text(works.pid, told), after.exists, PATIENCE)


def test_what_is_private_is_run(injector: Injector, works: Works, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    prepared(tmp_path / "session", mark)
    text = bootstrap_text(works.pid, read_payload(str(tmp_path / "session")))
    injector.run(text, mark.exists, PATIENCE)


@pytest.mark.parametrize("spoil", ["open folder", "open file", "link", "linked folder", "owner"])
def test_what_somebody_else_could_write_is_not_run(
    spoil: str, injector: Injector, works: Works, tmp_path: Path
) -> None:
    mark, folder = tmp_path / "mark", tmp_path / "session"
    payload = prepared(folder, mark)
    if spoil == "open folder":
        folder.chmod(0o755)
    elif spoil == "open file":
        payload.chmod(0o640)
    elif spoil == "link":
        payload.rename(tmp_path / "elsewhere")
        payload.symlink_to(tmp_path / "elsewhere")
    elif spoil == "linked folder":
        folder.rename(tmp_path / "real")
        folder.symlink_to(tmp_path / "real")
    elif os.geteuid() == 0:
        os.chown(payload, 65534, 65534)
    else:
        pytest.skip("only root can give a file away")
    run(injector, works, folder, tmp_path / "after")
    assert not mark.exists()


def test_a_session_folder_that_is_a_link_is_not_used(
    works: Works, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "theirs").mkdir(mode=0o700)
    (tmp_path / f"memprobe-{os.getuid()}").symlink_to(tmp_path / "theirs")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr("tempfile.tempdir", None)
    with pytest.raises(TargetError, match="cannot use the session folder"):
        process.attach(works.pid, AttachOptions(output=tmp_path / "no.memprobe"))
    assert list((tmp_path / "theirs").iterdir()) == []
    assert works.described()["modules"] == []


# As another user: tries to read, replace and add files wherever memprobe keeps its sessions.
ATTACKER = """
import os, sys
base = sys.argv[1]
os.setgroups([]); os.setgid(65534); os.setuid(65534)
print("ready", flush=True)
os.set_blocking(0, False)
won = 0
def attempt(what):
    global won
    try:
        what()
        won += 1
    except OSError:
        pass
while True:
    try:
        if not os.read(0, 1): break
    except BlockingIOError:
        pass
    attempt(lambda: os.listdir(base))
    attempt(lambda: os.mkdir(base + "/mine"))
    for name in sys.argv[2:]:
        attempt(lambda: os.open(base + "/" + name + "/payload", os.O_RDONLY))
        attempt(lambda: os.symlink("/tmp/evil", base + "/" + name + "/payload"))
    attempt(lambda: os.rename(base, base + ".old"))
print(won)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_wins_no_race(
    works: Works, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Path(os.path.realpath("/tmp")) / f"memprobe-race-{os.getpid()}"
    place.mkdir(mode=0o777)
    place.chmod(0o1777)
    monkeypatch.setenv("TMPDIR", str(place))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("secrets.token_hex", lambda size=8: "0" * size * 2)
    base = place / f"memprobe-{os.getuid()}"
    base.mkdir(mode=0o700)
    with subprocess.Popen(
        [sys.executable, "-c", ATTACKER, str(base), "0" * 16],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/",
    ) as attacker:  # fmt: skip
        assert attacker.stdout is not None
        assert attacker.stdout.readline() == "ready\n"
        attachment = process.attach(works.pid, AttachOptions(output=tmp_path / "one.memprobe"))
        assert (base / ("0" * 16)).is_dir()
        assert attachment.detach()
        won, _ = attacker.communicate("", timeout=PATIENCE)
    subprocess.run(["rm", "-rf", str(place)], check=True)
    assert won == "0\n"


def test_nothing_is_readable_by_others_and_nothing_listens(works: Works, tmp_path: Path) -> None:
    before = works.described()
    attachment = process.attach(works.pid, AttachOptions(output=tmp_path / "one.memprobe"))
    eventually(lambda: bool(attachment.poll()), "nothing was recorded")
    folder = attachment.folder.path
    open_to_others = [
        str(path)
        for path in (folder, *folder.rglob("*"), tmp_path / "one.memprobe")
        if stat.S_IMODE(path.lstat().st_mode) & 0o077
    ]
    during: dict[str, Any] = works.described()
    names = sorted(path.name for path in folder.iterdir())
    assert attachment.detach()
    assert open_to_others == []
    assert "payload" not in names
    assert during["files"].count("socket") == before["files"].count("socket")


def test_ctrl_c_in_the_middle_of_the_text_is_not_lost() -> None:
    program = (
        "import sys, time\n"
        "text, modules = sys.argv[1], sys.modules\n"
        "real = modules['posix'].getpid\n"
        "def interrupted():\n"
        "    modules['posix'].getpid = real\n"
        "    raise KeyboardInterrupt\n"
        "modules['posix'].getpid = interrupted\n"
        "until = time.monotonic() + 60\n"
        "try:\n"
        "    exec(text)\n"
        "    while time.monotonic() < until: pass\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted')\n"
    )
    text = bootstrap_text(1, "0").decode()
    done = subprocess.run(
        [PYTHON, "-c", program, text], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.stdout, done.stderr) == ("interrupted\n", "")
