"""Ways to learn a scaling from blocks: after a function of their rows, by quartiles, or by a model's `partial_fit`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from sklearn.base import clone

from refold.cube import n_features
from refold.engine import Block, Moments, MomentsResult, RankSearch, Where, sweep
from refold.features.affine import QUARTILES
from refold.planning import Grid

Array = npt.NDArray[Any]
_ROWS = 4096


@dataclass
class _Fitting:
    """A model on its way, and the rows that wait for it."""

    model: Any
    waiting: Array | None = None
    seen: int = 0


class Batches:
    """Visitor: hand the valid rows to the ``partial_fit`` of a copy of a model, so many at a time.

    Parameters
    ----------
    model : object
        Of scikit-learn's kind.
    n_features : int
        Features of the cube.
    rows : int
        Rows of a batch, wherever blocks end; the last batch is the longer one, so that none is too short.
    """

    def __init__(self, model: Any, n_features: int, rows: int = _ROWS) -> None:
        self.model = model
        self.n_features = n_features
        self.rows = rows

    @property
    def nbytes(self) -> int:
        """Bytes of the rows that wait, or are just let go."""
        return 3 * self.rows * self.n_features * 8

    def one_by_one(self, grid: Grid) -> Grid:
        """Let the sweep be one partition: two halves of a model of somebody else's cannot be merged."""
        return replace(grid, n_partitions=1)

    def start(self) -> _Fitting:
        """Nothing seen yet."""
        return _Fitting(clone(self.model))

    def visit(self, state: _Fitting, block: Block, where: Where) -> None:
        """Add the rows of a block to those that wait, and let all whole batches go but one."""
        rows = block.valid_rows
        state.seen += len(rows)
        for start in range(0, len(rows), self.rows):
            part = rows[start : start + self.rows]
            waiting = part if state.waiting is None else np.concatenate([state.waiting, part])
            if len(waiting) >= 2 * self.rows:
                state.model.partial_fit(waiting[: self.rows])
                waiting = waiting[self.rows :]
            state.waiting = waiting.copy()  # the block's memory is wanted for the next one

    def merge(self, one: _Fitting, other: _Fitting) -> _Fitting:
        """Refuse."""
        raise AssertionError("batches of more than one partition")  # `one_by_one` has seen to it

    def finish(self, state: _Fitting) -> tuple[Any, int]:
        """Fit the last batch; hand out the model, and how many rows it saw."""
        if state.waiting is not None and len(state.waiting):
            state.model.partial_fit(state.waiting)
        return state.model, state.seen


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
