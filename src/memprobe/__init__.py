"""memprobe: what keeps memory alive in a running PySpark/pandas notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from memprobe_probes.context import record as record

__all__ = ["__version__", "load_ipython_extension", "record", "unload_ipython_extension"]


def __getattr__(name: str) -> Any:
    # Lazy: this package is imported inside users' kernels, where only the probe may load.
    if name == "record":
        from memprobe_probes.context import record

        return record
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def load_ipython_extension(shell: Any) -> None:
    """Put the probe into this notebook: ``%load_ext memprobe``."""
    from memprobe_probes import magic

    magic.load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """Take the probe out of this notebook again: ``%unload_ext memprobe``."""
    from memprobe_probes import magic

    magic.unload(shell)
