"""Show what runs in which order at exit: threads, handlers, finalizers, streams."""

import atexit
import sys
import threading
import time
import weakref


class Kept:
    def __del__(self):
        print("collected")


def last_words(text):
    print(text, threading.active_count(), sys.is_finalizing())


kept = Kept()
watched = Kept()
weakref.finalize(watched, last_words, "finalized")
atexit.register(last_words, "registered first")
atexit.register(last_words, "registered last")
worker = threading.Thread(target=lambda: (time.sleep(0.2), last_words("thread")))
worker.start()
print("main ends")
