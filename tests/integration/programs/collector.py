"""Use the garbage collector's own interface in the ways programs do."""

import gc

events = []


def note(phase, info):
    events.append((phase, sorted(info)))


gc.callbacks.append(note)
gc.collect()
print(events)
gc.callbacks.remove(note)
gc.callbacks.clear()
print(gc.callbacks, gc.isenabled())
gc.freeze()
gc.unfreeze()
gc.disable()
cycle = []
cycle.append(cycle)
del cycle
print(gc.collect() > 0)
