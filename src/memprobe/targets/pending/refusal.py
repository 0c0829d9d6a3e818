"""Why a process is not entered. Nothing has been written into it when this is raised."""

from __future__ import annotations


class Refused(Exception):
    """``why`` names the cause, ``remedy`` what a user can do."""

    def __init__(self, why: str, remedy: str = "") -> None:
        super().__init__(why)
        self.why = why
        self.remedy = remedy or "start it under memprobe: memprobe run SCRIPT.py"


class Queued(Exception):
    """The request was not taken in time and has been withdrawn. ``where`` tells what kept it."""

    def __init__(self, where: str) -> None:
        super().__init__(where)
        self.where = where
