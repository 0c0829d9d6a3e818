"""The parts of ``benchmarks/seed.py``: an ETL and claims, as notebook and as script."""
