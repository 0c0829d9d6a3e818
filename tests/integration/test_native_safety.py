"""The native walker harms no program: crashes, hangs, limits, forks, signals, user code, traces."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from building import obstacle
from running import PROGRAMS, bare_environment

import memprobe
from memprobe_probes import native_walker

FOUND, REASON = native_walker.load()
pytestmark = pytest.mark.skipif(FOUND is None, reason=str(REASON))

SOURCES = Path(memprobe.__file__).parents[1]
BEGIN = f"""
import json, os, sys
sys.path.insert(0, {str(PROGRAMS)!r})
"""
Program = Callable[..., dict[str, Any]]


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """Run code that sets ``told``; it must end well and say nothing else. Returns ``told``."""

    def run(code: str, *, prefix: tuple[str, ...] = (), **environment: str) -> dict[str, Any]:
        file = tmp_path / "program.py"
        file.write_text(BEGIN + textwrap.dedent(code) + "\nprint(json.dumps(told))\n")
        done = subprocess.run(
            [*prefix, sys.executable, str(file)], capture_output=True, text=True, timeout=300,
            env=bare_environment(**environment), cwd=tmp_path,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found

    return run


@pytest.fixture(scope="module")
def trouble(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of an extension whose type is broken in the way one asks for."""
    if obstacle():
        pytest.skip(str(obstacle()))
    folder = tmp_path_factory.mktemp("trouble")
    compiler = shutil.which("cc") or shutil.which("gcc")
    include = sysconfig.get_paths()["include"]
    subprocess.run(
        [str(compiler), "-shared", "-fPIC", "-O0", "-w", f"-I{include}",
         str(PROGRAMS / "trouble.c"), "-o", str(folder / "trouble.so")],
        check=True,
    )  # fmt: skip
    return str(folder)


def test_what_a_copy_takes_counts_as_the_probes_own(program: Program) -> None:
    told = program(
        """
        import resource
        from snapshots import Taker, engines

        rows = [[number] for number in range(400_000)]
        taker, told = Taker(), {}
        for manner in (engines.AWAITED, engines.AT_REST, engines.LATER):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            taker.take(manner)
            if taker.engines.job is not None:
                taker.collect()
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            told[manner] = [spent, taker.engines.copies_ns() / 1e9, taker.engines.copies_ns()]
        """
    )
    assert len(told) == 3
    for by_the_kernel, by_the_probe, again in told.values():
        assert by_the_kernel > 0.001
        assert by_the_probe == pytest.approx(by_the_kernel, rel=0.01, abs=0.002)
        assert again == 0


@pytest.mark.parametrize(
    ("mode", "why"),
    [
        pytest.param(1, "it crashed (signal 11)", id="bad-address"),
        pytest.param(2, "it took longer than it may", id="endless"),
        pytest.param(4, "it crashed (signal 6)", id="aborts"),
        pytest.param(5, "it crashed (signal 11)", id="endless-recursion"),
    ],
)
def test_a_broken_type_kills_the_copy_and_not_the_program(
    program: Program, trouble: str, mode: int, why: str
) -> None:
    told = program(
        f"""
        import faulthandler, signal
        faulthandler.enable()
        handled = []
        signal.signal(signal.SIGALRM, lambda *_: handled.append("alarm"))
        signal.signal(signal.SIGABRT, lambda *_: handled.append("abort"))
        sys.path.insert(0, {trouble!r})
        import snapshots, trouble
        kept = [bytes(1_000_000), trouble.make({mode})]
        taker = snapshots.Taker(seconds=1)
        taker.take()
        traces = snapshots.Traces()
        told = {{"first": taker.take(), "later": [taker.take() for _ in range(3)]}}
        told.update(left=traces.left(), handled=handled)
        """
    )
    for one in (told["first"], *told["later"]):
        assert one["note"] == f"the native walker failed: {why}"
        assert why in one["skipped"]
    assert (told["left"], told["handled"]) == ([], [])


def test_a_type_that_asks_for_memory_does_so_in_the_copy(program: Program, trouble: str) -> None:
    told = program(
        f"""
        sys.path.insert(0, {trouble!r})
        import snapshots, trouble
        kept = [bytes(1_000_000), trouble.make(3)]
        told = snapshots.Taker().take()
        """
    )
    assert told["engine"] == "native"
    assert told["bytes"]["kept"] == pytest.approx(1_000_000, rel=0.001)


FORGOTTEN = """
import ctypes, mmap, snapshots
from memprobe_probes import engines, roots
ROOM, PAGE, HEADER, WORDS = 64 << 20, 4096, 16, 8000
kept = [[number] for number in range(300_000)]
gone = mmap.mmap(-1, ROOM, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
begin = ctypes.addressof(ctypes.c_char.from_buffer(gone))
snapshots.gc.collect()
gone.close()
stale = [
    (ctypes.c_void_p * WORDS)(*range(first + HEADER, first + WORDS * PAGE, PAGE))
    for first in range(begin, begin + ROOM - WORDS * PAGE, WORDS * PAGE)
]
taken = [
    snapshots.Taker().engines.take(
        roots.script_roots, roots.stop_ids(), (), snapshots.LONG, engines.AWAITED, None
    )
    for _ in range(3)
]
told = [one["account"] is not None for one in taken]
"""


def test_pointers_to_memory_that_was_freed_do_not_end_the_account(program: Program) -> None:
    """The copy's tables lie there for a while: a freed array is the first gap that fits."""
    assert program(FORGOTTEN) == [True, True, True]


ENDLESS = """
sys.path.insert(0, TROUBLE)
import signal, snapshots, time, trouble
from memprobe_probes.engines import LATER
snapshots.Taker().take()
traces = snapshots.Traces()
taker = snapshots.Taker(seconds=SECONDS)
kept = [bytes(1_000_000), trouble.make(2)]
taker.take(LATER)
(copy,) = snapshots.children()
"""


def at_work(trouble: str, seconds: int, code: str) -> str:
    """Return a program in which a copy is at work that never comes to its end."""
    begin = ENDLESS.replace("TROUBLE", repr(trouble)).replace("SECONDS", str(seconds))
    return begin + textwrap.dedent(code) + "\nkept.clear()\ntold['left'] = traces.left()\n"


def test_a_copy_that_is_killed_is_reported(program: Program, trouble: str) -> None:
    told = program(at_work(trouble, 20, "os.kill(copy, signal.SIGKILL); told = taker.collect()"))
    assert told["note"] == "the native walker failed: it was killed, as for lack of memory"
    assert told["left"] == []


def test_a_copy_that_is_stopped_is_ended_when_its_time_is_over(
    program: Program, trouble: str
) -> None:
    told = program(
        at_work(
            trouble, 1,
            """
            os.kill(copy, signal.SIGSTOP)
            began = time.monotonic()
            told = taker.collect()
            told["seconds"] = time.monotonic() - began
            """,
        )
    )  # fmt: skip
    assert told["note"] == "the native walker failed: it took longer than it may"
    assert told["seconds"] < 20  # and not until it is killed, which nobody does
    assert told["left"] == []


def test_a_copy_does_not_pass_for_a_process_of_the_programs(program: Program, trouble: str) -> None:
    told = program(
        at_work(
            trouble, 20,
            f"""
            sys.path.insert(0, {str(SOURCES)!r})
            import subprocess
            from memprobe.targets.outside import OutsideSampler
            own = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
            while snapshots.children() != sorted([copy, own.pid]):
                time.sleep(0.01)
            found = [child.pid for child in OutsideSampler(os.getpid()).sample().children]
            own.communicate(b"\\n")
            told = {{"right": found == [own.pid], "note": taker.engines.close()}}
            traces = snapshots.Traces()
            """,
        )
    )  # fmt: skip
    assert told == {"right": True, "note": None, "left": []}


def test_the_programs_own_waiting_never_meets_the_copy(program: Program, trouble: str) -> None:
    told = program(
        at_work(
            trouble, 20,
            """
            handled = []
            signal.signal(signal.SIGCHLD, lambda *_: handled.append(1))
            own = os.posix_spawn(sys.executable, [sys.executable, "-c", ""], os.environ)
            told = {"right": os.wait()[0] == own, "handled": len(handled)}
            try:
                os.wait()
            except ChildProcessError:
                told["nobody"] = True
            os.kill(copy, signal.SIGKILL)
            told["note"] = taker.collect()["note"]
            told["handled after"] = len(handled)
            """,
        )
    )  # fmt: skip
    assert told == {
        "right": True, "handled": 1, "nobody": True, "handled after": 1, "left": [],
        "note": "the native walker failed: it was killed, as for lack of memory",
    }  # fmt: skip


def test_where_children_are_ignored_the_answer_comes_all_the_same(program: Program) -> None:
    told = program(
        """
        import signal, snapshots
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        kept = [bytes(1_000_000)]
        told = snapshots.Taker().take()
        told["children"] = snapshots.children()
        """
    )
    assert (told["engine"], told["children"]) == ("native", [])
    assert told["bytes"]["kept"] == pytest.approx(1_000_000, rel=0.001)


def test_a_fork_of_the_program_leaves_the_copy_alone(program: Program, trouble: str) -> None:
    told = program(
        at_work(
            trouble, 20,
            """
            own = os.fork()
            if own == 0:
                try:
                    taker.engines.job.wait(1)
                except Exception as error:
                    assert "a fork of the process" in str(error), error
                    taker.engines.close()
                    os._exit(7)
                os._exit(8)
            status = os.waitstatus_to_exitcode(os.waitpid(own, 0)[1])
            told = {"fork": status, "lives": snapshots.children() == [copy]}
            taker.engines.close()
            told["ended"] = snapshots.children() == []
            """,
        )
    )  # fmt: skip
    assert told == {"fork": 7, "lives": True, "ended": True, "left": []}


@pytest.mark.parametrize(
    "end", ["sys.exit(0)", "os._exit(0)", "os.kill(os.getpid(), signal.SIGKILL)"]
)
def test_a_copy_does_not_outlive_the_program(trouble: str, tmp_path: Path, end: str) -> None:
    file = tmp_path / "ends.py"
    begin = BEGIN + at_work(trouble, 3600, "told = {}").rpartition("\nkept.clear()")[0]
    # Waiting until the copy's clock runs: it is set before what the program has open is closed.
    closed = "while len(os.listdir(f'/proc/{copy}/fd')) > 1: time.sleep(0.01)"
    file.write_text(f"{begin}\n{closed}\nprint(copy, flush=True)\n{end}\n")
    done = subprocess.run(
        [sys.executable, str(file)], stdout=subprocess.PIPE, timeout=120, env=bare_environment()
    )
    copy = int(done.stdout)
    ended = time.monotonic()
    while is_alive(copy):
        assert time.monotonic() - ended < 120
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"  # whoever adopted it may be slow to wait for it


def test_a_copy_outlives_the_thread_that_made_it(program: Program) -> None:
    told = program(
        """
        import snapshots, threading
        from memprobe_probes.engines import LATER
        kept = [[n] for n in range(300_000)]
        taker = snapshots.Taker()
        maker = threading.Thread(target=taker.take, args=(LATER,))
        maker.start()
        maker.join()
        told = taker.collect()
        """
    )
    assert (told["engine"], told["note"]) == ("native", None)
    assert told["bytes"]["kept"] > 300_000 * 64


@pytest.mark.parametrize(
    ("limit", "note"),
    [
        pytest.param(
            "resource.RLIMIT_NOFILE, (3, 3)", "Too many open files", id="no-descriptor-left"
        ),
        pytest.param(
            "resource.RLIMIT_FSIZE, (100, 100)", "its answer could not be written", id="no-room"
        ),
        pytest.param("resource.RLIMIT_AS, (used, used)", "MiB are free", id="no-address-space"),
    ],
)
def test_where_a_limit_is_reached_the_other_engine_answers(
    program: Program, limit: str, note: str
) -> None:
    told = program(
        f"""
        import resource, snapshots
        kept = [bytes(1_000_000)]
        taker = snapshots.Taker()
        taker.take()
        traces = snapshots.Traces()
        used = int(open("/proc/self/statm").read().split()[0]) * 4096 + (4 << 20)
        which, limits = {limit}
        before = resource.getrlimit(which)
        resource.setrlimit(which, (limits[0], before[1]))
        told = taker.take()
        resource.setrlimit(which, before)
        told["left"] = traces.left()
        """
    )
    assert told["engine"] == "fallback"
    assert note in told["note"]
    assert told["bytes"]["kept"] == pytest.approx(1_000_000, rel=0.001)
    assert told["left"] == []


def test_no_memory_is_asked_for_where_the_groups_limit_is_near(
    program: Program, cgroup: Callable[[int], Path]
) -> None:
    group = cgroup(120_000_000)
    told = program(
        """
        import snapshots
        kept = [bytes([1]) * 40_000_000]
        told = snapshots.Taker().take()
        told["children"] = snapshots.children()
        """,
        prefix=("/bin/sh", "-c", f'echo $$ > {group / "cgroup.procs"} && exec "$@"', "sh"),
    )
    assert told["engine"] == "fallback"
    assert "MiB are free" in told["note"]
    assert told["bytes"]["kept"] == pytest.approx(40_000_000, rel=0.01)


def test_where_no_process_may_be_added_the_other_engine_answers(program: Program) -> None:
    told = program(
        """
        import resource, snapshots
        kept = [bytes(1_000_000)]
        taker = snapshots.Taker()
        taker.take()
        if os.getuid() == 0:
            os.setuid(54321)  # to root the limit does not apply
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
        told = taker.take()
        """
    )
    assert told["engine"] == "fallback"
    assert "Resource temporarily unavailable" in told["note"]
    assert told["bytes"]["kept"] == pytest.approx(1_000_000, rel=0.001)


def test_other_work_goes_on_meanwhile(program: Program) -> None:
    """Processes, threads in C calls, finalizers that let other threads run, allocations."""
    told = program(
        """
        import gc, select, snapshots, subprocess, threading, time
        kept = [[n] for n in range(50_000)]
        taker = snapshots.Taker()
        taker.take()
        done, wrong, stop = [], [], threading.Event()

        def processes():
            while not stop.is_set():
                out = subprocess.run([sys.executable, "-Sc", "print(6*7)"], capture_output=True)
                (done if out.stdout == b"42\\n" else wrong).append(out)

        class Finalized:
            def __del__(self):
                time.sleep(0.0001)

        def garbage():
            while not stop.is_set():
                for _ in range(100):
                    one = Finalized()
                    one.one = one
                gc.collect(0)

        def waits():
            select.select([], [], [], 3600)

        sleeper = threading.Thread(target=waits, daemon=True)
        workers = [threading.Thread(target=one) for one in (processes, garbage)]
        for worker in (sleeper, *workers):
            worker.start()
        takes = []
        while len(takes) < 25 or len(done) < 10:
            takes.append(taker.take())
        stop.set()
        for worker in workers:
            worker.join()
        told = {
            "engines": sorted({one["engine"] for one in takes}), "wrong": len(wrong),
            "low": min(one["bytes"]["kept"] for one in takes),
            "high": max(one["bytes"]["kept"] for one in takes),
            "children": snapshots.children(),
            "open": sum("memfd" in name for name in snapshots.descriptors().values()),
        }
        """
    )
    assert (told["engines"], told["wrong"]) == (["native"], 0)
    assert told["low"] == told["high"] > 50_000 * 64
    assert (told["children"], told["open"]) == ([], 0)


@pytest.mark.parametrize("state", ["gc.disable()", "gc.freeze()", "gc.set_threshold(7, 3, 2)"])
def test_what_the_program_told_the_collector_stays(program: Program, state: str) -> None:
    told = program(
        f"""
        import gc, snapshots
        kept = [[n] for n in range(20_000)]
        snapshots.Taker().take()
        {state}
        frozen = gc.get_freeze_count()
        traces = snapshots.Traces()
        told = snapshots.Taker().take()
        told.update(left=traces.left(), frozen=gc.get_freeze_count() == frozen)
        """
    )
    assert (told["engine"], told["left"], told["frozen"]) == ("native", [], True)
    assert told["bytes"]["kept"] > 20_000 * 64


def test_no_line_of_the_programs_own_code_is_run(program: Program) -> None:
    told = program(
        """
        import collections, gc, snapshots, weakref
        from memprobe_probes import engines, heap
        tripped, armed = [], []

        def trip(name):
            def method(self, *args, **options):
                if armed:
                    tripped.append(name)
                return NotImplemented if name.startswith("__") else None
            return method

        NAMES = ("__eq__ __ne__ __lt__ __hash__ __len__ __iter__ __getitem__ __contains__ __bool__"
                 " __repr__ __str__ __format__ __sizeof__ __getattribute__ __getattr__ __setattr__"
                 " __dir__ __del__ __reduce__ __reduce_ex__ __getstate__ __call__ __index__"
                 " __instancecheck__ __subclasscheck__ __subclasses__ __array__ __buffer__ mro"
                 " __arrow_c_stream__ __array_interface__ __dataframe__ __enter__ __next__").split()

        def bombs(base, skip=()):
            return {name: trip(f"{base}.{name}") for name in NAMES if name not in skip}

        Meta = type("Meta", (type,), {
            **bombs("meta", ("__call__", "__setattr__", "mro", "__getattribute__", "__del__")),
            "__hash__": lambda cls: (tripped.append("meta.hash") if armed else None) or 1,
        })
        alone = ("__new__", "__setattr__", "__getattribute__")
        made = [object, list, dict, set, tuple, str, int, Exception, collections.deque,
                collections.OrderedDict]
        classes = []
        for base in made:
            namespace = bombs(base.__name__, alone)
            namespace["__hash__"] = lambda self: (tripped.append("hash") if armed else None) or 1
            for name in ("__class__", "__dict__" if base is object else "__doc__", "__slots_"):
                namespace[name] = property(trip("property " + name))
            classes.append(Meta(f"My{base.__name__}", (base,), namespace))
        kept = []
        for cls in classes:
            kept += [cls() for _ in range(20)]
            globals()[f"held_{cls.__name__}"] = held = cls()  # a holder, and on the way to data
            held.data = bytes(200_000)
            kept[-1].data = bytes(200_000)
        del held
        kept.append(bytes(1_000_000))
        refs = [weakref.ref(one, trip("callback")) for one in kept if type(one) is classes[0]]
        def look(self, name):
            if armed:
                tripped.append("attribute " + name)
            return (type if isinstance(self, type) else object).__getattribute__(self, name)

        for cls in (*classes, Meta):
            type.__setattr__(cls, "__getattribute__", look)
        armed.append(1)
        taker = snapshots.Taker()
        told = {"first": taker.take()}
        os.environ["MEMPROBE_ENGINE"] = "fallback"
        told["other"] = snapshots.Taker().take()
        del armed[:]
        told["tripped"] = sorted(set(tripped))
        """
    )
    assert told["tripped"] == []
    assert told["first"]["engine"] == "native"
    assert told["other"]["engine"] == "fallback"
    for found in (told["first"]["bytes"], told["other"]["bytes"]):
        assert found["kept"] > 3_000_000
        for name in ("held_Myobject", "held_Mylist", "held_MyException"):
            assert found[name] == pytest.approx(200_000, rel=0.02)


LIBRARIES = {
    "numpy": "np.arange(9000.0)[::2], np.array([[], {}], object), np.ma.array([1, 2]),"
    " np.dtype('f4'), np.zeros(3, [('a', 'f8'), ('b', 'O')]),"
    " np.memmap(file, 'f8', 'w+', shape=(9,)), np.random.default_rng(1), np.nditer(np.zeros(9))",
    "pandas": "pd.DataFrame({'a': ['x', None], 'b': [1, 2]}), pd.Series(['u'], dtype='category'),"
    " pd.DataFrame({'a': [1, 1]}).groupby('a'), pd.MultiIndex.from_product([[1, 2], [3, 4]]),"
    " pd.Series([1.0]).rolling(2), pd.date_range('2020', periods=9, tz='UTC'), pd.NaT,"
    " pd.arrays.IntervalArray.from_breaks([1, 2]), pd.arrays.SparseArray([0, 1])",
    "pyarrow": "pa.table({'a': ['x'] * 99, 'b': [[1, 2]] * 99}), pa.array([{'a': 1}]),"
    " pa.chunked_array([[1], [2]]), pa.py_buffer(b'x' * 999), pa.BufferOutputStream(),"
    " pa.schema([('a', pa.int8())]), pa.scalar(5)",
    "polars": "pl.DataFrame({'a': ['x'] * 99}), pl.DataFrame({'a': [1]}).lazy(), pl.col('a') + 1,"
    " pl.Series([object()], dtype=pl.Object)",
    "sklearn": "RandomForestRegressor(3).fit([[1], [2]], [1, 2]), KDTree([[1.0], [2.0]])",
    "scipy": "sp.csr_matrix([[1, 0]]), cKDTree([[1.0, 2.0]])",
    "matplotlib": "Figure(), FigureCanvasAgg(Figure())",
    "sqlite3": "base, base.execute('select 1'), base.cursor()",
    "asyncio": "loop, loop.create_future(), asyncio.Queue(), loop.create_task(waits())",
    "lxml": "etree.fromstring('<a><b/></a>'), etree.XPath('//b')",
    "torch": "torch.zeros(9), torch.nn.Linear(3, 3)",
    "pyspark": "Row(a=1), StructType(), SparkConf(False)",
    "builtin": "iter([1]), re.compile('a+'), re.match('a', 'a'), decimal.Decimal(1),"
    " zlib.compressobj(), lzma.LZMACompressor(),"
    " hashlib.sha256(), ctypes.c_int(1), (ctypes.c_double * 99)(), ET.fromstring('<a><b/></a>'),"
    " mmap.mmap(-1, 9999), socket.socketpair(), ssl.create_default_context(),"
    " threading.local(), contextvars.copy_context(), pickle.Pickler(io.BytesIO()), csv.reader([]),"
    " random.Random(1), struct.Struct('i'), itertools.tee([1]), functools.lru_cache(len),"
    " zoneinfo.ZoneInfo('UTC'), uuid.uuid4(), weakref.WeakSet(), types.SimpleNamespace(a=1)",
}
IMPORTS = {
    "numpy": "import numpy as np; file = open('m', 'wb+')",
    "pandas": "import pandas as pd", "pyarrow": "import pyarrow as pa",
    "polars": "import polars as pl",
    "sklearn": "from sklearn.ensemble import *; from sklearn.neighbors import KDTree",
    "scipy": "import scipy.sparse as sp; from scipy.spatial import cKDTree",
    "matplotlib": "from matplotlib.figure import Figure;"
    " from matplotlib.backends.backend_agg import FigureCanvasAgg",
    "sqlite3": "import sqlite3; base = sqlite3.connect(':memory:')",
    "asyncio": "import asyncio; loop = asyncio.new_event_loop()\nasync def waits(): pass",
    "lxml": "from lxml import etree", "torch": "import torch",
    "pyspark": "from pyspark.sql import Row; from pyspark.sql.types import StructType;"
    " from pyspark import SparkConf",
    "builtin": "import re, decimal, zlib, hashlib, ctypes, mmap, socket, ssl, lzma, threading;"
    " import pickle, contextvars, io, csv, random, struct, itertools, functools, zoneinfo, uuid;"
    " import weakref, types, xml.etree.ElementTree as ET",
}  # fmt: skip


@pytest.mark.parametrize("library", LIBRARIES)
def test_objects_of_real_libraries_are_walked_and_left_as_they_were(
    program: Program, library: str
) -> None:
    if library != "builtin":
        pytest.importorskip(library, reason=f"{library} is not installed")
    code = f"""
{IMPORTS[library]}
import gc, snapshots, warnings
warnings.simplefilter("ignore")
kept = [{LIBRARIES[library]}]
taker = snapshots.Taker()
taker.take()  # what is needed for it is loaded
traces, counts = snapshots.Traces(), snapshots.References(kept)
told = taker.take()
told.update(left=traces.left(), changed=counts.changed())
if {library!r} == "asyncio":
    loop.run_until_complete(kept[-1])
    loop.close()
"""
    told = program(code)
    assert (told["engine"], told["note"]) == ("native", None)
    assert told["left"] == []
    assert told["changed"] == []
