"""What every test relies on."""

from __future__ import annotations

import signal

import pytest

# The background job of a shell is told to ignore Ctrl-C and Ctrl-\, and every process it starts
# inherits that. Tests that send one would find it ignored through no fault of the program.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGQUIT) is signal.SIG_IGN:
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)

# In files of few tests that take long.
LONG = ("spark", "soak", "contrast", "properties", "packaging")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that no worker waits for another at the end."""
    items.sort(key=lambda item: not any(word in item.path.name for word in LONG))
