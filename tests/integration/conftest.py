"""What a user is given, built once for all tests: a source package, and the wheel made from it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
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


@pytest.fixture
def cgroup() -> Iterator[Callable[[int], Path]]:
    """Make a memory cgroup (v1 or v2) with a limit in bytes, for what one test starts."""
    places = [Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")]
    limits = {"memory.limit_in_bytes": places[0], "memory.max": places[1]}
    made: list[Path] = []

    def make(limit: int) -> Path:
        for name, place in limits.items():
            group = place / f"memprobe-test-{os.getpid()}"
            try:
                group.mkdir()
                made.append(group)
                (group / name).write_text(str(limit))
                return group
            except OSError:
                continue
        pytest.skip("no memory cgroup can be made here (needs root and a writable cgroup mount)")

    yield make
    for group in made:
        group.rmdir()
