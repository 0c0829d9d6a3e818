"""matplotlib's figures: what of them is walked, so that thirty of them fit into a pause.

Nine tenths of a figure's objects are fixtures: the ticks of its axes with their lines and labels,
the spines, the forms of markers. None of them holds the user's data, and all of them refer back
to their axes and figure. They are taken for one node each, and what they refer to is not asked
for references that were not met.
"""

from __future__ import annotations

import sys

from . import sizes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Bytes of one that come back to the system with its figure: measured with matplotlib 3.11.
_FIXTURES = (
    ("matplotlib.axis", "Tick", 12_000),
    ("matplotlib.spines", "Spine", 4_000),
    ("matplotlib.markers", "MarkerStyle", 800),
)
MANY_OPEN = 5  # figures from which on a script's end is looked at before they are closed
_REFERRED_TO = (
    ("matplotlib.axes._base", "_AxesBase"),
    ("matplotlib.axis", "Axis"),  # by the spines
    ("matplotlib.figure", "FigureBase"),
    ("matplotlib.backend_bases", "RendererBase"),  # by the texts of the labels
)


def fixture_bytes(cls: type) -> int | None:
    """Return about the bytes of a tick, spine or marker; None for all other classes."""
    for module, name, nbytes in _FIXTURES:
        if _is_a(cls, module, name):
            return nbytes
    return None


def is_referred_to_by_fixtures(cls: type) -> bool:
    """Whether fixtures, which are not walked, refer to the instances of ``cls``."""
    return any(_is_a(cls, module, name) for module, name in _REFERRED_TO)


def _is_a(cls: type, module: str, name: str) -> bool:
    # The module of the process itself: nothing is imported here.
    parent = vars(sys.modules[module]).get(name) if module in sys.modules else None
    return type(parent) is type and parent in sizes.mro(cls)


def open_figures() -> list[tuple[Any, Any]]:
    """Return ``(number, manager)`` of every figure that pyplot keeps."""
    helpers = sys.modules.get("matplotlib._pylab_helpers")
    figures = getattr(getattr(helpers, "Gcf", None), "figs", None)
    return [] if figures is None else list(figures.items())


class FigureCells:
    """Which cell opened each figure: by number and id, no figure is kept."""

    def __init__(self) -> None:
        self._cells: dict[tuple[Any, int], int | None] = {}

    def note(self, cell: int | None) -> None:
        """Take every figure that was not there before for one that ``cell`` opened."""
        now = [(number, id(manager)) for number, manager in open_figures()]
        self._cells = {key: self._cells.get(key, cell) for key in now}

    def cell_of(self, number: Any, manager: Any, running: int | None) -> int | None:
        """Return the cell that opened a figure: a new one is of the cell ``running``."""
        return self._cells.get((number, id(manager)), running)
