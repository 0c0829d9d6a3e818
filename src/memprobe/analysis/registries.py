"""What the expression of a callback says of the registry it is in, as the probe writes it."""

from __future__ import annotations


def signal_of(expr: str) -> str:
    """Return the signal of ``signal.getsignal(signal.SIGUSR1)``, as code."""
    return expr[len("signal.getsignal(") : -1]


def event_of(expr: str) -> str:
    """Return the event of ``get_ipython().events.callbacks['post_run_cell'][0]``, as code."""
    return expr.split("[")[1].rstrip("]")


def logger_of(expr: str) -> str:
    """Return the logger of ``logging.getLogger('etl').handlers[0]``, as code."""
    return expr.partition(".handlers")[0]


def reset_of(expr: str) -> str:
    """Return the assignment that gives a hook of ``sys`` its first value back."""
    return f"{expr} = {expr.replace('.', '.__')}__"
