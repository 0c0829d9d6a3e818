"""Writing a graph: as DOT to stdout or a file, as a picture where Graphviz is installed."""

from __future__ import annotations

from pathlib import PurePath

from memprobe.cli.output import emit, write_file
from memprobe.errors import MemprobeError, UsageError

TEXTS = (".dot", ".gv")
PICTURES = (".svg", ".png", ".pdf")
_DOCS = "verbs/report.md"


def refuse_unknown_kind(path: str | None) -> None:
    """Raise UsageError where the end of ``path`` is none that can be written."""
    if path in (None, "-") or _ending(path) in TEXTS + PICTURES:
        return
    raise UsageError(
        f"cannot draw {path}",
        cause="its name ends in none of " + " ".join(TEXTS + PICTURES),
        remedy="end it in .dot for the text of the graph, in .svg or .png for a picture",
        docs=_DOCS,
    )


def write(text: str, path: str | None) -> None:
    """Write DOT ``text`` to ``path``, drawn where its name asks for a picture; None is stdout.

    Raises MemprobeError where there is no Graphviz, or it or the disk fails.
    """
    if path is None or path == "-":
        emit(text)
    elif _ending(path) in TEXTS:
        write_file(path, text)
    else:
        write_file(path, _picture(text, path))


def _picture(text: str, path: str) -> bytes:
    from memprobe_probes import dot

    try:
        return dot.render(text, _ending(path)[1:])
    except dot.Missing as error:
        raise MemprobeError(
            f"cannot draw {path}: Graphviz is not installed",
            cause=str(error),
            remedy="install it (apt install graphviz, brew install graphviz, conda install "
            f"graphviz), or write its text: -o {PurePath(path).with_suffix('.dot')}",
            docs=_DOCS,
        ) from None
    except dot.Failed as error:
        raise MemprobeError(
            f"Graphviz could not draw {path}",
            cause=str(error),
            remedy=f"write its text: -o {PurePath(path).with_suffix('.dot')}",
            docs=_DOCS,
        ) from None


def _ending(path: str | None) -> str:
    return PurePath(path or "").suffix.lower()
