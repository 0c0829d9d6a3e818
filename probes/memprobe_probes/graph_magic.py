"""``%memprobe graph NAME``: what keeps a live object, as a picture or as lines of text."""

from __future__ import annotations

from . import bootstrap, chains, dot, named_object, sizes
from .describe import describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from .chains import Found, Way

USAGE = "usage: %memprobe graph NAME, such as df, Out[7] or store.frames"
NO_OBJGRAPH = (
    "memprobe: %memprobe graph needs objgraph where this kernel runs: %pip install objgraph"
)
NO_GRAPHVIZ = "for a picture, install Graphviz where this kernel runs: it has no program `dot`"
MOST_EXPRS = 3  # of a root in one line
_KINDS = {
    chains.LOST: "no name leads here: a cycle that waits for the collector, or C code",
    "ipython-output": "IPython output history",
    "traceback": "last exception",
    "frame": "running frame",
    "figure": "open figure",
}


def show(shell: Any, name: str) -> None:
    """Show the graph below the cell: a picture where Graphviz is, with the text beside it.

    Databricks shows HTML through ``displayHTML``, which it puts into the namespace.
    """
    try:
        text, picture = _told(shell, name)
    except Exception as error:
        text, picture = f"memprobe: the graph could not be made: {type(error).__name__}", None
    rich = shell.user_ns.get("displayHTML")
    if picture is None:
        print(text)
    elif callable(rich):
        rich(picture)
    else:
        shell.display_pub.publish({"text/plain": text, "image/svg+xml": picture})


def _told(shell: Any, name: str) -> tuple[str, str | None]:
    """Return what keeps an object, as text and as SVG; nothing refers to it afterwards."""
    if not name:
        return USAGE, None
    if chains.load_objgraph() is None:
        return NO_OBJGRAPH, None
    probe = bootstrap.active()
    hooks = probe.hooks if probe is not None else None
    search = chains.Search(shell, hooks.waiting if hooks is not None else None)
    try:
        target = named_object.find(shell.user_ns, name)
        found = search.ways_to(target)
    except named_object.Unknown as error:
        return f"memprobe: {error}", None
    told = _facts(target)
    del target
    text = "\n".join(as_text(name, told, found))
    try:
        picture = dot.render(as_drawing(name, told, found).text(), "svg").decode()
    except dot.Missing:
        return f"{text}\n({NO_GRAPHVIZ})", None
    except dot.Failed as error:
        return f"{text}\n(Graphviz could not draw it: {error})", None
    return text, picture[picture.index("<svg") :]


def _facts(target: Any) -> str:
    """Return ``pandas.DataFrame 1,000 × 10``: type and extent."""
    known = describe(target)
    extent = " × ".join(f"{axis:,}" for axis in known.get("shape") or ())
    if not extent and known.get("length") is not None:
        extent = f"{known['length']:,} items"
    return f"{sizes.type_name(type(target))} {extent}".strip()


def as_text(name: str, facts: str, found: Found) -> Iterator[str]:
    """Yield a line per way, below the kind of its root."""
    yield f"{name}: {facts}"
    kinds = list(dict.fromkeys(way.root for way in found.ways))
    for kind in kinds:
        yield f"├─ {_kind(kind)}"
        for way in found.ways:
            if way.root == kind:
                yield f"│    {_line(way)}"
    yield from (f"├─ {remark}" for remark in _remarks(found))
    yield f"╰→ {facts}"


def as_drawing(name: str, facts: str, found: Found) -> dot.Drawing:
    """Return the ways as a graph: roots above, the object at its end."""
    drawing = dot.Drawing(f"memprobe · what keeps {name} now")
    drawing.node(found.target, [facts], dot.HELD)
    for way in found.ways:
        above: object = ("root", way.root)
        drawing.node(above, [_kind(way.root)], dot.ROOT if way.exprs else dot.NOTE)
        edges = [_exprs(way), *([hop.edge] for hop in way.hops[1:])]
        for number, (hop, words) in enumerate(zip(way.hops, edges)):
            if hop.id != found.target:
                drawing.node(hop.id, [hop.type])
            drawing.edge(above, hop.id, words, dot.PLAIN if number or way.exprs else dot.UNKNOWN)
            above = hop.id
    for remark in _remarks(found):
        drawing.node(remark, [remark], dot.NOTE)
        drawing.edge(remark, found.target, [], dot.UNKNOWN)
    return drawing


def _line(way: Way) -> str:
    start = ", ".join(_exprs(way)) or way.hops[0].type
    steps = [f"{hop.edge} → {hop.type}" for hop in way.hops[1:]]
    first = f"{start} → {way.hops[0].type}" if way.exprs else start
    return "  ".join([first, *steps])


def _exprs(way: Way) -> list[str]:
    more = len(way.exprs) - MOST_EXPRS
    return way.exprs[:MOST_EXPRS] + ([f"and {more} more"] if more > 0 else [])


def _kind(root: str) -> str:
    return _KINDS.get(root) or root.replace("-", " ")


def _remarks(found: Found) -> Iterator[str]:
    if found.more:
        yield f"and {found.more:,} more that refer to it"
    if found.unseen:
        times = "reference" if found.unseen == 1 else "references"
        yield f"{found.unseen:,} {times} of C code or of a library that nothing here can see"
    if found.cut_short:
        yield f"the search was cut short after {chains.PATIENCE:.0f} s"
