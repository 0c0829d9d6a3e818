"""Entering a running CPython by an entry in its own ring of pending calls.

``docs/attaching.md`` tells what is written into the target and why that is safe.
"""
