"""The page as a server on this machine, and in a notebook."""

from __future__ import annotations

import asyncio
import contextlib
import html
import importlib
import signal
import socket
import sys
import tempfile
import webbrowser
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refold.errors import MissingDependencyError, ParameterError, RefoldError
from refold.store import RunStore

if TYPE_CHECKING:
    from refold.explore.explorer import Explorer
    from refold.explore.hearing import Hearing

_ALWAYS = ("panel", "bokeh")


def serve(
    run: Any,
    *,
    scan: Any = None,
    clustering: str | None = None,
    edits: str = "edits",
    port: int = 0,
    address: str = "127.0.0.1",
    token: str | None = None,
    hosts: Collection[str] = (),
    open_browser: bool = True,
    memory: int | str | None = None,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve the explorer of a run as a page, until it is interrupted.

    Parameters
    ----------
    run : path-like or xarray.Dataset
        A run; see `refold.open_run`.
    scan : xarray.DataArray or xarray.Dataset, optional
        What the run was made of, where it keeps no features and its scan is not where it was.
    clustering : str, optional
        One of the run's saved clusterings; its own by default.
    edits : str
        Name of the set of edits to go on with, or to begin.
    port : int
        Where to listen; any port that is free by default.
    address : str
        Of the network interface to listen on; by default none but this machine's own can be reached.
    token : str, optional
        What a browser must know to come in, at least 16 letters, digits, - and _. One is made by default.
    hosts : collection of str
        Further names by which browsers reach this machine, such as that of a proxy before it.
    open_browser : bool
        Whether to open the page in a browser.
    memory : int or str, optional
        Bytes for what is read at once of a scan, or a size such as ``"2GB"``; a quarter of what is free by default.
    ready : callable, optional
        Called with the page's address, token and all, once it is served; by default it is printed.

    Raises
    ------
    ParameterError
        If the port is taken, there is no such address, the token will not do, or a notebook's loop runs already.
    StoreError
        If there is no run.
    MissingDependencyError
        If Panel is not installed.

    Notes
    -----
    Every browser session has a state of its own: selections and edits that were not saved are nobody else's. What is
    read only is shared between them.

    The token is asked for on this machine too, as others may have programs on it. Requests that other sites make, or
    that come by a name which is not this machine's, are refused before they reach the page.

    Examples
    --------
    >>> from refold.explore import serve
    >>> serve("scan.run.zarr")  # doctest: +SKIP
    explorer  http://127.0.0.1:40123/?token=…
    """
    need_panel()
    from refold.explore.door import check_token, new_token
    from refold.explore.listening import listening

    token = new_token() if token is None else check_token(token)
    pages = Pages(run, scan=scan, clustering=clustering, edits=edits, memory=memory)
    if _loop_runs():
        raise ParameterError(
            "a loop that runs already, as in a notebook", "a plain Python process", "use run.refold.explore() there"
        )
    with contextlib.closing(pages), listening(address, port) as listener, contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_until_stopped(pages, listener, address, token, hosts, open_browser, ready or _print_address))


def show(run: Any, *, scan: Any = None, clustering: str | None = None, edits: str = "edits") -> Any:
    """Show the explorer of a run in a notebook.

    Parameters
    ----------
    run, scan, clustering, edits
        As for `serve`.

    Returns
    -------
    panel.viewable.Viewable
        What the notebook shows.

    Raises
    ------
    StoreError
        If there is no run.
    MissingDependencyError
        If Panel is not installed.

    Examples
    --------
    >>> from refold.explore import show
    >>> show("scan.run.zarr")  # doctest: +SKIP
    """
    need_panel()
    import panel

    panel.extension()
    return Pages(run, scan=scan, clustering=clustering, edits=edits).page()


def need_panel() -> None:
    """Raise `MissingDependencyError` unless the packages that make the page are there."""
    for package in _ALWAYS:
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise MissingDependencyError(
                f"no {package}", "the packages that make the explorer's page", "pip install 'refold[explore]'"
            ) from error


class Pages:
    """Makes the page of each session of one run.

    Parameters
    ----------
    run, scan, clustering, edits, memory
        As for `serve`.
    """

    def __init__(
        self,
        run: Any,
        *,
        scan: Any = None,
        clustering: str | None = None,
        edits: str = "edits",
        memory: int | str | None = None,
    ) -> None:
        from refold.explore.explorer import Explorer
        from refold.explore.hearing import Sources

        self.sources = Sources(scan, memory)
        self._make = lambda rows: Explorer(run, scan, clustering, edits, rows=rows)
        self._clustering = clustering
        self._share(self._make(None))  # what is wrong with the run is said now, not in the browser
        self._open: set[Hearing] = set()

    def _share(self, explorer: Explorer) -> Explorer:
        """Let all sessions have the rows of one, and none change them."""
        model = explorer.model
        self._path, self._rows = model.path, (model.fingerprint, model.rows)
        for array in (model.rows.labels, model.rows.usable, model.rows.positions, model.rows.flat):
            array.flags.writeable = False
        return explorer

    def explorer(self) -> Explorer:
        """Open the run for a session, with what was saved of it by now; its rows are read again if the run was."""
        fingerprint, rows = self._rows
        if RunStore.open(self._path).fingerprint_of_labels(self._clustering) == fingerprint:
            return self._make(rows)
        return self._share(self._make(None))

    def page(self) -> Any:
        """Make a page with a state of its own."""
        import panel

        from refold.explore.hearing import Hearing

        try:
            explorer = self.explorer()
        except RefoldError as error:  # edits that were broken since, say: the page tells, and the next may go well
            return panel.pane.Str(f"{type(error).__name__}: {error}", css_classes=["status"])
        document = panel.state.curdoc
        served = document is not None and document.session_context is not None
        hearing = Hearing(explorer, self.sources, document.add_next_tick_callback if served else None)
        self._open.add(hearing)
        if served:
            panel.state.on_session_destroyed(lambda context: self._close(hearing))
        return explorer.panel()

    def _close(self, hearing: Hearing) -> None:
        self._open.discard(hearing)
        hearing.close()

    def close(self) -> None:
        """End what is read for any page."""
        for hearing in tuple(self._open):
            self._close(hearing)


async def _until_stopped(
    pages: Pages,
    listener: socket.socket,
    address: str,
    token: str,
    hosts: Collection[str],
    open_browser: bool,
    ready: Callable[[str], None],
) -> None:
    """Answer until the process is told to end."""
    from refold.explore.listening import answering, in_url, names_of

    stop = asyncio.Event()
    with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with answering(pages.page, listener, token, names_of(address, hosts)):
        url = f"http://{in_url(address)}:{listener.getsockname()[1]}/?token={token}"
        ready(url)
        with _opened(url) if open_browser else contextlib.nullcontext():
            await stop.wait()


def _loop_runs() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _print_address(url: str) -> None:
    sys.stdout.write(f"explorer  {url}\n")
    sys.stdout.flush()


@contextmanager
def _opened(url: str) -> Iterator[None]:
    """Open the page by a file of the user's own: what a program is called with, everybody on the machine can read."""
    with tempfile.TemporaryDirectory(prefix="refold-") as folder:  # for its owner alone
        door = Path(folder) / "explorer.html"
        door.touch(mode=0o600)
        target = html.escape(url, quote=True)
        door.write_text(f'<meta http-equiv="refresh" content="0; url={target}"><a href="{target}">Refold</a>\n')
        asyncio.get_running_loop().run_in_executor(None, webbrowser.open, door.as_uri())
        yield
