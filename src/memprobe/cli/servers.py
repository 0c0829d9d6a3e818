"""The option of every verb that may enter a kernel through its server."""

from __future__ import annotations

import click

drop_output_option = click.option(
    "--drop-output",
    is_flag=True,
    help="Connect to a server's kernel though the server keeps its output for a browser that has "
    "lost its connection: that output is lost.",
)
