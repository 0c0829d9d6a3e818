"""What the benchmark of ``memprobe release`` runs and measures, and how its page is written."""
