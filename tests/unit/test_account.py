"""The memory account: buckets, shares, what a JVM tells, and what is said where nobody can look."""

from __future__ import annotations

import os
import re
import socket
import threading
import time
from pathlib import Path

import pytest
from synthetic_report import accounted, accounted_with_jvm

from memprobe.analysis import account as analysis
from memprobe.recording.schema import ProcessMemory
from memprobe.reporters import account as reporter
from memprobe_probes import account_buckets as buckets
from memprobe_probes import account_words, jvm_account, limits, relatives
from memprobe_probes.jvm_attach import SECONDS, Jvm, Silent

MIB = 2**20
PAGE = Path(__file__).parents[2] / "docs" / "account.md"
REGIONS = Path(__file__).parents[2] / "probes/memprobe_probes/native/regions.h"
HEAP_INFO = (
    " garbage-first heap   total 153600K, used 44782K [0x00000000e0000000, 0x0000000100000000)\n"
    "  region size 1024K, 1 young (1024K), 0 survivors (0K)\n"
)
YOUNG = "[0x00000000e0000000, 0x00000000e0a90000, 0x00000000f0000000)"
OLD = "[0x00000000f0000000, 0x00000000f1560000, 0x0000000100000000)"
SERIAL = f""" def new generation   total 9792K, used 1024K {YOUNG}
 tenured generation   total 21888K, used 2048K {OLD}
"""
CODE = """CodeHeap 'non-nmethods': size=5692Kb used=1140Kb max_used=1157Kb free=4552Kb
 bounds [0x00007f3c10938000, 0x00007f3c10ba8000, 0x00007f3c10ec7000]
"""
METASPACE = "- node #0: base 0x00007f3ba7000000: reserved=65536.00 KB, committed=8192.00 KB ( 12%)"
INFO = """Compressed class space mapped at: 0x00007f3bac000000-0x00007f3bec000000, reserved size: 1
Card table byte_map: [0x00007f3c26828000,0x00007f3c26928000] _byte_map_base: 0x00007f3c26128000
 Prev Bits: [0x00007f3c25600000, 0x00007f3c25e00000)
"""


def test_every_bucket_is_told_on_the_page_and_has_a_name_in_reports() -> None:
    cells = re.findall(r"^\| (`.*?) \|", PAGE.read_text(), re.MULTILINE)
    told = set(re.findall(r"`([a-z-]+)`", " ".join(cells)))
    assert told == set(buckets.ALL)
    assert set(reporter.NAMES) == set(buckets.ALL)


def test_the_walker_and_the_probe_count_the_same_buckets() -> None:
    listed = re.search(r"enum \{\s*(BUCKET_UNKNOWN.*?BUCKETS)", REGIONS.read_text(), re.S)
    assert listed is not None
    assert len(listed[1].split(",")) == len(account_words.ORDER) + 1


def test_a_balance_tells_zero_only_of_what_was_counted() -> None:
    amounts = [0] * len(account_words.ORDER)
    amounts[account_words.ORDER.index(buckets.PYTHON_OBJECTS)] = 7 * MIB
    balance = account_words.Balance([7 * MIB, 6 * MIB, 0, 7 * MIB, 0, 10, 480, 0, 0, 5, *amounts])
    assert balance.buckets[buckets.MALLOC_OTHER] == 0
    assert buckets.ARROW_LIVE not in balance.buckets
    assert sum(balance.buckets.values()) == balance.rss
    assert balance.unmeasured() == []


def test_a_balance_says_what_it_left_out() -> None:
    balance = account_words.Balance([MIB, MIB, 0, MIB, 0, 0, 0, 2, 3, 5])
    assert [row["what"] for row in balance.unmeasured()] == [
        "the owners of a part of the memory", "buckets to the page",
    ]  # fmt: skip


def test_owned_leaves_out_what_nobody_known_owns() -> None:
    row = ProcessMemory(
        pid=1, rss=100, buckets={"python-objects": 60, "malloc-other": 30, "unknown": 10}
    )
    assert analysis.owned(row) == pytest.approx(0.6)
    assert analysis.explained(row) == pytest.approx(0.9)


def test_a_process_that_was_seen_from_afar_has_no_shares() -> None:
    row = ProcessMemory(pid=1, role="child", rss=100, buckets={"private": 70, "files": 30})
    assert analysis.owned(row) is None
    assert analysis.explained(row) is None


def test_an_amount_that_was_not_told_apart_is_none_and_not_zero() -> None:
    row = ProcessMemory(pid=1, rss=100, buckets={"python-objects": 100, "malloc-retained": 0})
    assert analysis.amount(row, buckets.ARROW_RETAINED) is None
    assert analysis.amount(row, buckets.MALLOC_RETAINED, buckets.ARROW_RETAINED) == 0


def test_a_bar_is_as_wide_as_it_is_told_to_be() -> None:
    process = accounted().processes[0]
    assert sum(count for _, count in reporter.bar(process, 40)) == 40
    assert dict(reporter.bar(process, 40))["█"] == 25  # 2051 of 3276 MiB


def test_the_sentence_names_what_is_kept_and_the_empty_heap() -> None:
    told = reporter.sentence(accounted_with_jvm())
    assert told.startswith(
        "2.0 GiB is live data and objects, 612.0 MiB is freed but kept by malloc"
    )
    assert told.endswith("921.0 MiB is the JVM's committed heap, mostly empty")


@pytest.mark.parametrize(
    ("ago", "told"), [(None, ""), (0.3, ""), (190, ", 3 min 10 s before the end")]
)
def test_an_account_of_long_before_the_end_has_its_time_beside_it(
    ago: float | None, told: str
) -> None:
    account = accounted()
    account.seconds_ago = None
    plain = reporter.sentence(account)
    account.seconds_ago = ago
    assert reporter.sentence(account) == plain + told


def test_the_parts_of_a_jvm_are_read_from_what_it_tells() -> None:
    parts = list(jvm_account._parts([HEAP_INFO, CODE, METASPACE, INFO]))
    sizes = {(account_words.ORDER[bucket], size) for _, size, bucket in parts}
    assert sizes == {
        (buckets.HEAP_USED, 512 * MIB), (buckets.CODE_CACHE, 0x10EC7000 - 0x10938000),
        (buckets.METASPACE, 64 * MIB), (buckets.METASPACE, 1024 * MIB),
        (buckets.GC_STRUCTURES, MIB), (buckets.GC_STRUCTURES, 8 * MIB),
    }  # fmt: skip


def test_a_heap_of_generations_is_read_whole() -> None:
    parts = list(jvm_account._parts([SERIAL, "", "", ""]))
    assert [size for _, size, _ in parts] == [256 * MIB, 256 * MIB]
    told = jvm_account._told({buckets.HEAP_USED: 20 * MIB, buckets.UNKNOWN: 0}, SERIAL, None)
    assert told[buckets.HEAP_USED] == 3 * MIB
    assert told[buckets.HEAP_FREE] == 17 * MIB


def test_direct_buffers_come_out_of_what_malloc_gave_to_nobody_known() -> None:
    found = {buckets.MALLOC_OTHER: 60 * MIB, buckets.UNKNOWN: 0}
    told = jvm_account._told(dict(found), HEAP_INFO, 50 * MIB)
    assert (told[buckets.DIRECT_BUFFERS], told[buckets.MALLOC_OTHER]) == (50 * MIB, 10 * MIB)
    assert sum(told.values()) == 60 * MIB
    assert buckets.DIRECT_BUFFERS not in jvm_account._told(found, HEAP_INFO, None)


def test_no_signal_is_sent_to_a_process_that_does_not_listen_to_it() -> None:
    # SIGQUIT would end this very process.
    with pytest.raises(Silent, match="does not listen to signals"):
        Jvm(os.getpid()).ask(("VM.version",))
    assert not os.path.exists(f"/tmp/.attach_pid{os.getpid()}")


def test_a_jvm_that_never_answers_is_left_after_two_seconds() -> None:
    path = f"/tmp/.java_pid{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        taken: list[socket.socket] = []
        thread = threading.Thread(target=lambda: taken.append(listener.accept()[0]))
        thread.start()
        began = time.monotonic()
        try:
            with pytest.raises(Silent, match=r"(does|did) not answer"):
                Jvm(os.getpid()).ask(("VM.version",))
        finally:
            os.unlink(path)
            thread.join()
            taken[0].close()
    assert SECONDS * 0.9 < time.monotonic() - began < SECONDS + 30


def test_a_process_is_told_from_afar_by_its_status() -> None:
    row = relatives.coarse(os.getpid(), "child")
    assert row is not None
    assert sum(row["buckets"].values()) == row["rss"] > MIB
    assert relatives.coarse(2**22 + 1, "child") is None


def test_the_members_of_a_cgroup_are_named_where_its_limit_holds(tmp_path: Path) -> None:
    group = tmp_path / "sys/fs/cgroup/team"
    (group / "notebook").mkdir(parents=True)
    for folder, pids in ((group, "7\n"), (group / "notebook", "8\n9\n")):
        (folder / "cgroup.procs").write_text(pids)
    (group / "memory.max").write_text("1073741824\n")
    proc = tmp_path / "proc/self"
    proc.mkdir(parents=True)
    (proc / "cgroup").write_text("0::/team/notebook\n")
    mount = "30 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
    (proc / "mountinfo").write_text(mount)
    (tmp_path / "proc/meminfo").write_text("MemTotal: 8388608 kB\n")
    assert limits.members(root=str(tmp_path)) == [7, 8, 9]
    (group / "memory.max").write_text("max\n")
    assert limits.members(root=str(tmp_path)) == []
