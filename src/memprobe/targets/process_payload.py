"""The probe as a file that a plain process's new thread reads: no package, no import beforehand.

The file is marshalled, since every Python has that loaded, and json, zlib and base64 not. Modules
are made from the texts when they are first needed; the finder that makes them goes with the probe.
"""

from __future__ import annotations

import marshal
from typing import Any

from memprobe.targets import compiled
from memprobe.targets.payload import PACKAGE, texts

NAME = "payload"

# Runs inside the target, in a thread of its own, with the payload's entries as its globals.
_LOADER = r"""
def _memprobe_enter(texts, codes, magic, version, config, expires):
    import marshal, posix, sys
    package = sys.modules.get("memprobe_probes")
    if getattr(package, "VERSION", None) != version:
        from _frozen_importlib import ModuleSpec
        same = sys.modules["_frozen_importlib_external"].MAGIC_NUMBER == magic
        sources = {**texts, **(codes if same else {})}  # those of modules that were not made yet
        class Texts:
            def find_spec(self, name, path=None, target=None):
                if name in self.sources:
                    return ModuleSpec(name, self, origin="<" + name.replace(".", "/") + ">",
                                      is_package=name == "memprobe_probes")
            def create_module(self, spec):
                return None
            def exec_module(self, module):
                name = module.__name__
                source = self.sources[name]
                exec(marshal.loads(source) if type(source) is bytes else
                     compile(source, "<" + name.replace(".", "/") + ".py>", "exec"),
                     module.__dict__)
                del self.sources[name]
        finder = Texts()
        finder.sources = sources
        for name in [one for one in list(sys.modules) if one.split(".")[0] == "memprobe_probes"]:
            del sys.modules[name]
        # First, for the package; then last: nobody else finds what is below it.
        sys.meta_path.insert(0, finder)
        try:
            import memprobe_probes as package
        finally:
            sys.meta_path.remove(finder)
        package._memprobe_injected = True
        package._memprobe_finder = finder
        sys.meta_path.append(finder)
    from memprobe_probes import process_entry
    return process_entry.enter(config, expires)

def _memprobe_tell(config, line):
    import posix
    out = posix.open(config["folder"] + "/replies", posix.O_WRONLY | posix.O_NONBLOCK
                     | posix.O_CLOEXEC | posix.O_NOFOLLOW)
    try:
        posix.write(out, line.encode("utf-8", "backslashreplace") + b"\n")
    finally:
        posix.close(out)

def _memprobe_forget():
    import sys
    package = sys.modules.get("memprobe_probes")
    finder = getattr(package, "_memprobe_finder", None)
    if finder in sys.meta_path:
        sys.meta_path.remove(finder)
        finder.sources.clear()
    if package is not None and getattr(package, "_memprobe_injected", False):
        for name in [one for one in list(sys.modules) if one.split(".")[0] == "memprobe_probes"]:
            del sys.modules[name]

def _memprobe_main():
    _memprobe_tell(config, '{"id": "taken"}')
    try:
        # Taken out: these globals live as long as the finder, which keeps what it still needs.
        taken = [globals().pop(name) for name in ("texts", "codes")]
        answer = _memprobe_enter(*taken, magic, version, config, expires)
    except BaseException as error:
        _memprobe_forget()
        said = (type(error).__name__ + ": " + str(error)).replace("\\", "/").replace('"', "'")
        said = "".join(one if " " <= one <= "~" else "?" for one in said)
        answer = '{"id": "entered", "ok": false, "error": "' + said[:500] + '"}'
    _memprobe_tell(config, answer)

_memprobe_main()
"""


def payload(config: dict[str, Any], expires: float) -> bytes:
    """Return the file's content. ``expires`` in unix seconds: past it, nothing is done."""
    from memprobe_probes import VERSION

    assert PACKAGE == "memprobe_probes"
    parts = {
        "loader": _LOADER, "texts": texts(), **compiled.parts(), "version": VERSION,
        "config": _plain(config), "expires": expires,
    }  # fmt: skip
    return marshal.dumps(parts, compiled.FORMAT)


def _plain(value: Any) -> Any:
    """Return a value made of the types that marshal knows."""
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)
