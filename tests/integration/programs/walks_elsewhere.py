"""Walks a list of two large texts with the walker that is named, and prints what it kept."""

import json
import platform
import sys

sys.path.insert(0, sys.argv[1])

from memprobe_probes import native, native_walker, roots
from memprobe_probes.roots import Root

native_walker._own_file = lambda: None
walker, why = native_walker.load(sys.argv[2])
if walker is None:
    sys.exit(str(why))
kept = ["x" * 3_000_000, "y" * 5_000_000]
names = {"kept": kept}
found = [Root("module", "kept", kept)]
tables = native.Native(walker).here(found, roots.stop_ids() | {id(names)}, (), 20_000_000_000)
bytes_kept = sum(group["bytes"] for group in tables["groups"] if 0 in group["holders"])
print(json.dumps({"machine": platform.machine(), "bytes": bytes_kept}))
