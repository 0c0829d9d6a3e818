"""The text that the interrupted thread runs, and what the thread that it starts runs.

It is one statement that cannot fail: whatever goes wrong in it is swallowed, since an error would
appear in the middle of the user's code. It binds no name, imports nothing (what it needs is loaded
in every Python, and is reached from ``exec`` itself), does nothing in a forked child, and leaves
the work to a thread of its own, which Python's ``threading`` does not know of.
"""

from __future__ import annotations

import os

from memprobe.targets.processes import status_fields

MARK = "#memprobe"
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC

# From `exec` to sys.modules, without an import: a program may have put its own in the way.
_MODULES = "exec.__self__.__spec__.loader.find_spec.__func__.__globals__['sys'].modules"

# On the interrupted thread. No name but `exec` is looked up, not even of an exception: a program
# may have given them another meaning. A Ctrl-C in here is handed on, from another thread.
_TEXT = """try:
 (lambda m:m['posix'].getpid()=={pid} and m['_thread'].start_new_thread(exec,({work!r},{{'m':m}})))({modules})
except:
 try:(lambda m:m['sys'].exc_info()[0].__name__=='KeyboardInterrupt'and m['_thread'].start_new_thread(m['_thread'].interrupt_main,()))({modules})
 except:0
"""  # noqa: E501

# On the thread: the payload is read from the session folder, if that is the user's alone.
_READ_PAYLOAD = """try:
 o=m['posix'];d=o.open({folder!r},{directory});f=o.open('payload',{file},dir_fd=d)
 for x in d,f:
  s=o.fstat(x)
  if s.st_uid!=o.geteuid()or s.st_mode&63:1/0
 b=b''
 while 1:
  c=o.read(f,1<<20)
  if not c:break
  b+=c
 o.close(f);o.close(d);p=m['marshal'].loads(b);exec(p['loader'],p)
except:0
"""


def bootstrap_text(pid: int, work: str) -> bytes:
    """Return the text for process ``pid``, whose new thread runs ``work``. Raises SyntaxError."""
    for source in (work, text := _TEXT.format(pid=innermost(pid), work=work, modules=_MODULES)):
        compile(source, "<memprobe>", "exec")
    return f"{MARK} {os.getpid()}\n{text}".encode()


def author_of(text: bytes) -> int | None:
    """Return the process that wrote a text of ours; None: it is none of ours."""
    line = text.partition(b"\n")[0].split()
    ours = len(line) == 2 and line[0] == MARK.encode() and line[1].isdigit()
    return int(line[1]) if ours else None


def read_payload(folder: str) -> str:
    """Return what the thread does: run the file ``payload`` in the private folder ``folder``."""
    return _READ_PAYLOAD.format(folder=folder, directory=_OPEN | os.O_DIRECTORY, file=_OPEN)


def innermost(pid: int) -> int:
    """Return the number that the process knows itself by, in the innermost of its namespaces."""
    numbers = status_fields(pid).get("NSpid", "").split()
    return int(numbers[-1]) if numbers else pid
