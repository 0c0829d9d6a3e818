"""The effective memory limit, on made-up file systems and on this machine."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from memprobe_probes import limits

GIB = 1 << 30
V1_UNLIMITED = "9223372036854771712"
V2_MOUNT = "40 30 0:1 {base} {at} rw,nosuid - cgroup2 cgroup2 rw"
V1_MOUNT = "41 30 0:2 {base} {at} rw,nosuid - cgroup cgroup rw,memory"
LIMITS = """Limit                     Soft Limit           Hard Limit           Units
Max stack size            8388608              unlimited            bytes
Max address space         {soft}            unlimited            bytes
"""


class Machine:
    """A made-up file system with /proc of one process and cgroup folders."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("proc/meminfo", "MemTotal: 33554432 kB\nMemAvailable: 8388608 kB\n")

    def write(self, path: str, text: str) -> None:
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def process(self, groups: str, mounts: list[str], pid: str = "self") -> None:
        self.write(f"proc/{pid}/cgroup", groups)
        self.write(
            "proc/self/mountinfo", "\n".join(["22 1 8:1 / / rw - ext4 /dev/sda rw", *mounts])
        )

    def effective(self, pid: int | None = None) -> dict[str, object]:
        return limits.effective(pid, root=str(self.root))

    def used(self, pid: int | None = None) -> int | None:
        return limits.used(pid, root=str(self.root))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def v2(base: str = "/", at: str = "/sys/fs/cgroup") -> str:
    return V2_MOUNT.format(base=base, at=at)


def v1(base: str = "/", at: str = "/sys/fs/cgroup/memory") -> str:
    return V1_MOUNT.format(base=base, at=at)


def test_without_any_group_the_host_is_the_limit(machine: Machine) -> None:
    assert machine.effective() == {
        "effective": 32 * GIB,
        "source": "host",
        "host_total": 32 * GIB,
    }
    assert machine.used() == 24 * GIB


def test_cgroup_v2_limit_of_the_own_group(machine: Machine) -> None:
    machine.process("0::/user.slice/etl.scope\n", [v2()])
    machine.write("sys/fs/cgroup/user.slice/etl.scope/memory.max", f"{4 * GIB}\n")
    machine.write("sys/fs/cgroup/user.slice/etl.scope/memory.current", f"{3 * GIB}\n")
    machine.write(
        "sys/fs/cgroup/user.slice/etl.scope/memory.stat", f"anon 1\ninactive_file {GIB}\n"
    )
    machine.write("sys/fs/cgroup/user.slice/memory.max", "max\n")
    assert machine.effective() == {
        "effective": 4 * GIB,
        "source": "cgroup-v2",
        "host_total": 32 * GIB,
    }
    assert machine.used() == 2 * GIB  # page cache that goes first is left out


def test_the_lowest_group_on_the_way_up_counts_and_its_use_is_read(machine: Machine) -> None:
    machine.process("0::/a/b/c\n", [v2()])
    for folder, size, now in (("a", 2, 1.5), ("a/b", 6, 1.0), ("a/b/c", 8, 0.5)):
        machine.write(f"sys/fs/cgroup/{folder}/memory.max", str(size * GIB))
        machine.write(f"sys/fs/cgroup/{folder}/memory.current", str(int(now * GIB)))
    assert machine.effective()["effective"] == 2 * GIB
    assert machine.used() == int(1.5 * GIB)


def test_a_cgroup_namespace_shows_its_limit_at_the_mount_point(machine: Machine) -> None:
    machine.process("0::/\n", [v2()])
    machine.write("sys/fs/cgroup/memory.max", str(GIB))
    assert machine.effective()["effective"] == GIB


@pytest.mark.parametrize(
    ("path", "base"),
    [("/docker/abc", "/docker/abc"), ("/other/place", "/docker/abc"), ("/../outside", "/")],
)
def test_a_container_that_sees_the_hosts_path_uses_its_mount_point(
    machine: Machine, path: str, base: str
) -> None:
    machine.process(f"0::{path}\n", [v2(base=base)])
    machine.write("sys/fs/cgroup/memory.max", str(GIB))
    machine.write("sys/fs/cgroup/outside/memory.max", str(GIB // 2))
    assert machine.effective() == {
        "effective": GIB,
        "source": "cgroup-v2",
        "host_total": 32 * GIB,
    }


def test_a_group_below_the_mounts_base_is_found(machine: Machine) -> None:
    machine.process("0::/docker/abc/job\n", [v2(base="/docker/abc", at="/my\\040groups")])
    machine.write("my groups/job/memory.max", str(GIB))
    assert machine.effective()["effective"] == GIB


def test_cgroup_v1_limit_and_use(machine: Machine) -> None:
    machine.process("5:memory:/job\n4:cpu:/x\n", [v1()])
    machine.write("sys/fs/cgroup/memory/memory.limit_in_bytes", V1_UNLIMITED)
    machine.write("sys/fs/cgroup/memory/job/memory.limit_in_bytes", str(2 * GIB))
    machine.write("sys/fs/cgroup/memory/job/memory.usage_in_bytes", str(GIB))
    machine.write(
        "sys/fs/cgroup/memory/job/memory.stat",
        f"total_inactive_file {GIB // 4}\nhierarchical_memory_limit {2 * GIB}\n",
    )
    assert machine.effective() == {
        "effective": 2 * GIB,
        "source": "cgroup-v1",
        "host_total": 32 * GIB,
    }
    assert machine.used() == GIB - GIB // 4


def test_cgroup_v1_unlimited_is_no_limit(machine: Machine) -> None:
    machine.process("5:memory:/job\n", [v1()])
    machine.write("sys/fs/cgroup/memory/job/memory.limit_in_bytes", V1_UNLIMITED)
    machine.write(
        "sys/fs/cgroup/memory/job/memory.stat", f"hierarchical_memory_limit {V1_UNLIMITED}\n"
    )
    assert machine.effective()["source"] == "host"
    (machine.root / "proc/meminfo").unlink()
    assert machine.effective()["source"] == "unknown"


def test_a_v1_limit_above_what_is_mounted_is_still_seen(machine: Machine) -> None:
    machine.process("5:memory:/pod/box\n", [v1(base="/pod/box")])
    machine.write("sys/fs/cgroup/memory/memory.limit_in_bytes", V1_UNLIMITED)
    machine.write("sys/fs/cgroup/memory/memory.usage_in_bytes", str(GIB))
    machine.write("sys/fs/cgroup/memory/memory.stat", f"hierarchical_memory_limit {3 * GIB}\n")
    assert machine.effective()["effective"] == 3 * GIB
    assert machine.used() == GIB


def test_a_hybrid_machine_takes_the_hierarchy_that_limits_memory(machine: Machine) -> None:
    machine.process("5:memory:/job\n0::/job\n", [v1(), v2(at="/sys/fs/cgroup/unified")])
    machine.write("sys/fs/cgroup/unified/job/cgroup.procs", "")
    machine.write("sys/fs/cgroup/memory/job/memory.limit_in_bytes", str(GIB))
    assert machine.effective()["source"] == "cgroup-v1"


def test_a_finite_address_space_limit_counts(machine: Machine) -> None:
    machine.write("proc/self/limits", LIMITS.format(soft=GIB))
    machine.write("proc/self/statm", "1000 500 1 1 0 1 0\n")
    assert machine.effective()["source"] == "rlimit"
    assert machine.effective()["effective"] == GIB
    assert machine.used() == 1000 * resource.getpagesize()


def test_an_unlimited_address_space_is_no_limit(machine: Machine) -> None:
    machine.write("proc/self/limits", LIMITS.format(soft="unlimited"))
    assert machine.effective()["source"] == "host"


def test_another_process_is_read_by_its_pid(machine: Machine) -> None:
    machine.process("0::/job\n", [v2()], pid="4121")
    machine.write("sys/fs/cgroup/job/memory.max", str(GIB))
    assert machine.effective(4121)["effective"] == GIB
    assert machine.effective()["source"] == "host"


def test_a_limit_above_the_hosts_memory_is_the_hosts(machine: Machine) -> None:
    machine.process("0::/job\n", [v2()])
    machine.write("sys/fs/cgroup/job/memory.max", str(64 * GIB))
    assert machine.effective()["source"] == "host"


def test_without_proc_everything_is_unknown_and_nothing_is_zero(tmp_path: Path) -> None:
    nothing = {"effective": None, "source": "unknown", "host_total": None}
    assert limits.effective(root=str(tmp_path)) == nothing
    assert limits.used(root=str(tmp_path)) is None


@pytest.mark.parametrize("junk", ["", "\n", "max", "x y", "-5", "0", "\udcff:::\n::", "0::"])
def test_unreadable_content_never_raises_and_never_limits(machine: Machine, junk: str) -> None:
    for path in ("proc/self/cgroup", "proc/self/mountinfo", "proc/self/limits", "proc/meminfo"):
        file = machine.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(os.fsencode(junk))
    assert machine.effective() == {"effective": None, "source": "unknown", "host_total": None}
    assert machine.used() is None


def test_a_group_whose_use_cannot_be_read_is_unknown_not_zero(machine: Machine) -> None:
    machine.process("0::/job\n", [v2()])
    machine.write("sys/fs/cgroup/job/memory.max", str(GIB))
    assert machine.used() is None


def test_this_machine_has_a_limit_and_uses_part_of_it() -> None:
    found = limits.effective()
    assert found["source"] in {"cgroup-v2", "cgroup-v1", "rlimit", "host"}
    assert found["effective"] <= found["host_total"]
    now = limits.used()
    assert now is not None
    assert 0 < now < found["effective"]


def test_a_real_address_space_limit_is_seen_from_inside_and_outside() -> None:
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (1 << 30, -1))\n"
        "from memprobe_probes import limits\n"
        "print(limits.effective()['source'], limits.used(), flush=True); sys.stdin.read()"
    )
    probes = str(Path(limits.__file__).parents[1])
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": probes},
    ) as child:
        assert child.stdout is not None
        source, inside = child.stdout.readline().split()
        outside = limits.effective(child.pid)
        child.communicate("")
    assert source == "rlimit"
    assert 0 < int(inside) < 1 << 30
    assert (outside["effective"], outside["source"]) == (1 << 30, "rlimit")


def test_reading_the_use_costs_little() -> None:
    fastest = min(_timed() for _ in range(20))
    assert fastest < 0.005


def _timed() -> float:
    start = time.perf_counter()
    limits.used()
    return time.perf_counter() - start


@pytest.fixture
def limited_group() -> Iterator[tuple[str, Path]]:
    """A real memory cgroup with a limit of 1 GiB below our own, where this machine allows one."""
    trouble = "no memory cgroup is mounted"
    for version, folder, _ in limits._memory_groups(None, "/"):
        group = Path(folder, f"memprobe-test-{os.getpid()}")
        name = "memory.max" if version == "cgroup-v2" else "memory.limit_in_bytes"
        try:
            group.mkdir()
        except OSError as error:
            trouble = str(error)
            continue
        try:
            (group / name).write_text(str(GIB))
        except OSError as error:
            trouble = str(error)
        else:
            yield version, group
            return
        finally:
            group.rmdir()
    pytest.skip(f"this machine lets us make no memory cgroup: {trouble}")


def test_a_real_groups_limit_and_use_are_seen_from_inside_and_outside(
    limited_group: tuple[str, Path],
) -> None:
    version, group = limited_group
    code = (
        f"import os; open({str(group / 'cgroup.procs')!r}, 'w').write(str(os.getpid()))\n"
        "from memprobe_probes import limits\n"
        "kept = bytearray(64 << 20)\n"
        "print(limits.effective()['effective'], limits.used(), flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(limits.__file__).parents[1])},
    ) as child:
        assert child.stdout is not None
        effective, used = map(int, child.stdout.readline().split())
        outside, outside_used = limits.effective(child.pid), limits.used(child.pid)
        child.communicate("\n")
    assert (effective, outside["effective"], outside["source"]) == (GIB, GIB, version)
    assert outside_used is not None
    for now in (used, outside_used):
        assert 64 << 20 <= now < 512 << 20
