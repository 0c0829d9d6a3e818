"""What a user is given, built once for all tests: a source package, and the wheel made from it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from building import built, obstacle

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a build needs, so that building leaves nothing in the repository."""
    copy = tmp_path_factory.mktemp("tree")
    litter = shutil.ignore_patterns("*.egg-info", "__pycache__", "*.so")
    for name in ("src", "probes", "docs"):
        shutil.copytree(ROOT / name, copy / name, ignore=litter)
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    return copy


@pytest.fixture(scope="session")
def packages(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source package and the wheel; where one can be built, with the walker."""
    out = tmp_path_factory.mktemp("packages")
    built(tree, out, MEMPROBE_REQUIRE_WALKER="" if obstacle() else "1")
    return out


@pytest.fixture(scope="session")
def wheel(packages: Path) -> Path:
    """The wheel that was built from the source package."""
    (found,) = packages.glob("*.whl")
    return found
