"""Real Spark for tests: clusters on the loopback interface, and kernels whose cells use them.

Everything that is started here is ended, and is seen to be gone. One cluster serves a module.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pyspark
import pytest
from kernels import Kernel

INSTALLED = Path(pyspark.__file__).parent
SPARK = tuple(int(part) for part in pyspark.__version__.split(".")[:2])
PATIENCE = 60.0  # seconds until a test gives up on an event
NO_JAVA = "Spark needs Java 17 or newer (Debian: apt-get install openjdk-17-jre-headless)"

# A driver that starts soon and keeps to two cores; nobody else's settings come into it.
DEFAULTS = {
    "spark.driver.memory": "1g",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1",
    "spark.executor.extraJavaOptions": "-XX:TieredStopAtLevel=1",
    "spark.executor.memory": "512m",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.sql.shuffle.partitions": "2",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}
LOG = """
rootLogger.level = {level}
rootLogger.appenderRef.stderr.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.target = SYSTEM_ERR
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %c{{1}}: %m%n
"""


def java() -> str:
    """Return the Java that Spark takes. Without one the test fails: it is not to be missed."""
    import shutil

    home = os.environ.get("JAVA_HOME")
    found = shutil.which(os.path.join(home, "bin", "java") if home else "java")
    if found is None:
        pytest.fail(NO_JAVA, pytrace=False)
    return found


@dataclass(frozen=True)
class Cluster:
    """Where sessions can be had: ``master`` for classic ones, ``remote`` for Spark Connect."""

    folder: Path
    master: str | None = None
    remote: str | None = None
    workers: tuple[psutil.Process, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)

    def session(self, **settings: str) -> str:
        """Return the source of a cell that makes ``spark``, and ``sc`` where there is one."""
        where = f".remote({self.remote!r})" if self.remote else f".master({self.master!r})"
        more = "".join(f".config({name!r}, {value!r})" for name, value in settings.items())
        lines = [
            "import warnings; warnings.simplefilter('ignore', FutureWarning)",
            "from pyspark.sql import SparkSession",
            f"spark = SparkSession.builder.appName('memprobe test'){where}{more}.getOrCreate()",
        ]
        return "\n".join(lines if self.remote else [*lines, "sc = spark.sparkContext"])

    @contextlib.contextmanager
    def kernel(self, folder: Path, **environment: str) -> Iterator[Kernel]:
        """A kernel that can make sessions; its JVMs have ended when this has."""
        folder.mkdir(exist_ok=True)
        with Kernel(folder, {**self.environment, **environment}) as kernel:
            process = psutil.Process(kernel.pid)
            try:
                yield kernel
            finally:
                below = process.children(recursive=True) if process.is_running() else []
        gone_or_killed(below)


def environment(folder: Path) -> dict[str, str]:
    """Return the environment of a driver whose files are in ``folder`` and nowhere else."""
    java()
    return {
        **os.environ,
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_HOME": str(_home(folder)),
        "SPARK_CONF_DIR": str(_configuration(folder, "error")),
        "SPARK_LOCAL_DIRS": str(folder),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }


def local(folder: Path, cores: int = 2) -> Cluster:
    """The driver's JVM does everything."""
    return Cluster(folder, f"local[{cores}]", environment=environment(folder))


def local_cluster(folder: Path, executors: int = 2) -> Cluster:
    """Executors in JVMs of their own, started by the driver's JVM."""
    return Cluster(folder, f"local-cluster[{executors},1,1024]", environment=environment(folder))


@contextlib.contextmanager
def standalone(folder: Path, workers: int = 2) -> Iterator[Cluster]:
    """A master and workers that are processes of their own, on ports that they choose."""
    own = environment(folder)
    place = ["--host", "127.0.0.1", "--port", "0", "--webui-port", "0"]
    with contextlib.ExitStack() as stack:
        master = stack.enter_context(
            server("org.apache.spark.deploy.master.Master", *place, folder=folder, name="master")
        )
        url = master.told(r"Starting Spark master at (spark://127\.0\.0\.1:\d+)")
        master.told("New state: (ALIVE)")
        started = [
            stack.enter_context(
                server(
                    "org.apache.spark.deploy.worker.Worker", *place, "--cores", "1",
                    "--memory", "1g", "--work-dir", str(folder / name), url,
                    folder=folder, name=name,
                )
            )
            for name in (f"worker-{number}" for number in range(workers))
        ]  # fmt: skip
        for worker in started:
            worker.told("(Successfully registered) with master")
        yield Cluster(folder, url, workers=tuple(w.process for w in started), environment=own)


@contextlib.contextmanager
def connect(folder: Path) -> Iterator[Cluster]:
    """A Spark Connect server that is a process of its own. Skips where it cannot be had."""
    if SPARK < (4, 0):
        pytest.skip("pyspark before 4.0 does not bring the Connect server")
    pytest.importorskip("grpc", reason="Spark Connect needs grpcio: pip install 'pyspark[connect]'")
    settings = {
        **DEFAULTS,
        "spark.master": "local[2]",
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": "0",
    }
    options = [word for name, value in settings.items() for word in ("--conf", f"{name}={value}")]
    serves = "org.apache.spark.sql.connect.service.SparkConnectServer"
    submit = "org.apache.spark.deploy.SparkSubmit"
    with server(
        submit, "--class", serves, *options, "spark-internal", folder=folder, name="connect"
    ) as running:
        port = running.told(r"Spark Connect server started at: \S*:(\d+)")
        yield Cluster(folder, remote=f"sc://127.0.0.1:{port}", environment=environment(folder))


@dataclass(frozen=True)
class Server:
    """A JVM of ours, and what it has logged."""

    process: psutil.Process
    log: Path

    def told(self, pattern: str) -> str:
        """Wait until the log has a line with ``pattern``; return its first group."""
        found: list[str] = []

        def look() -> bool:
            text = self.log.read_text(errors="replace")
            match = re.search(pattern, text)
            assert match or self.process.is_running(), text
            found[:] = [match.group(1)] if match else []
            return bool(match)

        until(look, f"{pattern} in {self.log}")
        return found[0]


@contextlib.contextmanager
def server(main: str, *arguments: str, folder: Path, name: str) -> Iterator[Server]:
    """A class of Spark's jars as a process of its own, ended with all that it has started."""
    log = folder / f"{name}.log"
    own = folder / f"of-{name}"
    own.mkdir()
    places = [str(_configuration(own, "info")), f"{INSTALLED}/jars/*"]
    line = [
        java(), "-Xmx1g", "-XX:TieredStopAtLevel=1", "-cp", os.pathsep.join(places),
        "--add-opens=java.base/java.nio=ALL-UNNAMED",
        "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
        "-Dspark.master.rest.enabled=false", main, *arguments,
    ]  # fmt: skip
    with log.open("wb") as output:
        child = subprocess.Popen(
            line, env={**environment(own), "SPARK_SCALA_VERSION": _scala()}, cwd=own,
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    process = psutil.Process(child.pid)
    try:
        yield Server(process, log)
    finally:
        below = process.children(recursive=True) if process.is_running() else []
        child.terminate()
        try:
            child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        gone_or_killed(below)


def gone_or_killed(processes: list[psutil.Process], patience: float = 20.0) -> None:
    """Wait until these have ended; kill what has not, and fail."""
    _, left = psutil.wait_procs(processes, patience)
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, patience)
    assert not left, f"were still running: {left}"


def until(met: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
    """Wait until ``met()`` is true; fail with ``what`` otherwise."""
    deadline = time.monotonic() + patience
    while not met():
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(0.05)


def java_below(pid: int, mentions: str = "org.apache.spark.") -> list[psutil.Process]:
    """Return the JVMs below a process whose command line mentions something."""
    return [
        process
        for process in psutil.Process(pid).children(recursive=True)
        if process.name() == "java" and any(mentions in word for word in process.cmdline())
    ]


def executors_below(pid: int) -> list[psutil.Process]:
    """Return the executors' JVMs below a process."""
    return java_below(pid, "CoarseGrainedExecutorBackend")


def driver_jvm(kernel: Kernel) -> psutil.Process:
    """Return the JVM of a kernel's session, as its own gateway knows it."""
    (found,) = [p for p in java_below(kernel.pid) if p.ppid() == kernel.pid]
    return found


def _scala() -> str:
    """Return the version of Scala that Spark was built with; its scripts set that for it."""
    (core,) = (INSTALLED / "jars").glob("spark-core_*.jar")
    return core.name.split("_")[1].split("-")[0]


def _home(folder: Path) -> Path:
    """Return a copy of Spark's folder made of links: what Spark leaves in it stays with us."""
    home = folder / "spark-home"
    if not home.exists():
        home.mkdir()
        for entry in INSTALLED.iterdir():
            if entry.name not in ("work", "logs"):
                (home / entry.name).symlink_to(entry)
    return home


def _configuration(folder: Path, level: str) -> Path:
    """Return a folder of settings, whose log on stderr has records of this level or worse."""
    place = folder / f"conf-{level}"
    if not place.exists():
        place.mkdir()
        settings = {**DEFAULTS, "spark.sql.warehouse.dir": str(folder / "warehouse")}
        lines = "".join(f"{name} {value}\n" for name, value in settings.items())
        (place / "spark-defaults.conf").write_text(lines)
        (place / "log4j2.properties").write_text(LOG.format(level=level))
    return place
