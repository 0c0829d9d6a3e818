"""Putting a page together: templates that escape, scripts by hash, data that stay data."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memprobe import __version__
from memprobe.reporters.html import library, words

if TYPE_CHECKING:
    from jinja2 import Environment

FOLDER = Path(__file__).parent
SCRIPTS = ("format.js", "charts.js", "timeline.js", "treemap.js", "spark.js", "page.js")

# What ends a script element, or hides its end, must not stand in one.
_HARMFUL_IN_SCRIPT = re.compile(r"<(?=/script|script|!--)", re.IGNORECASE)
# Within JSON all of these can only stand in strings, where an escape means the same.
_IN_JSON = {ord(one): f"\\u{ord(one):04x}" for one in "<>&\u2028\u2029"}


def filled(template: str, charts: dict[str, Any], **values: Any) -> str:
    """Return ``template`` as a page with ``charts``, the data of its pictures by article."""
    library.require()
    environment = _environment()
    from markupsafe import Markup

    scripts = [script(library.plotly_js()), script(_own_script())]
    return environment.get_template(template).render(
        version=__version__,
        policy=_policy(scripts),
        style=Markup(_asset("style.css")),
        scripts=[Markup(one) for one in scripts],
        data=Markup(json_block(charts)),
        charts=charts,
        **values,
    )


def json_block(value: Any) -> str:
    """Return ``value`` as JSON that can stand inside of a script element and not end it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.translate(_IN_JSON)


def script(source: str) -> str:
    """Return ``source`` as a browser reads it between two tags: nothing in it ends the element."""
    plain = source.replace("\r\n", "\n").replace("\r", "\n")
    return _HARMFUL_IN_SCRIPT.sub(r"\\x3c", plain)


def _policy(scripts: list[str]) -> str:
    """Return the content security policy: these scripts, inline styles, pictures made here."""
    hashes = " ".join(f"'sha256-{_hash(one)}'" for one in scripts)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _hash(source: str) -> str:
    return base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=words.shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(words.FUNCTIONS)
    environment.filters.update(words.FILTERS)
    return environment


def _own_script() -> str:
    return "\n".join(_asset(name) for name in SCRIPTS)


@cache
def _asset(name: str) -> str:
    return (FOLDER / "assets" / name).read_text(encoding="utf-8")
