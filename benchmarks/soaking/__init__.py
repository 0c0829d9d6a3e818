"""The parts of benchmarks/soak.py: one kernel at work, and the page about all of them."""
