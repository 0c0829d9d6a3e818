"""End in the way that the first argument names."""

import _thread
import atexit
import os
import signal
import sys
import threading


def raise_chained():
    try:
        {}["missing"]
    except KeyError as error:
        raise ValueError("second") from error


def raise_in_thread():
    worker = threading.Thread(target=raise_chained, name="worker")
    worker.start()
    worker.join()


def raise_at_exit():
    atexit.register(raise_chained)


def kill_self(number):
    os.kill(os.getpid(), number)
    signal.pause()


def exit_in_handler():
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(number + 40))
    kill_self(signal.SIGTERM)


def unwritable_stdout():
    os.close(1)
    print("lost")


WAYS = {
    "status": lambda: sys.exit(3),
    "text": lambda: sys.exit("a last word"),
    "none": lambda: sys.exit(None),
    "tuple": lambda: sys.exit((1, 2)),
    "large": lambda: sys.exit(256 + 7),
    "at-once": lambda: os._exit(4),
    "exception": raise_chained,
    "in-thread": raise_in_thread,
    "at-exit": raise_at_exit,
    "unwritable": unwritable_stdout,
    "interrupt": lambda: _thread.interrupt_main(),
    "SIGINT": lambda: kill_self(signal.SIGINT),
    "SIGTERM": lambda: kill_self(signal.SIGTERM),
    "SIGKILL": lambda: kill_self(signal.SIGKILL),
    "SIGHUP": lambda: kill_self(signal.SIGHUP),
    "SIGSEGV": lambda: kill_self(signal.SIGSEGV),
    "handled": exit_in_handler,
    "abort": os.abort,
}

print("leaving by", sys.argv[1], flush=True)
WAYS[sys.argv[1]]()
