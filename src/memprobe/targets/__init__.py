"""How memprobe reaches a target, and how it finds one."""
