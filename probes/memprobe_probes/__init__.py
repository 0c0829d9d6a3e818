"""The part of memprobe that runs inside a user's process: standard library only."""

VERSION = "0.1.0"
FORMAT = 1
