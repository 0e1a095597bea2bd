"""A model of somebody else's, fitted by its `partial_fit` to pixels in the order of blocks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from refold.engine import Block, Where
from refold.planning import Grid

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

    def start(self) -> list[npt.NDArray[Any]]:
        """No rows wait, and none was seen."""
        return [np.empty(0), np.zeros((), np.int64)]

    def visit(self, state: list[npt.NDArray[Any]], block: Block, where: Where) -> None:
        """Add the rows of a block to those that wait, and let all whole batches go but one."""
        rows = block.rows[block.valid]
        waiting = np.concatenate([state[0], rows]) if state[0].size else rows
        state[1] += len(rows)
        while len(waiting) >= 2 * self.rows:
            self.model.partial_fit(waiting[: self.rows])
            waiting = waiting[self.rows :]
        state[0] = waiting.copy()  # the block's memory is wanted for the next one

    def merge(self, one: list[npt.NDArray[Any]], other: list[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        """Refuse: a model cannot be joined with another."""
        raise AssertionError("batches of more than one partition")  # `one_by_one` has seen to it

    def finish(self, state: list[npt.NDArray[Any]]) -> int:
        """Fit the last batch; tell how many rows there were."""
        if len(state[0]):
            self.model.partial_fit(state[0])
        return int(state[1])
