"""The explorer of one run: what it shows, apart from the page that shows it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr

from refold.explore.choice import Choice
from refold.explore.model import Model
from refold.explore.rows import Rows

if TYPE_CHECKING:
    from refold.explore.page import Page

__all__ = ["Explorer"]

Signal = xr.Dataset | xr.DataArray


class Explorer:
    """A run to look at and to edit by hand: the latent space beside the map beside the spectrum or pattern.

    Parameters
    ----------
    run : path-like or xarray.Dataset
        A run; see `refold.open_run`.
    scan : xarray.DataArray or xarray.Dataset, optional
        The scan that the run is of: its images can then be laid under the map, and the mean signal of a selection can
        be read from it.
    clustering : str, optional
        One of the run's saved clusterings; the run's own by default.
    edits : str
        Name of the set of edits to go on with, or to begin.
    theme : {"light", "dark"}, optional
        Colours of paper and ink; as the browser likes it by default.
    rows : Rows, optional
        The rows of this clustering, where they were read already; sessions may share them.

    Attributes
    ----------
    model : Model
        What is shown, selected and edited. It knows of no browser.

    Raises
    ------
    StoreError
        If there is no run.
    VariableError
        If the run has no labels.

    Examples
    --------
    >>> import refold
    >>> refold.explore.Explorer("scan.run.zarr").panel()  # doctest: +SKIP
    """

    def __init__(
        self,
        run: str | Path | xr.Dataset,
        scan: Signal | None = None,
        clustering: str | None = None,
        edits: str = "edits",
        *,
        theme: str | None = None,
        rows: Rows | None = None,
    ) -> None:
        self.model = Model(run, scan, clustering, edits, rows=rows)
        self.theme = theme
        self._listeners: list[Callable[[Choice | None], None]] = []
        self._page: Page | None = None
        self.model.watch(self._changed)

    def panel(self) -> Any:
        """Make the page.

        Returns
        -------
        panel.viewable.Viewable
            To be served, or shown in a notebook.

        Raises
        ------
        MissingDependencyError
            If Panel is not installed.
        """
        if self._page is None:
            from refold.explore.page import Page

            self._page = Page(self.model, self.theme)
        return self._page.view

    def on_selection(self, callback: Callable[[Choice | None], None]) -> None:
        """Call back whenever another selection is shown: with it, or with None where nothing is selected.

        Parameters
        ----------
        callback : callable
            Called in the thread of the page, after the selection has been sent to the browser; it must return at once.
        """
        self._listeners.append(callback)

    def show_signal(self, signal: Signal | None, note: str = "", pixels: int | None = None) -> None:
        """Show the mean signal of the selection.

        Parameters
        ----------
        signal : xarray.DataArray or xarray.Dataset or None
            Of signal dims only; a Dataset for a scan of several cubes. None takes it away.
        note : str
            What it is, for people: how many pixels, exact or of a sample.
        pixels : int, optional
            How many pixels of the whole grid; by default as many as are selected of those in memory.

        Notes
        -----
        May be called from any thread.
        """
        self.model.show_signal(signal, note, pixels)

    def progress(self, done: float, total: float) -> None:
        """Show how far something is that goes on in the background; ``done == total`` takes the bar away.

        Parameters
        ----------
        done, total : float
            In any unit.

        Notes
        -----
        May be called from any thread.
        """
        self.model.progress(done, total)

    def say(self, text: str, *, error: bool = False) -> None:
        """Write something into the status line, from any thread.

        Parameters
        ----------
        text : str
            For people.
        error : bool
            Whether something went wrong.
        """
        self.model.say(text, error=error)

    def close(self) -> None:
        """End with the page: nothing is called back any more, and nothing drawn."""
        self._listeners.clear()
        if self._page is not None:
            self._page.close()

    def _changed(self, what: str) -> None:
        if what in {"choice", "run"}:  # of another clustering nothing is selected yet
            for callback in self._listeners:
                callback(self.model.choice)
