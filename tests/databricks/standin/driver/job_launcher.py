"""What runs a Python file's task on the stand-in's driver, as the real one does: by ``exec``.

``argv``: the file, its name in the workspace, where an error is told, the folder that stands for
Volumes, ``serverless`` or ``classic``, and then the task's own parameters.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import traceback

FILE, SHOWN, ERROR, VOLUMES, KIND, *PARAMETERS = sys.argv[1:]


def _refuse_appends(event: str, arguments: tuple[object, ...]) -> None:
    """Volumes take whole files only: no append, nothing in the middle."""
    if event != "open" or not isinstance(arguments[0], str) or not isinstance(arguments[2], int):
        return
    flags = arguments[2]
    if arguments[0].startswith(VOLUMES) and flags & (os.O_APPEND | os.O_RDWR):
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP), arguments[0])


def _tell(error: BaseException) -> None:
    with open(ERROR, "w", encoding="utf-8") as file:
        told = f"{type(error).__name__}: {error}"
        json.dump({"error": told, "error_trace": traceback.format_exc()}, file)


def main() -> int:
    sys.addaudithook(_refuse_appends)
    sys.argv = [SHOWN, *PARAMETERS]
    sys.path[0] = os.path.dirname(SHOWN)
    names = {"__name__": "__main__", "__file__": SHOWN, "__builtins__": __builtins__}
    try:
        with open(FILE, "rb") as file:
            exec(compile(file.read(), SHOWN, "exec"), names)
    except SystemExit as request:
        if KIND == "serverless":  # it tears the interpreter down, whatever the status
            _tell(request)
            return 1
        if request.code:
            _tell(request)
            return 1
    except BaseException as error:
        traceback.print_exc()
        _tell(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
