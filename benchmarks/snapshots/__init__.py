"""The parts of ``benchmarks/snapshot.py``: heaps, tools, what is measured, the page."""
