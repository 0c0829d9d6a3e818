"""The buckets of the memory account: every resident byte of a process lies in exactly one.

The one list of their names; ``docs/account.md`` says what each holds and what to do about it. A
bucket that could not be told apart is left out, never zero: its bytes lie in the next wider one
(``malloc-other``, ``private``), and the record says why.
"""

from __future__ import annotations

# What objects, arrays and frames that are alive take. Letting go of them frees it.
PYTHON_OBJECTS = "python-objects"
ARRAYS = "array-buffers"  # data of numpy and pandas
ARROW_LIVE = "arrow-live"
POLARS_LIVE = "polars-live"
TORCH = "torch"
# Memory of libraries that Python objects lead to: nodes of trees, canvases, tables.
NATIVE_OBJECTS = "native-objects"
# Freed, and kept by an allocator for what comes next.
PYTHON_FREE = "python-free"  # free blocks, pools and arenas of Python's own allocator
MALLOC_RETAINED = "malloc-retained"
ARROW_RETAINED = "arrow-retained"
POLARS_RETAINED = "polars-retained"
# In use, and nobody known owns it.
MALLOC_OTHER = "malloc-other"
NATIVE_OTHER = "native-other"  # mapped by a library that is known, not by malloc
# What the program is made of.
LIBRARIES = "libraries"
MAPPED_FILES = "mapped-files"
SHARED_MEMORY = "shared-memory"
THREAD_STACKS = "thread-stacks"
# Of a JVM.
HEAP_USED = "heap-used"
HEAP_FREE = "heap-free"  # committed, in memory, and empty
METASPACE = "metaspace"
CODE_CACHE = "code-cache"
DIRECT_BUFFERS = "direct-buffers"
GC_STRUCTURES = "gc-structures"
# Of a process that was only looked at from afar.
PRIVATE = "private"
FILES = "files"
# Nobody can say what it is: the rest up to the resident memory.
UNKNOWN = "unknown"

LIVE = (PYTHON_OBJECTS, ARRAYS, ARROW_LIVE, POLARS_LIVE, TORCH, NATIVE_OBJECTS)
RETAINED = (PYTHON_FREE, MALLOC_RETAINED, ARROW_RETAINED, POLARS_RETAINED)
NATIVE = (MALLOC_OTHER, NATIVE_OTHER)
PROGRAM = (LIBRARIES, MAPPED_FILES, SHARED_MEMORY, THREAD_STACKS)
JVM = (HEAP_USED, HEAP_FREE, METASPACE, CODE_CACHE, DIRECT_BUFFERS, GC_STRUCTURES)
COARSE = (PRIVATE, FILES)
ALL = (*LIVE, *RETAINED, *NATIVE, *PROGRAM, *JVM, *COARSE, UNKNOWN)

# What `owned` leaves out, and what `explained` does.
UNOWNED = (MALLOC_OTHER, PRIVATE, FILES, UNKNOWN)
UNEXPLAINED = (PRIVATE, FILES, UNKNOWN)
