"""What the probe reads of shared memory: real segments, and the names that lead to them."""

from __future__ import annotations

import gc
import mmap
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from multiprocessing import sharedctypes
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import numpy as np
import pytest

from memprobe_probes import segment_owners, shared_segments
from memprobe_probes.roots import Root
from memprobe_probes.shared_segments import Segment, Segments

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="read from Linux's /proc")
SIZE = 8 << 20


@pytest.fixture
def shm() -> Iterator[SharedMemory]:
    shared = filled()
    yield shared
    shared.close()
    shared.unlink()


def filled(**options: Any) -> SharedMemory:
    shared = SharedMemory(create=True, size=SIZE, **options)
    shared.buf[:] = b"x" * SIZE
    return shared


def named(text: str, reader: Segments | None = None) -> Segment | None:
    found = (reader or Segments()).read()
    assert found is not None
    return next((one for one in found if text.lstrip("/") in one.path), None)


def registered(text: str) -> Segment | None:
    """The tracker may have only been started, and has then not read of it yet."""
    deadline = time.monotonic() + 60
    while True:
        one = named(text)
        if (one is not None and one.registered) or time.monotonic() > deadline:
            return one


def test_a_segment_is_told_with_its_bytes(shm: SharedMemory) -> None:
    one = registered(shm.name)
    assert one is not None
    assert (one.bytes, one.linked, one.registered, one.open) == (SIZE, True, True, True)
    assert one.told == f"/dev/shm/{shm.name}"
    assert one.spans
    assert shared_segments.users([one]) == {one.identity: 0}
    assert bytes(shm.buf[:2]) == b"xx"


@pytest.mark.parametrize("options", [{}, {"name": f"prices-{uuid.uuid4().hex}"}])
def test_one_that_was_closed_is_known_by_pythons_tracker(options: Any) -> None:
    shared = filled(**options)
    shared.close()
    one = registered(shared.name)
    shared.unlink()
    assert one is not None
    assert (one.bytes, one.linked, one.registered, one.spans) == (SIZE, True, True, [])
    assert named(shared.name) is None


def test_a_file_of_somebody_elses_is_not_ours_until_we_had_it() -> None:
    with tempfile.NamedTemporaryFile(dir="/dev/shm", prefix="somebody-") as file:
        program = "import sys; open(sys.argv[1], 'wb').write(b'x' * (8 << 20))"
        file.close()
        subprocess.run([sys.executable, "-c", program, file.name], check=True, timeout=60)
        reader = Segments()
        try:
            assert named("somebody-", reader) is None
            with open(file.name, "rb"):
                assert named("somebody-", reader) is not None
            assert named("somebody-", reader) is not None
        finally:
            os.unlink(file.name)


def test_what_has_no_name_any_more_is_told_while_it_is_there() -> None:
    with tempfile.TemporaryFile(dir="/dev/shm") as file:
        file.write(b"x" * SIZE)
        file.flush()
        [one] = [one for one in Segments().read() or () if not one.linked and one.open]
        assert one.bytes == SIZE


def test_a_mapped_file_on_a_disk_and_an_anonymous_map_are_none(tmp_path: Any) -> None:
    with open(tmp_path / "data.bin", "w+b") as file:
        file.truncate(SIZE)
        if os.fstat(file.fileno()).st_dev in (shared_segments._memory_devices() or ()):
            pytest.skip("the temporary folder is in memory")
        with mmap.mmap(file.fileno(), SIZE) as on_disk, mmap.mmap(-1, SIZE) as anonymous:
            on_disk[:] = anonymous[:] = b"x" * SIZE
            assert Segments().read() == []


def test_other_processes_that_map_it_are_counted(shm: SharedMemory) -> None:
    program = (
        "import mmap, sys; f = open(sys.argv[1], 'r+b'); m = mmap.mmap(f.fileno(), 0)\n"
        "print('mapped', flush=True); input()"
    )
    command = [sys.executable, "-c", program, f"/dev/shm/{shm.name}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as job:
        assert job.stdout is not None
        job.stdout.readline()
        one = named(shm.name)
        assert one is not None
        assert shared_segments.users([one]) == {one.identity: 1}
        job.communicate(b"\n", timeout=60)
    assert shared_segments.users([one]) == {one.identity: 0}


def test_without_proc_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_segments, "_memory_devices", lambda: None)
    assert Segments().read() is None


# --- names ------------------------------------------------------------------------------------


def owners(one: Segment, **names: Any) -> segment_owners.Owners:
    found = segment_owners.Owners([one])
    found.look([Root("notebook-namespace", expr, obj) for expr, obj in names.items()])
    return found


def looked(one: Segment, shm: SharedMemory, array: Any) -> segment_owners.Owners:
    found = segment_owners.Owners([one])
    roots = [Root("notebook-namespace", "shm", shm), Root("notebook-namespace", "array", array)]
    del array  # a reference like that of a namespace is the caller's
    found.look(roots)
    return found


def told(found: segment_owners.Owners) -> list[str]:
    return sorted(
        row["expr"]
        + "".join(step["edge"] for step in row["path"])
        + " "
        + row["type"].split(".")[-1]
        for row in found.rows[0]
    )


def test_objects_arrays_and_texts_lead_to_a_segment(shm: SharedMemory) -> None:
    array = np.ndarray((SIZE // 8,), buffer=shm.buf)
    one = named(shm.name)
    assert one is not None
    found = owners(one, shm=shm, kept=[{"x": array}], name=shm.name, other=np.zeros(SIZE // 8))
    assert told(found) == ["kept[0][key] ndarray", "name str", "shm SharedMemory"]
    assert found.unnamed == [False]
    del array, found


def test_a_frame_that_shows_its_data_is_something_unnamed(shm: SharedMemory) -> None:
    import pandas as pd

    frame = pd.DataFrame({"a": np.ndarray((SIZE // 8,), buffer=shm.buf)}, copy=False)
    one = named(shm.name)
    assert one is not None
    assert owners(one, shm=shm).unnamed == [True]
    del frame
    gc.collect()
    assert owners(one, shm=shm).unnamed == [False]


def test_so_is_a_frame_over_an_array_that_has_a_name(shm: SharedMemory) -> None:
    import pandas as pd

    array = np.ndarray((SIZE // 8,), buffer=shm.buf)
    one = named(shm.name)
    assert one is not None
    assert not looked(one, shm, array).unnamed[0]
    frame = pd.DataFrame({"a": array}, copy=False)
    assert looked(one, shm, array).unnamed[0]
    assert len(frame) == SIZE // 8
    del frame, array


def test_an_array_of_multiprocessing_is_known_by_its_map() -> None:
    shared = sharedctypes.RawArray("d", SIZE // 8)
    np.frombuffer(shared)[:] = 1.5
    one = named(f"pym-{os.getpid()}-")
    assert one is not None
    assert not one.linked
    assert one.bytes is not None
    assert one.bytes >= SIZE
    assert [line.partition(" ")[0] for line in told(owners(one, shared=shared))] == ["shared"]


def test_a_segment_is_left_as_it_was(shm: SharedMemory) -> None:
    before = sys.getrefcount(shm), sys.getrefcount(shm.buf), set(os.listdir("/proc/self/fd"))
    one = named(shm.name)
    assert one is not None
    owners(one, shm=shm)
    shared_segments.users([one])
    assert (
        sys.getrefcount(shm), sys.getrefcount(shm.buf), set(os.listdir("/proc/self/fd"))
    ) == before  # fmt: skip
