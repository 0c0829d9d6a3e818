"""Pure functions from a recording to what it says: no file, no clock, no process is touched."""
