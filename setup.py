"""The one thing pyproject.toml cannot say: the pages in ``docs/`` belong into the package."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

PAGES = Path("docs")


class BuildWithPages(build_py):
    """Copies the Markdown pages to ``memprobe/docs``; an editable install reads them in place."""

    def run(self) -> None:
        """Build as ever, then add the pages."""
        super().run()
        if self.editable_mode or not PAGES.is_dir():
            return
        for page in PAGES.rglob("*.md"):
            target = Path(self.build_lib, "memprobe", page)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(page, target)


setup(cmdclass={"build_py": BuildWithPages})
