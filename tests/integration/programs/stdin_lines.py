"""Number the lines of standard input, and write to both streams."""

import sys

for number, line in enumerate(sys.stdin):
    print(number, line.rstrip())
    print("seen", number, file=sys.stderr)
print("closed", sys.stdin.read() == "", flush=True)
