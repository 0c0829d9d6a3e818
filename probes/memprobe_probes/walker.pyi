"""The native walker (walker.c): what its functions take and give."""

def check() -> str | None:
    """Return None where this interpreter's objects look as expected, else the reason in words."""
