"""The explorer in the browser: `refold explore RUN`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from refold.cli.options import Memory
from refold.cli.printing import out


def explore(
    store: Annotated[Path, typer.Argument(help="A run's store.")],
    scan: Annotated[
        str | None,
        typer.Option(help="The scan that the run was made of, where it is not where it was and no features are kept."),
    ] = None,
    clustering: Annotated[str | None, typer.Option(help="A saved clustering; the run's own by default.")] = None,
    edits: Annotated[str, typer.Option(help="Name of the set of edits to go on with, or to begin.")] = "edits",
    port: Annotated[int, typer.Option(help="Where to listen; any that is free by default.")] = 0,
    address: Annotated[
        str, typer.Option(help="Of the network interface to listen on; by default only this machine reaches the page.")
    ] = "127.0.0.1",
    token: Annotated[
        str | None,
        typer.Option(envvar="REFOLD_TOKEN", help="What a browser must know; made and printed by default."),
    ] = None,
    host: Annotated[
        list[str] | None, typer.Option(help="A further name by which browsers reach this machine; may be repeated.")
    ] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")] = True,
    memory: Memory = None,
) -> None:
    """Open a run as a page: the latent space beside the map beside the spectrum, clusters to merge, split and name."""
    from refold.explore import serve
    from refold.source import open as open_scan

    serve(
        store,
        scan=None if scan is None else open_scan(scan),
        clustering=clustering,
        edits=edits,
        port=port,
        address=address,
        token=token,
        hosts=host or (),
        open_browser=browser,
        memory=memory,
        ready=lambda url: out.print(
            f"explorer  {url}\nend it with Ctrl-C", markup=False, highlight=False, soft_wrap=True
        ),
    )
