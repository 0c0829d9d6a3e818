import sys

from . import inner

print(__name__, __package__, __spec__.name, sys.argv[1:], inner.NAME, sys.path[0])
