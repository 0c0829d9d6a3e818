"""The pages of the documentation as they are installed: ``memprobe explain PAGE`` shows them."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent
# In the wheel the pages lie inside the package; in a clone, beside its sources.
_FOLDERS = (_HERE / "docs", _HERE.parents[1] / "docs")
_NOT_PAGES = frozenset({"README.md"})
_INNER = ("rules", "decisions")  # rules are explained by their own docstrings


def pages() -> dict[str, Path]:
    """Return name → file of every page: ``attach``, ``configuration``; empty: none installed."""
    for folder in _FOLDERS:
        found = sorted(folder.rglob("*.md")) if folder.is_dir() else []
        if found:
            return {page.stem: page for page in found if _is_page(page.relative_to(folder))}
    return {}


def page_name(path: str) -> str:
    """Return what to ask ``memprobe explain`` for: ``verbs/attach.md`` is ``attach``."""
    return "" if path.startswith("rules/") else Path(path).stem


def _is_page(path: Path) -> bool:
    return path.name not in _NOT_PAGES and path.parts[0] not in _INNER
