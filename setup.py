"""What pyproject.toml cannot say: the pages in the package, and a C extension that may be missing.

The native walker is one extension for every CPython from 3.10 (the stable ABI). Where it cannot be
built the package works without it, and then the wheel must not claim to be for one ABI.
``MEMPROBE_REQUIRE_WALKER=1`` in the environment makes a walker that does not compile an error.

A probe that is sent to another machine takes a walker along for it: ``setup.py build_walkers``
builds those for Linux on both kinds of processor, with Zig's C compiler, on whatever machine. They
are data of the package: nothing here loads them.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import ClassVar

from setuptools import Command, Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

PAGES = Path("docs")
PROBES = Path("probes", "memprobe_probes")
LIMITED_API = 0x030A0000  # 3.10
PLATFORMS = ("linux-x86_64", "linux-aarch64")
SOURCES = [str(PROBES / "walker.c"), *sorted(map(str, PROBES.glob("native/*.c")))]
MACROS = [("Py_LIMITED_API", hex(LIMITED_API))]
# No debug information: it is four times the code, and tells the folders of this machine.
COMPILING = ["-std=c11", "-O3", "-g0", "-fvisibility=hidden", "-Wall", "-Wextra"]
# Every symbol is bound when it is loaded: its cloned child must not enter the loader.
LINKING = ["-Wl,-z,relro,-z,now"]

CARRIED = Path("src", "memprobe", "walkers")
MACHINES = ("x86_64", "aarch64")
LIBC = "2.17"  # of the oldest system that any Python from 3.10 is distributed for


def walker() -> list[Extension]:
    """Return the native walker, or nothing for an interpreter it is not made for."""
    fits = sys.implementation.name == "cpython" and not sysconfig.get_config_var("Py_GIL_DISABLED")
    if not fits or sys.maxsize < 2**32 or sysconfig.get_platform() not in PLATFORMS:
        return []
    extension = Extension(
        "memprobe_probes.walker",
        sources=SOURCES,
        depends=["setup.py", *sorted(map(str, PROBES.glob("native/*.h")))],
        define_macros=MACROS,
        extra_compile_args=COMPILING,
        extra_link_args=LINKING,
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


class BuildCarriedWalkers(Command):
    """Builds the walkers that probes take along, for each kind of processor, with Zig."""

    description = "build the native walkers for other machines (needs the package ziglang)"
    user_options: ClassVar[list[tuple[str, str, str]]] = []

    def initialize_options(self) -> None:
        """Nothing can be chosen."""

    def finalize_options(self) -> None:
        """Nothing was chosen."""

    def run(self) -> None:
        """Put each file in its place when it is whole."""
        CARRIED.mkdir(exist_ok=True)
        for machine in MACHINES:
            place = CARRIED / f"linux-{machine}.so"
            subprocess.run([*self.compiler(machine), "-o", f"{place}.new"], check=True)
            os.replace(f"{place}.new", place)

    def compiler(self, machine: str) -> list[str]:
        """Return the command that compiles and links for ``machine``.

        Of this Python's headers only what both kinds of 64-bit Linux have in common is used.
        """
        macros = [f"-D{name}={value}" for name, value in MACROS]
        return [
            *(sys.executable, "-m", "ziglang", "cc", "-target", f"{machine}-linux-gnu.{LIBC}"),
            *("-shared", "-fPIC", "-s", *COMPILING, *LINKING, *macros),
            *("-I", sysconfig.get_paths()["include"], *SOURCES),
        ]


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
        "build_walkers": BuildCarriedWalkers,
        "bdist_wheel": WheelOfWhatWasBuilt,
    },
    ext_modules=EXTENSIONS,
    options={"bdist_wheel": {"py_limited_api": "cp310"}} if EXTENSIONS else {},
)
