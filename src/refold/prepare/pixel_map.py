"""A number for each pixel, found in a sweep and kept in memory."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from refold.engine import Block, Where

Floats = npt.NDArray[np.float32]
Pieces = list[tuple[Where, Floats]]


class PixelMap:
    """Visitor: one number of each pixel, as a map of the whole scan.

    Parameters
    ----------
    of : callable
        ``of(block)`` gives the numbers of a block's pixels, of shape (pixel,); picklable.
    n_pixels : int
        Of the scan, so that the plan knows the size of a state: 4 bytes a pixel.

    Examples
    --------
    >>> import refold
    >>> cube = refold.as_cube(np.arange(6.0).reshape(1, 2, 3), signal="energy")
    >>> refold.sweep(cube, PixelMap(lambda block: block.rows.max(axis=1), 2))
    (array([[2., 5.]], dtype=float32),)
    """

    def __init__(self, of: Callable[[Block], npt.NDArray[np.floating]], n_pixels: int) -> None:
        self.of = of
        self.n_pixels = n_pixels

    @property
    def nbytes(self) -> int:
        """Bytes of the map."""
        return 4 * self.n_pixels

    def start(self) -> Pieces:
        """No piece yet."""
        return []

    def visit(self, state: Pieces, block: Block, where: Where) -> None:
        """Add the piece of a block."""
        state.append((where, np.asarray(self.of(block), np.float32).reshape(where.shape)))

    def merge(self, one: Pieces, other: Pieces) -> Pieces:
        """Put the pieces together."""
        return one + other

    def finish(self, state: Pieces) -> Floats:
        """Lay out the map."""
        values = np.full(state[0][0].grid, np.nan, np.float32)
        for where, piece in state:
            values[where.slices] = piece
        return values
