"""What there is to draw: images of numbers with palettes, for the map and for the latent space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from refold.editing import Selection
from refold.explore.grounds import Ground, grounds_of
from refold.explore.histogram import Bars
from refold.explore.raster import Cells, Groups, View, levelled_palette
from refold.report.colours import NOISE
from refold.report.points import limits_of

if TYPE_CHECKING:
    from refold.explore.model import Model

__all__ = ["Drawing"]


class Drawing:
    """Images of a model, as it is when they are asked for.

    Parameters
    ----------
    model : Model

    Attributes
    ----------
    grounds : dict of str to Ground
        Images that can lie under the map.
    limits : list of tuple
        Ends of each latent dim, less the farthest thousandth of the pixels.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        rows = model.rows
        self.grounds: dict[str, Ground] = grounds_of(model.run, model.scan, rows.thinning)
        self.limits = [limits_of(_finite(column)) for column in rows.positions.T]
        self._grey: dict[str, NDArray[np.uint8]] = {}
        self._cells: Cells | Bars | None = None
        self._groups: tuple[Any, Groups] | None = None
        self._key: tuple[Any, ...] = ()

    # --- the map ------------------------------------------------------------------------------------------------------

    def picture(self, values: NDArray[Any]) -> NDArray[Any]:
        """Cut the picture that is shown out of values of all rows in memory: (row, column), the first row on top."""
        thinning = self.model.rows.thinning
        return np.asarray(values.reshape(thinning.slices, *thinning.shape)[self.model.options.slice])

    def map_image(self) -> NDArray[Any]:
        """Piece numbers of the phase map; see `Pieces`."""
        return self.picture(self.model.pieces.image)

    def map_palette(self) -> list[str]:
        """Colours of the pieces."""
        return self.model.pieces.palette(self.model.colours, self._shown())

    def map_lit(self) -> NDArray[np.uint8]:
        """1 where a pixel is selected."""
        mask = np.zeros(len(self.model.rows), bool) if self.model.choice is None else self.model.choice.mask
        return self.picture(mask).view(np.uint8)

    @property
    def must_read(self) -> bool:
        """Whether the image under the map takes long to be read, and was not yet."""
        name = self.model.options.ground
        return bool(name) and self.grounds[name].slow and name not in self._grey

    def ground_image(self) -> NDArray[np.uint8] | None:
        """Greys of the image under the map; None where none is chosen."""
        name = self.model.options.ground
        if not name:
            return None
        if name not in self._grey:
            self.keep(name, self.grounds[name].grey())
        return self.picture(self._grey[name])

    def keep(self, name: str, grey: NDArray[np.uint8]) -> None:
        """Keep the greys of an image that was read; of one at a time."""
        self._grey = {name: grey}

    def _shown(self) -> tuple[int, ...] | None:
        chosen = self.model.chosen
        return chosen if self.model.options.alone and chosen else None

    # --- the latent space ---------------------------------------------------------------------------------------------

    @property
    def has_latent(self) -> bool:
        """Whether there is a latent space to draw."""
        return bool(self.model.rows.positions.shape[1])

    @property
    def is_line(self) -> bool:
        """Whether the latent space has one dim, so that a histogram is drawn of it."""
        return bool(self.model.rows.positions.shape[1] == 1)

    def whole_view(self, width: int, height: int) -> View:
        """The window that shows all of the latent space, less the farthest thousandth."""
        if self.is_line:
            return View(*self.limits[0], 0.0, 1.0, width, height)
        (left, right), (bottom, top) = (self.limits[dim] for dim in self.model.options.dims)
        return View(left, right, bottom, top, width, height)

    def latent_image(self, view: View) -> NDArray[np.uint16]:
        """Draw the latent space in a window; see `Cells.image`."""
        key = (view, self.model.options.share, self.model.options.dims)
        if self._cells is None or self._key != key:
            x, y = (self.model.rows.positions[:, dim] for dim in self.model.options.dims)
            share = self.model.options.share
            self._cells, self._key = Bars(view, x, share) if self.is_line else Cells(view, x, y, share), key
        return self._cells.image(self._grouped())

    def _grouped(self) -> Groups:
        """The rows by cluster, noise first; ordered anew only after an edit that moved any."""
        pieces = self.model.pieces
        key = (pieces.version, pieces.ids.tobytes(), tuple(self.model.colours))
        if self._groups is None or self._groups[0] != key:
            ids = [-1, *self.model.colours]
            place = np.zeros(max(ids) + 2, np.int32)
            place[np.array(ids) + 1] = np.arange(len(ids))
            self._groups = key, Groups(place[pieces.ids + 1][pieces.image], len(ids))
        return self._groups[1]

    def latent_palette(self) -> list[str]:
        """Colours of the numbers of `latent_image`."""
        shown = self._shown()
        colours = {-1: NOISE, **self.model.colours}
        return levelled_palette([colour if shown is None or i in shown else "" for i, colour in colours.items()])

    def latent_lit(self) -> NDArray[np.uint8] | None:
        """What of the latest latent image is selected; see `Cells.lit`."""
        if self._cells is None:
            return None
        mask = np.zeros(len(self.model.rows), bool) if self.model.choice is None else self.model.choice.mask
        return self._cells.lit(mask)

    def ready(self) -> None:
        """Have everything compiled that a first selection needs: in a new environment that takes seconds."""
        rows, few = self.model.rows, slice(0, 1)
        places = (rows.flat[few], rows.thinning.sizes)
        corners = [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)]
        Selection.lasso(corners, "map").mask(None, *places)
        Selection.box(0, 1, 0, 1, "map").mask(None, *places)
        if self.has_latent:
            Selection.lasso(corners, "embedding", self.model.options.dims).mask(rows.positions[few], *places)
            Selection.box(0, 1, 0, 1, "embedding", self.model.options.dims).mask(rows.positions[few], *places)
        self.latent_lit()

    def row_at(self, x: float, y: float) -> int | None:
        """A row that is seen at a place in the latent space; None where nothing is."""
        return None if self._cells is None else self._cells.row_at(x, y)

    def place_of(self, row: int) -> tuple[float, float] | None:
        """Where a row lies in the latent space, along the dims that are drawn; None where it lies nowhere."""
        if not self.has_latent:
            return None
        x, y = (float(self.model.rows.positions[row, dim]) for dim in self.model.options.dims)
        return (x, 0.5 if self.is_line else y) if np.isfinite(x + y) else None

    def pixel_of(self, row: int) -> tuple[int, int] | None:
        """Column and row on the map; None where that is another picture of the stack than is shown."""
        *above, column = self.model.rows.thinning.index_of(row)
        down = above.pop() if above else 0
        stack = self.model.rows.thinning.stack
        if stack and int(np.ravel_multi_index(above, stack)) != self.model.options.slice:
            return None
        return column, down


def _finite(values: NDArray[np.float32]) -> NDArray[np.float64]:
    finite = values[np.isfinite(values)].astype(np.float64)
    return finite if finite.size else np.zeros(1)
