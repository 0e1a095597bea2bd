"""The latent space as an image: which cluster fills a cell, and how densely."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refold.explore import kernels

__all__ = ["LEVELS", "Cells", "Groups", "View", "levelled_palette"]

LEVELS = 8
"""Shades of density."""
_FAINTEST = 0.42  # opacity of a cell with one pixel
_SPARSE = 0.5  # share of the cells near a point that are filled when points are as large as they get
_RADIUS = 4


@dataclass(frozen=True, slots=True)
class View:
    """A window on the latent space, and the cells of the canvas.

    Attributes
    ----------
    left, right, bottom, top : float
        In the latent space.
    width, height : int
        Of the canvas, in cells.
    """

    left: float
    right: float
    bottom: float
    top: float
    width: int
    height: int

    def cell_of(self, x: float, y: float) -> int | None:
        """Cell at a place; None outside."""
        a = (x - self.left) * (self.width / (self.right - self.left))
        b = (y - self.bottom) * (self.height / (self.top - self.bottom))
        if not (0 <= a < self.width and 0 <= b < self.height):
            return None
        return int(b) * self.width + int(a)


class Groups:
    """Rows in the order of their groups.

    Parameters
    ----------
    group : numpy.ndarray
        Int32 (row,).
    number : int
        How many groups there are.
    """

    def __init__(self, group: NDArray[np.int32], number: int) -> None:
        self.order, self.begins = kernels.order_by(group, number)


class Cells:
    """The rows in the cells of a view.

    Parameters
    ----------
    view : View
    x, y : numpy.ndarray
        Float32 (row,).
    share : float
        Of the rows to draw, the same ones for every view.

    Attributes
    ----------
    index : numpy.ndarray
        Int32 (row,): the cell of each row, -1 where it is not drawn.
    total : numpy.ndarray
        Uint32 (cell,): rows in each.
    near : numpy.ndarray
        Int32 (cell,): the cell whose content is shown there, itself unless points are drawn larger than a cell.
    """

    def __init__(self, view: View, x: NDArray[np.float32], y: NDArray[np.float32], share: float = 1.0) -> None:
        self.view = view
        self.index = np.empty(len(x), np.int32)
        per_x, per_y = view.width / (view.right - view.left), view.height / (view.top - view.bottom)
        kernels.place(x, y, view.left, view.bottom, per_x, per_y, view.width, view.height, share, self.index)
        self.near: NDArray[np.int32] = np.empty(view.width * view.height, np.int32)
        self.total: NDArray[np.uint32] = np.zeros(0, np.uint32)
        self.first: NDArray[np.int32] = np.zeros(0, np.int32)

    def image(self, groups: Groups) -> NDArray[np.uint16]:
        """Draw the cells.

        Parameters
        ----------
        groups : Groups
            The first of which is drawn behind the others.

        Returns
        -------
        numpy.ndarray
            Uint16 (height, width), bottom row first: 0 where nothing is, else ``1 + group * LEVELS + level``, where the
            level rises with the logarithm of the rows in the cell.
        """
        cells = self.view.width * self.view.height
        who, count = np.full(cells, -1, np.int32), np.zeros(cells, np.uint32)
        self.total, self.first = np.zeros(cells, np.uint32), np.full(cells, -1, np.int32)
        kernels.gather(self.index, groups.order, groups.begins, 1, who, count, self.total, self.first)
        self._spread(who)
        level = _levels(self.total)
        shown = self.near >= 0
        image = np.zeros(cells, np.uint16)
        source = self.near[shown]
        image[shown] = 1 + who[source] * LEVELS + level[source]
        return image.reshape(self.view.height, self.view.width)

    def _spread(self, who: NDArray[np.int32]) -> None:
        """Draw points larger where few are in view, so that each is seen."""
        filled = int(np.count_nonzero(self.total))
        radius = point_radius(filled, len(who))
        if radius == 0:
            np.copyto(self.near, np.where(self.total > 0, np.arange(len(who), dtype=np.int32), -1))
            return
        kernels.spread(who, self.total, radius, self.view.height, self.view.width, self.near)

    def lit(self, mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """Light up a selection.

        Parameters
        ----------
        mask : numpy.ndarray
            Bool (row,).

        Returns
        -------
        numpy.ndarray
            Uint8 (height, width): 0 where nothing is, 1 where something is that is not selected, 2 where any row is.
        """
        out, lit = np.empty(len(self.near), np.uint8), np.empty(len(self.near), np.uint8)
        kernels.light(self.index, mask, self.near, lit, out)
        return out.reshape(self.view.height, self.view.width)

    def row_at(self, x: float, y: float) -> int | None:
        """A row that is seen at a place in the latent space; None where nothing is."""
        cell = self.view.cell_of(x, y)
        if cell is None or self.near[cell] < 0:
            return None
        return int(self.first[self.near[cell]])


def point_radius(filled: int, cells: int) -> int:
    """How far around its cell a point is drawn: the farther, the emptier the canvas.

    Examples
    --------
    >>> point_radius(100, 250_000), point_radius(20_000, 250_000), point_radius(200_000, 250_000)
    (4, 1, 0)
    """
    for radius in range(_RADIUS, 0, -1):
        if filled * (2 * radius + 1) ** 2 <= _SPARSE * cells * (1.5 if radius == 1 else 1.0):
            return radius
    return 0


def _levels(total: NDArray[np.uint32]) -> NDArray[np.uint16]:
    """Shade of each cell."""
    most = int(total.max()) if total.size else 0
    if most <= 1:
        return np.full(len(total), LEVELS - 1, np.uint16)
    scaled = np.log1p(total.astype(np.float32)) / np.float32(np.log1p(most))
    return np.minimum((scaled * LEVELS).astype(np.uint16), LEVELS - 1)


def levelled_palette(colours: list[str]) -> list[str]:
    """Colours of the numbers of `Cells.image`, for those of the groups; what is nowhere is clear.

    Examples
    --------
    >>> levelled_palette(["#0072b2"])[-1]
    '#0072b2ff'
    """
    made = ["#00000000"]
    for colour in colours:
        for level in range(LEVELS):
            opacity = _FAINTEST + (1 - _FAINTEST) * level / (LEVELS - 1)
            made.append(f"{colour[:7]}{round(255 * opacity):02x}" if len(colour) == 7 else "#00000000")
    return made
