"""Ways to learn a scaling from blocks: after a function of their rows, by quartiles, or by a model's `partial_fit`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from refold.cube import n_features
from refold.engine import Block, Moments, MomentsResult, RankSearch, Where, sweep
from refold.features.affine import QUARTILES
from refold.planning import Grid

Array = npt.NDArray[Any]
_ROWS = 4096


class Batches:
    """Visitor: hand the valid rows to a model's ``partial_fit``, so many at a time; the last batch is the longer one.

    Parameters
    ----------
    model : object
        Has ``partial_fit``. It lives here, so the sweep must be one partition, in this process: see `one_by_one`.
    rows : int
        Rows of a batch, which must not depend on where blocks end.
    """

    def __init__(self, model: Any, rows: int = _ROWS) -> None:
        self.model = model
        self.rows = rows

    @staticmethod
    def one_by_one(grid: Grid) -> Grid:
        """The same blocks, one after the other."""
        return replace(grid, n_partitions=1)

    def start(self) -> list[Array]:
        """No rows wait, and none was seen."""
        return [np.empty(0), np.zeros((), np.int64)]

    def visit(self, state: list[Array], block: Block, where: Where) -> None:
        """Add the rows of a block to those that wait, and let all whole batches go but one."""
        rows = block.rows[block.valid]
        waiting = np.concatenate([state[0], rows]) if state[0].size else rows
        state[1] += len(rows)
        while len(waiting) >= 2 * self.rows:
            self.model.partial_fit(waiting[: self.rows])
            waiting = waiting[self.rows :]
        state[0] = waiting.copy()  # the block's memory is wanted for the next one

    def merge(self, one: list[Array], other: list[Array]) -> list[Array]:
        """Refuse: a model cannot be joined with another."""
        raise AssertionError("batches of more than one partition")  # `one_by_one` has seen to it

    def finish(self, state: list[Array]) -> int:
        """Fit the last batch; tell how many rows there were."""
        if len(state[0]):
            self.model.partial_fit(state[0])
        return int(state[1])


class After:
    """Visitor: another one, which sees the rows of each block after a function of single pixels.

    Parameters
    ----------
    function : callable
        Takes rows and gives rows of the same width.
    visitor : Visitor
        The other one.
    """

    def __init__(self, function: Callable[[Array], Array], visitor: Any) -> None:
        self.function = function
        self.visitor = visitor
        self.start = visitor.start
        self.merge = visitor.merge
        self.finish = visitor.finish

    @property
    def nbytes(self) -> int:
        """Bytes of one state."""
        return int(self.visitor.nbytes)

    @property
    def working_nbytes(self) -> int:
        """Bytes that a visit takes beside it, but for the rows."""
        return int(getattr(self.visitor, "working_nbytes", 0))

    def visit(self, state: Any, block: Block, where: Where) -> None:
        """Show the changed rows."""
        self.visitor.visit(state, Block(self.function(block.rows), 1), where)


def sweep_quartiles(cube: xr.DataArray, sweeps: int, **options: Any) -> tuple[MomentsResult, npt.NDArray[np.float64]]:
    """Moments and quartiles of a cube, the moments from the first of the sweeps that the quartiles take."""
    search = RankSearch(cube, QUARTILES, sweeps=sweeps)
    options = {"label": "quartiles", **options}
    found: list[MomentsResult] = []
    while search.visitor is not None:
        also = () if found else (Moments(n_features=n_features(cube)),)
        *first, counts = sweep(cube, *also, search.visitor, **options)
        found += first
        search.settle(counts)
    return found[0], search.values
