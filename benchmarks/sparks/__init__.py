"""What the benchmark of Spark runs and measures, and how its page is written."""
