"""The tools of the comparison, and what each is asked at the end of a notebook, as its docs say.

``before`` runs ahead of the first cell, ``after`` behind the last one, both in the notebook's own
kernel, the way a user would type them there but without an execution count. ``{type}`` is the
leaked object's type and ``{short}`` that without its module: some tools explain the objects of a
type one asks about, and are told the right one.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tool:
    """One tool and how it is driven."""

    name: str
    made_for: str
    asked: str  # the documented calls, for the page
    told: str  # what it is told beforehand
    stops: str  # whether the program waits while it works
    before: str = ""
    after: str = ""
    around: str = ""  # the command that runs the kernel's own module


GUPPY = Tool(
    name="guppy3",
    made_for="looking into a live heap, interactively",
    asked="`setrelheap()` first; `heap()`, `.byrcs`; `.byid`, `.sp`, `.rp` of the 3 largest "
    "objects of the largest kind",
    told="nothing",
    stops="yes",
    before="from guppy import hpy\nhp = hpy()\nhp.setrelheap()",
    after="""
heap = hp.heap()
print(heap)
print(heap.byrcs)
for rank in range(min(3, heap[0].count)):
    print(heap[0].byid[rank])
    print(heap[0].byid[rank].sp)
    print(heap[0].byid[rank].rp)
""",
)

OBJGRAPH = Tool(
    name="objgraph",
    made_for="drawing what refers to an object",
    asked="`show_growth()` first and last; `show_most_common_types()`; `by_type(T)`, "
    "`find_backref_chain` and `show_chain` of its 3 largest objects, with sizes",
    told="the type",
    stops="yes",
    before="import objgraph\nobjgraph.show_growth(limit=1)",
    after="""
objgraph.show_growth(limit=12)
objgraph.show_most_common_types(limit=12)

def explain():
    import sys
    # In a function: a name of the notebook's own would hold what it is to explain.
    for found in sorted(objgraph.by_type('{short}'), key=sys.getsizeof)[-3:]:
        chain = objgraph.find_backref_chain(found, objgraph.is_proper_module)
        objgraph.show_chain(chain, output=sys.stdout, extra_info=sys.getsizeof)

explain()
""",
)

PYMPLER = Tool(
    name="pympler",
    made_for="sizes of objects, and their growth by type",
    asked="`SummaryTracker` around it; `muppy` with `summary`; `asizeof` and `refbrowser` of the "
    "3 largest objects of the type",
    told="the type",
    stops="yes",
    before="from pympler.tracker import SummaryTracker\ntracker = SummaryTracker()",
    after="""
import importlib
from pympler import asizeof, muppy, refbrowser, summary
tracker.print_diff()
everything = muppy.get_objects()
summary.print_(summary.summarize(everything))
kind = getattr(importlib.import_module('{type}'.rpartition('.')[0]), '{short}')
for found in muppy.sort(muppy.filter(everything, Type=kind))[-3:]:
    print(asizeof.asized(found, detail=1).format())
    try:
        refbrowser.ConsoleBrowser(found, maxdepth=3).print_tree()
    except ValueError as error:
        print(error)
""",
)

LEAK_HUNTER = Tool(
    name="python-leak-hunter",
    made_for="growth per call in services, and a test against it",
    asked="`why_alive(T)`; `measure_growth` wants a unit of work that may be repeated: not used",
    told="the type",
    stops="yes",
    after="from leak_hunter import why_alive\nprint(why_alive('{type}').format())",
)

MEMALOT = Tool(
    name="memalot",
    made_for="objects that outlive their time, in tests and development",
    asked="`start_leak_monitoring(max_object_lifetime=2, included_type_names={T}, "
    "compute_size_in_leak_summary=True)`, at most 20 s for an object's referrers; at the end 3 "
    "more of its reports, or a minute",
    told="the type",
    stops="slowed down: it works on a thread",
    before="""
import memalot, time
memalot_says = []
monitor = memalot.start_leak_monitoring(
    max_object_lifetime=2.0, included_type_names={{'{short}'}}, output_func=memalot_says.append,
    save_reports=False, compute_size_in_leak_summary=True, referrers_search_timeout=20.0)
time.sleep(4)
""",
    after="""
import time
until, reports = time.monotonic() + 60, len(memalot_says)
while time.monotonic() < until and ''.join(memalot_says[reports:]).count('Report ID') < 3:
    time.sleep(0.5)
monitor.stop()
print('\\n'.join(memalot_says))
""",
)

MEMRAY = Tool(
    name="memray",
    made_for="where memory was allocated, natively too",
    asked="the kernel under `memray run --trace-python-allocators`; "
    "`memray transform csv --leaks`, the 20 largest rows",
    told="to be there from the start",
    stops="no, slowed down",
    around="memray run --quiet --force --trace-python-allocators --output {output}",
)

TOOLS = (MEMRAY, GUPPY, OBJGRAPH, PYMPLER, LEAK_HUNTER, MEMALOT)
