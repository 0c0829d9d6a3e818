"""What pyproject.toml cannot say: the pages in the package, and a C extension that may be missing.

The native walker is one extension for every CPython from 3.10 (the stable ABI). Where it cannot be
built the package works without it, and then the wheel must not claim to be for one ABI.
``MEMPROBE_REQUIRE_WALKER=1`` in the environment makes a walker that does not compile an error.
"""

import contextlib
import os
import shutil
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

PAGES = Path("docs")
PROBES = Path("probes", "memprobe_probes")
LIMITED_API = 0x030A0000  # 3.10
PLATFORMS = ("linux-x86_64", "linux-aarch64")


def walker() -> list[Extension]:
    """Return the native walker, or nothing for an interpreter it is not made for."""
    fits = sys.implementation.name == "cpython" and not sysconfig.get_config_var("Py_GIL_DISABLED")
    if not fits or sys.maxsize < 2**32 or sysconfig.get_platform() not in PLATFORMS:
        return []
    extension = Extension(
        "memprobe_probes.walker",
        sources=[str(PROBES / "walker.c"), *sorted(map(str, PROBES.glob("native/*.c")))],
        depends=["setup.py", *sorted(map(str, PROBES.glob("native/*.h")))],
        define_macros=[("Py_LIMITED_API", hex(LIMITED_API))],
        # No debug information: it is four times the code, and tells the folders of this machine.
        extra_compile_args=["-std=c11", "-O3", "-g0", "-fvisibility=hidden", "-Wall", "-Wextra"],
        # Every symbol is bound when it is loaded: its cloned child must not enter the loader.
        extra_link_args=["-Wl,-z,relro,-z,now"],
        py_limited_api=True,
        optional=not os.environ.get("MEMPROBE_REQUIRE_WALKER"),
    )
    return [extension]


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


class BuildWalker(build_ext):
    """Builds the extension without leaving an old one behind, or pulling one from under others."""

    def build_extension(self, ext: Extension) -> None:
        """Compile; where that fails, a file of an earlier build must not be packed instead."""
        try:
            super().build_extension(ext)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.get_ext_fullpath(ext.name))
            raise

    def copy_extensions_to_source(self) -> None:
        """Put a new file in the place of the old one: processes may have that mapped."""
        packages = self.get_finalized_command("build_py")
        for ext in self.extensions:
            place, built = self._get_inplace_equivalent(packages, ext)
            if os.path.exists(built):
                shutil.copyfile(built, f"{place}.new")
                os.replace(f"{place}.new", place)


class WheelOfWhatWasBuilt(bdist_wheel):
    """Tags the wheel by what is in it: for one ABI only where the extension is there."""

    def finalize_options(self) -> None:
        """An editable wheel holds no extension: it is made in the source tree."""
        super().finalize_options()
        if self.distribution.get_command_obj("editable_wheel", create=False):
            self.root_is_pure = True

    def run(self) -> None:
        """Build first, then decide what kind of wheel it becomes."""
        self.reinitialize_command("build_ext").inplace = False
        self.run_command("build")
        build = self.get_finalized_command("build")
        if not list(Path(build.build_lib).glob("memprobe_probes/walker.*.so")):
            self.distribution.ext_modules = None
            self.root_is_pure = True
        super().run()


EXTENSIONS = walker()
setup(
    cmdclass={
        "build_py": BuildWithPages,
        "build_ext": BuildWalker,
        "bdist_wheel": WheelOfWhatWasBuilt,
    },
    ext_modules=EXTENSIONS,
    options={"bdist_wheel": {"py_limited_api": "cp310"}} if EXTENSIONS else {},
)
