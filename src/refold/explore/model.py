"""What the explorer shows, selects and edits. It knows of no browser."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from refold.editing import Edits, Following, Selection, saved_edits
from refold.editing import edits as open_edits
from refold.editing.history import History
from refold.editing.operations import Split
from refold.editing.selections import Box, Lasso
from refold.errors import ParameterError
from refold.explore.choice import Choice
from refold.explore.curves import Curves
from refold.explore.drawing import Drawing
from refold.explore.pieces import Pieces
from refold.explore.rows import LIMIT, Rows
from refold.explore.state import Options, Reading
from refold.report.tally import labels_of
from refold.store import RunStore, path_of

__all__ = ["Model"]

What = Literal["run", "edits", "choice", "options", "signal", "progress", "message"]
_MARGIN = 0.5  # of a pixel, around its middle


class Model:
    """A run, its edits, what is selected of it, and what to draw.

    Parameters
    ----------
    run : path-like or xarray.Dataset
        A run.
    scan : xarray.DataArray or xarray.Dataset, optional
        The scan that it is of.
    clustering : str, optional
        A saved clustering; the run's own by default.
    name : str
        Of the set of edits.
    limit : int
        At most so many pixels are held in memory; of a larger run every nth row and column.
    rows : Rows, optional
        The rows of this clustering, where they were read already: they are shared, and never written to.

    Attributes
    ----------
    path : Path
        Of the run.
    scan : xarray.DataArray or xarray.Dataset or None
    clustering : str or None
    edits : Edits
    fingerprint : str
        Of the labels.
    rows : Rows
    pieces : Pieces
    chosen : tuple of int
        Clusters ticked in the list.
    choice : Choice or None
        What is selected.
    options : Options
    reading : Reading
    drawing : Drawing
        What there is to draw.
    curves : Curves
        Mean signals.
    """

    def __init__(
        self,
        run: str | Path | xr.Dataset,
        scan: xr.DataArray | xr.Dataset | None = None,
        clustering: str | None = None,
        name: str = "edits",
        *,
        limit: int = LIMIT,
        rows: Rows | None = None,
    ) -> None:
        self.path = path_of(run)
        self._limit = limit
        self._watchers: list[Callable[[What], None]] = []
        self.scan = scan
        self.message: tuple[str, bool] = ("", False)
        self.changed = self.fingerprint = ""
        self.open(clustering, name, rows)

    @property
    def run(self) -> xr.Dataset:
        """The run as it was before the edits, lazily."""
        return self.edits.run

    # --- opening ------------------------------------------------------------------------------------------------------

    def open(self, clustering: str | None, name: str, rows: Rows | None = None) -> None:
        """Open a clustering of the run, and a set of edits of it; what was not saved is lost.

        Raises
        ------
        StoreError
            If there is none.
        VariableError
            If the run has no labels.
        """
        fingerprint = RunStore.open(self.path).fingerprint_of_labels(clustering)
        edits = open_edits(self.path, clustering=clustering, name=name)
        if rows is None:
            rows = self.rows if fingerprint == self.fingerprint else Rows.of(edits.run, self._limit)
        following = Following(rows.labels, rows.positions, rows.flat)
        ids = _ids(edits, rows, following)  # nothing of what is open has changed, should it fail
        self.rows: Rows = rows
        self.edits, self.clustering, self.fingerprint = edits, edits.clustering, fingerprint
        self.pieces, self._following = Pieces(rows.labels, rows.usable), following
        self.base = self.pieces.counts()
        self.options = Options(dims=(0, 0) if rows.positions.shape[1] == 1 else (0, 1))
        self.chosen: tuple[int, ...] = ()
        self.outline: Selection | None = None
        self.choice: Choice | None = None
        self.reading = Reading()
        self._follow(ids)
        self.drawing, self.curves = Drawing(self), Curves(self)
        self._say("run")

    def watch(self, watcher: Callable[[What], None]) -> None:
        """Call back with the name of whatever changes."""
        self._watchers.append(watcher)

    def forget(self, watcher: Callable[[What], None]) -> None:
        """Call a watcher back no more."""
        self._watchers.remove(watcher)

    def names(self) -> list[str]:
        """Names of the sets of edits that are saved of this clustering."""
        return saved_edits(self.path, self.clustering)

    def set(self, option: str, value: Any) -> None:
        """Change one of the options."""
        if getattr(self.options, option) != value:
            setattr(self.options, option, value)
            self.changed = option
            self._say("options")

    def _say(self, *changes: What) -> None:
        for what in changes:
            for watcher in self._watchers:
                watcher(what)

    # --- selecting ----------------------------------------------------------------------------------------------------

    def lasso(self, x: Sequence[float], y: Sequence[float], space: Literal["embedding", "map"]) -> None:
        """Select what lies in a polygon drawn in the latent space, or on the map.

        Parameters
        ----------
        x, y : sequence of float
            Its corners: along the two dims that are drawn; on the map columns and rows, 0 at the centre of the first.
        space : {"embedding", "map"}
            Where it was drawn.
        """
        if len(x) < 3:
            self.clear()
        elif space == "map":
            self.select(self._in_slice(Selection.lasso(zip(y, x, strict=True), "map")))
        elif self.drawing.is_line:
            self.box(min(x), max(x), 0.0, 1.0, space)
        else:
            self.select(Selection.lasso(zip(x, y, strict=True), "embedding", self.options.dims))

    def box(self, x0: float, x1: float, y0: float, y1: float, space: Literal["embedding", "map"]) -> None:
        """Select what lies in a box drawn in the latent space, or on the map; see `lasso`."""
        if space == "map":
            self.select(self._in_slice(Selection.box(y0, y1, x0, x1, "map")))
        elif self.drawing.is_line:
            self.select(Selection.box(x0, x1, x0, x1, "embedding", self.options.dims))
        else:
            self.select(Selection.box(x0, x1, y0, y1, "embedding", self.options.dims))

    def _in_slice(self, selection: Selection) -> Selection:
        """Of a stack only the picture that is shown."""
        stack = self.rows.thinning.stack
        for dim, at in enumerate(np.unravel_index(self.options.slice, stack) if stack else ()):
            ends = (int(at) - _MARGIN, int(at) + _MARGIN)
            selection = selection & Selection.box(*ends, -_MARGIN, self.rows.thinning.sizes[-1], "map", (dim, -1))
        return selection

    def select(self, outline: Selection | None) -> None:
        """Select what lies in an outline; where clusters are ticked, only of these."""
        self.outline = outline
        self._choose()

    def choose(self, clusters: Iterable[int]) -> None:
        """Tick clusters of the list, which selects their pixels and takes an outline away."""
        there = {cluster.id for cluster in self.edits.clusters} | {-1}
        self.chosen = tuple(sorted({int(cluster) for cluster in clusters} & there))
        self.outline = None
        self._choose()

    def clear(self) -> None:
        """Select nothing."""
        self.chosen, self.outline = (), None
        self._choose()

    def _choose(self) -> None:
        rows, mask = self.rows, None
        if self.outline is not None:
            mask = self.outline.mask(rows.positions, rows.flat, rows.thinning.sizes)
            if self.chosen:
                mask &= self.pieces.within(self.chosen)
        elif self.chosen:
            mask = self.pieces.within(self.chosen)
        self.choice = (
            None if mask is None else Choice(self.outline, self.chosen, mask, int(np.count_nonzero(mask & rows.usable)))
        )
        self.reading = Reading()
        self._say("choice")

    # --- editing ------------------------------------------------------------------------------------------------------

    def merge(self) -> None:
        """Merge the ticked clusters."""
        kept = self.edits.merge(self._ticked("to merge"))
        self._edited((kept,))

    def split(self, *, noise: bool = False, name: str | None = None) -> None:
        """Make a cluster of what is selected by an outline; of the ticked clusters only, if any are."""
        if self.outline is None:
            raise ParameterError(
                "nothing drawn", "a lasso or a box in the latent space or on the map", "draw around the pixels to split"
            )
        clusters = [cluster for cluster in self.chosen if cluster >= 0] if self.chosen else None
        made = self.edits.split(self.outline, clusters=clusters, noise=noise, name=name or None)
        self._edited((made,))

    def rename(self, name: str) -> None:
        """Give the one ticked cluster a name."""
        ticked = self._ticked("to rename")
        if len(ticked) != 1:
            raise ParameterError(f"{len(ticked)} clusters ticked", "one, to rename it", "tick only that one")
        self.edits.rename(ticked[0], name or None)
        self._edited(self.chosen)

    def recolour(self, colour: str) -> None:
        """Give the ticked clusters a colour, all of them the same."""
        self.edits.recolour(dict.fromkeys(self._ticked("to recolour"), colour.lower()))
        self._edited(self.chosen)

    def reset(self) -> None:
        """Go back to the run's own clusters."""
        self.edits.reset()
        self._edited(self.chosen)

    def undo(self) -> None:
        """Take the last edit back."""
        if self.edits.can_undo:
            self.edits.undo()
            self._edited(self.chosen)

    def redo(self) -> None:
        """Make an edit again that was taken back."""
        if self.edits.can_redo:
            self.edits.redo()
            self._edited(self.chosen)

    def save(self, name: str | None = None) -> None:
        """Keep the edits with the run.

        Raises
        ------
        EditConflictError
            If somebody else has saved since.
        """
        self.edits.save(name=name)
        self._say("edits")

    def _ticked(self, purpose: str) -> list[int]:
        ticked = [cluster for cluster in self.chosen if cluster >= 0]
        if not ticked:
            raise ParameterError("no cluster ticked", f"those {purpose}", "tick them in the list")
        return ticked

    def _edited(self, chosen: Sequence[int]) -> None:
        self._follow(_ids(self.edits, self.rows, self._following))
        self._say("edits")
        there = {cluster.id for cluster in self.edits.clusters} | {-1}
        self.chosen = tuple(cluster for cluster in chosen if cluster in there)
        self.outline = None
        self._choose()

    def _follow(self, ids: NDArray[np.int32]) -> None:
        self.pieces.follow(ids)
        self.clusters = self.edits.clusters
        self.counts = self.pieces.counts()

    @property
    def colours(self) -> dict[int, str]:
        """Colour of each cluster."""
        return {cluster.id: cluster.colour for cluster in self.clusters}

    # --- signals ------------------------------------------------------------------------------------------------------

    def show_signal(self, signal: xr.DataArray | xr.Dataset | None, note: str, pixels: int | None = None) -> None:
        """Show a mean signal that was read elsewhere."""
        self.reading.signal, self.reading.note, self.reading.pixels = signal, note, pixels
        self._say("signal")

    def progress(self, done: float, total: float) -> None:
        """Show how far reading is."""
        self.reading.done, self.reading.total = done, total
        self._say("progress")

    def say(self, text: str, *, error: bool = False) -> None:
        """Tell people something."""
        self.message = (text, error)
        self._say("message")

    def navigation(self) -> xr.DataArray:
        """The labels as the run has them, for their coordinates."""
        return labels_of(self.run)


def _ids(edits: Edits, rows: Rows, following: Following) -> NDArray[np.int32]:
    """Cluster of each row in memory after the edits; where these ask for latent dims that are not held, it is read."""
    if _farthest(edits.history) < rows.positions.shape[1]:
        return following.after(edits.history)
    return rows.thinning.read(edits.labels(), np.int32)


def _farthest(history: History) -> int:
    """The last latent dim that any split in force was drawn in; -1 where none was."""
    drawn = (one for each in history.effective if isinstance(each, Split) for one in each.selection.everything())
    return max(
        (max(one.dims) for one in drawn if isinstance(one, Lasso | Box) and one.space == "embedding"), default=-1
    )
