"""The tools, each as one call in the target: what it takes to know what there is, and who keeps it.

    seen = TOOLS["guppy3"](names, namespace)

A tool is asked for what its documentation shows first, nothing more; what else it can say is asked
afterwards by ``exclusive``, outside of the time. No import of a tool counts.
"""

from __future__ import annotations

import gc
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Namespace = dict[str, Any]


@dataclass
class Seen:
    """What a tool saw: objects, texts, bytes per name; None where it does not say."""

    objects: int | None = None
    texts: int | None = None
    exclusive: dict[str, int] | None = None
    details: dict[str, Any] = field(default_factory=dict)


class Failed(Exception):
    """A tool did not do what it is measured for: why."""


class Tool:
    """One tool in one target. ``prepare`` runs before anything is measured."""

    def __init__(self, namespace: Namespace) -> None:
        self.namespace = namespace
        self.names: list[str] = []  # those to begin with, for a tool that is told where

    def take(self) -> Any:
        """Do what is measured."""

    def read(self, answer: Any, names: list[str]) -> Seen:
        """Say what the answer says, outside of the time."""
        return Seen()


class Nothing(Tool):
    """The control: a thread that waits. What stands still now does so without any tool."""

    def take(self) -> Any:
        time.sleep(1)


class Memprobe(Tool):
    """A probe's own snapshot, as ``memprobe snapshot`` asks for it; the record is read back."""

    engine, max_pause = "native", 0.25

    def __init__(self, namespace: Namespace) -> None:
        super().__init__(namespace)
        os.environ["MEMPROBE_ENGINE"] = self.engine
        from memprobe_probes import bootstrap, measure

        self._folder = tempfile.TemporaryDirectory(prefix="memprobe-snapshot-")
        self._spool = os.path.join(self._folder.name, "spool.memprobe")
        context = "notebook" if "get_ipython" in namespace else "script"
        settings = {"context": context, "spool": self._spool, "session": "benchmark",
                    "max_pause": self.max_pause, "cap": 1 << 30}  # fmt: skip
        self._probe = measure.Probe({**bootstrap._DEFAULTS, **settings})
        self._notes: dict[str, Any] = {}
        self._listen()

    def take(self) -> Any:
        self._notes["started"] = time.perf_counter()
        self._notes["cpu"] = time.thread_time()
        self._probe.snapshot("request")
        engines = self._probe._engines
        if engines.engine != self.engine:
            raise Failed(engines.note or "no snapshot was taken")

    def read(self, answer: Any, names: list[str]) -> Seen:
        import json

        with open(self._spool, encoding="utf-8") as lines:
            records = [json.loads(line) for line in lines]
        record = [one for one in records if one["kind"] == "snapshot"][-1]
        errors = [one["detail"] for one in records if one["kind"] == "event"]
        if "skipped" in record or record["engine"] != self.engine:
            raise Failed(record.get("skipped") or record["engine_note"])
        types = {row["type"]: row["count"] for row in record["types"]}
        details = {"pause_ns": record["pause_ns"], "errors": errors, **self._measured()}
        return Seen(record["objects"], types.get("str", 0), _alone(record, names), details)

    def _listen(self) -> None:
        """Note when the copy was made, and what the walker says of itself."""
        from memprobe_probes import native, native_child

        notes, child, answer = self._notes, native.Child, native.Answer

        def noted_child(*given: Any) -> Any:
            began = time.perf_counter()
            made = child(*given)
            notes["copied"] = (began, time.perf_counter(), time.thread_time())
            return made

        def noted_answer(content: bytes) -> Any:
            notes["answer"] = answer(content)
            return notes["answer"]

        native.Child = noted_child  # type: ignore[assignment,misc]
        native.Answer = native_child.Answer = noted_answer  # type: ignore[assignment,misc]

    def _measured(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if "copied" in self._notes:
            began, ended, cpu = self._notes["copied"]
            found["prepared"] = ended - self._notes["started"]
            found["prepared_cpu"] = cpu - self._notes["cpu"]
            found["cloned"] = ended - began
        answer = self._notes.get("answer")
        if answer is not None:
            names = ("objects", "edges", "nodes", "walk_ns", "total_ns", "memory")
            found["walker"] = {name: getattr(answer, name) for name in names}
        return found


class MemprobeHere(Memprobe):
    """The native walk in the process itself: what a copy saves the program. No probe does this."""

    def __init__(self, namespace: Namespace) -> None:
        super().__init__(namespace)
        from memprobe_probes import native, native_walker

        walker, reason = native_walker.load()
        if walker is None:
            raise Failed(reason)
        self._native = native.Native(walker)

    def take(self) -> Any:
        from memprobe_probes import roots

        found = self._probe.look(at_exit=False)
        return self._native.here(found, roots.stop_ids(self._probe.shell), (), 10**12)

    def read(self, answer: Any, names: list[str]) -> Seen:
        types = {row["type"]: row["count"] for row in answer["types"]}
        alone = _alone(answer, names)
        return Seen(answer["objects"], types.get("str", 0), alone, self._measured())


class MemprobeFallback(Memprobe):
    """The walk in Python, where there is no native walker; its pause is not bounded here."""

    engine, max_pause = "fallback", 3600.0


class Guppy(Tool):
    """``hpy().heap()`` and its table."""

    def __init__(self, namespace: Namespace) -> None:
        super().__init__(namespace)
        from guppy import hpy

        self._hp = hpy()

    def take(self) -> Any:
        start = time.perf_counter()
        heap = self._hp.heap()
        found = time.perf_counter() - start
        return heap, str(heap), found

    def read(self, answer: Any, names: list[str]) -> Seen:
        heap, _, found = answer
        if not names:
            return Seen(details={"heap_alone": found})
        texts = (heap & str).count
        start = time.perf_counter()
        alone = {name: self._hp.iso(self.namespace[name]).domisize for name in names}
        details = {"heap_alone": found, "domisize": time.perf_counter() - start}
        return Seen(heap.count, texts, alone, details)


class Muppy(Tool):
    """Pympler's ``muppy.get_objects`` and ``summary.summarize``."""

    def __init__(self, namespace: Namespace) -> None:
        super().__init__(namespace)
        from pympler import muppy, summary

        self._muppy, self._summary = muppy, summary

    def take(self) -> Any:
        return self._summary.summarize(self._muppy.get_objects())

    def read(self, answer: Any, names: list[str]) -> Seen:
        counts = {name: count for name, count, _ in answer}
        return Seen(sum(counts.values()), counts.get("str", 0))


class Asizeof(Tool):
    """Pympler's ``asizeof`` of every name: what it reaches, whoever else keeps that."""

    def __init__(self, namespace: Namespace) -> None:
        super().__init__(namespace)
        from pympler import asizeof

        self._asizeof = asizeof

    def take(self) -> Any:
        sizer = self._asizeof.Asizer()
        sizes = {name: sizer.asizeof(self.namespace[name]) for name in self.names}
        return sizes, sizer.total, len(sizer._seen)

    def read(self, answer: Any, names: list[str]) -> Seen:
        return Seen(answer[2], None, None, {"reached": answer[0]})


class Objgraph(Tool):
    """``objgraph.most_common_types``: objects that the collector tracks, by type."""

    def __init__(self, namespace: Namespace) -> None:
        super().__init__(namespace)
        import objgraph

        self._objgraph = objgraph

    def take(self) -> Any:
        return self._objgraph.most_common_types(limit=100_000)

    def read(self, answer: Any, names: list[str]) -> Seen:
        counts = dict(answer)
        return Seen(sum(counts.values()), counts.get("str", 0))


class Referents(Tool):
    """A breadth-first walk by ``gc.get_referents`` from the names, in twelve lines of Python."""

    def take(self) -> Any:
        seen: set[int] = set()
        pending = [self.namespace[name] for name in self.names]
        modules = {id(self.namespace), id(type), id(object)}
        texts = 0
        while pending:
            below = []
            for obj in pending:
                if id(obj) in seen or id(obj) in modules:
                    continue
                seen.add(id(obj))
                texts += type(obj) is str
                below += gc.get_referents(obj)
            pending = below
        return len(seen), texts

    def read(self, answer: Any, names: list[str]) -> Seen:
        return Seen(*answer)


def _alone(record: dict[str, Any], names: list[str]) -> dict[str, int]:
    """Return per name the bytes of the groups that it alone holds."""
    exprs = {holder["id"]: holder["expr"] for holder in record["holders"]}
    found = dict.fromkeys(names, 0)
    for group in record["groups"]:
        holders = {exprs[one] for one in group["holders"]}
        if len(holders) == 1 and holders <= set(names):
            found[holders.pop()] += group["bytes"]
    return found


TOOLS: dict[str, Callable[[Namespace], Tool]] = {
    "nothing": Nothing,
    "memprobe native": Memprobe,
    "memprobe in the process": MemprobeHere,
    "memprobe fallback": MemprobeFallback,
    "guppy3": Guppy,
    "pympler muppy": Muppy,
    "pympler asizeof": Asizeof,
    "objgraph": Objgraph,
    "gc.get_referents": Referents,
}
