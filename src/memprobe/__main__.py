"""``python -m memprobe``: the same as the command ``memprobe``."""

import sys

from memprobe.cli import main

if __name__ == "__main__":
    sys.exit(main())  # main returns the exit code, as for the console script
