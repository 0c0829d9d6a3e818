r"""A small directed graph as Graphviz DOT, and as a picture where Graphviz's ``dot`` is there.

``dot`` is called directly: the ``graphviz`` package on PyPI would call the same program, which a
user has to install anyway, and would be one more dependency in the user's process.

In a quoted DOT string only ``\"`` is an escape of the language; in a label Graphviz itself reads
``\n``, ``\N``, ``\G`` and the like, and entities such as ``&amp;``. A user's name may hold any of
them, so all are spelled out.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

PROGRAM = "dot"
PATIENCE = 60.0  # seconds that drawing may take
LONGEST = 72  # characters of one line of a label

ROOT, OBJECT, HELD, SHARED, NOTE, CUT, PLAIN, UNKNOWN = (
    "root", "object", "held", "shared", "note", "cut", "plain", "unknown",
)  # fmt: skip
_NODES = {
    ROOT: 'shape=ellipse, style=filled, fillcolor="#e8e8e8"',
    OBJECT: 'shape=box, style=filled, fillcolor="#ffffff"',
    HELD: 'shape=box, style="filled,bold", fillcolor="#fff3d6"',
    SHARED: 'shape=box, style="filled,dashed", fillcolor="#eef4ff"',
    NOTE: 'shape=plaintext, fontcolor="#555555"',
}
_EDGES = {
    PLAIN: 'color="#333333"',
    CUT: 'color="#b42318", fontcolor="#b42318", penwidth=2',
    UNKNOWN: 'color="#777777", fontcolor="#555555", style=dashed',
}


class Missing(Exception):
    """There is no ``dot`` on this machine."""


class Failed(Exception):
    """``dot`` was there and did not draw; the text is its own complaint."""


class Drawing:
    """Nodes and edges in the order they were added; a node or edge is drawn once.

    Keys stand for nodes and are never shown. Labels and the caption are lines of text.
    """

    def __init__(self, *caption: str) -> None:
        self._caption = caption
        self._names: dict[object, str] = {}
        self._nodes: dict[object, tuple[list[str], str]] = {}
        self._edges: dict[tuple[object, object, tuple[str, ...]], str] = {}

    def __contains__(self, key: object) -> bool:
        return key in self._nodes

    def node(self, key: object, lines: Iterable[str], look: str | None = None) -> None:
        """Add a node, or lines to one that is there already.

        ``look`` is one of ROOT, OBJECT, HELD, SHARED and NOTE; without, it stays as it was.
        """
        known, before = self._nodes.get(key, ([], OBJECT))
        known += [line for line in lines if line and line not in known]
        self._nodes[key] = known, look or before
        self._names.setdefault(key, f"n{len(self._names)}")

    def edge(self, above: object, below: object, lines: Iterable[str], look: str = PLAIN) -> None:
        """Add an edge between two nodes that were added; ``look``: PLAIN, CUT or UNKNOWN."""
        self._edges.setdefault((above, below, tuple(filter(None, lines))), look)

    def text(self) -> str:
        """Return the graph as DOT."""
        return "\n".join(["digraph memprobe {", *self._settings(), *self._body(), "}", ""])

    def _settings(self) -> Iterable[str]:
        yield '  graph [fontname="Helvetica", fontsize=11, labelloc=b, nodesep=0.4, ranksep=0.45];'
        yield '  node [fontname="Helvetica", fontsize=11, margin="0.14,0.07"];'
        yield '  edge [fontname="Helvetica", fontsize=10, arrowsize=0.7];'
        if self._caption:
            yield f"  label={quoted(self._caption)};"

    def _body(self) -> Iterable[str]:
        for key, (lines, look) in self._nodes.items():
            yield f"  {self._names[key]} [label={quoted(lines)}, {_NODES[look]}];"
        for (above, below, words), look in self._edges.items():
            # Spaces keep the text clear of the line.
            label = f"label={quoted(f' {line} ' for line in words)}, " if words else ""
            yield f"  {self._names[above]} -> {self._names[below]} [{label}{_EDGES[look]}];"


def quoted(lines: Iterable[str]) -> str:
    r"""Return lines of text as one quoted string of DOT: what is shown is what was given.

    What a terminal or a parser would obey is spelled out: a line break within a line is ``\n``.
    """
    return '"' + "\\n".join(map(_escaped, lines)) + '"'


def _escaped(line: str) -> str:
    plain = shortened("".join(map(_shown, line)))
    return plain.replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;")


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape").decode("ascii")


def shortened(text: str, most: int = LONGEST) -> str:
    """Return ``text`` in at most ``most`` characters; its ends tell the most."""
    if len(text) <= most:
        return text
    tail = (most - 1) // 2
    return text[: most - 1 - tail] + "…" + text[len(text) - tail :]


def render(text: str, kind: str) -> bytes:
    """Return DOT ``text`` drawn as ``kind``: ``svg``, ``png`` or ``pdf``.

    Raises Missing where there is no Graphviz, Failed where it does not draw.
    """
    import shutil
    import subprocess

    program = shutil.which(PROGRAM)
    if program is None:
        raise Missing(f"there is no program `{PROGRAM}` on the PATH")
    try:
        done = subprocess.run(
            [program, f"-T{kind}"], input=text.encode(), capture_output=True, timeout=PATIENCE,
            check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failed(str(error)) from None
    if done.returncode or not done.stdout:
        complaint = done.stderr.decode(errors="replace").strip().splitlines()
        raise Failed(complaint[-1] if complaint else f"`{PROGRAM}` ended with {done.returncode}")
    return done.stdout
