"""What the tests of this room sweep: a small scan, ways to cut it, and visitors of one's own."""

from __future__ import annotations

import time
from itertools import accumulate

import dask.array as da
import numpy as np
import xarray as xr
from hypothesis import strategies as st

from refold.cube import as_cube, navigation_shape
from refold.planning import Grid
from tests.strategies import splits


@st.composite
def grids(draw: st.DrawFn, cube: xr.DataArray) -> Grid:
    """A grid over the cube's navigation dims: any edges, any number of partitions."""
    edges = tuple((0, *accumulate(draw(splits(size)))) for size in navigation_shape(cube))
    grid = Grid(edges)
    return Grid(edges, draw(st.integers(1, min(grid.n_blocks, 9))))


GRID = Grid(((0, 4, 8, 12), (0, 5, 10)), n_partitions=5)


def scan(lazy: bool = True):
    rng = np.random.default_rng(0)
    values = rng.gamma(2.0, 3.0, (12, 10, 40)).astype("f4")
    values[3, 4, 5] = np.nan
    array = da.from_array(values, chunks=(4, 5, 40)) if lazy else values
    return as_cube(array, signal="energy")


class Brightest:
    """A user's own visitor; it needs to derive from nothing."""

    def start(self):
        return [-np.inf]

    def visit(self, state, block, where):
        state[0] = max(state[0], np.nanmax(block.data))

    def merge(self, one, other):
        return [max(one[0], other[0])]

    def finish(self, state):
        return float(state[0])


class Broken:
    """Fails at one block."""

    def __init__(self, at: int = 3, error: type[BaseException] = ZeroDivisionError) -> None:
        self.at = at
        self.error = error
        self.visits = 0

    def start(self):
        return None

    def visit(self, state, block, where):
        self.visits += 1
        index = GRID.counts[1] * (where.slices[0].start // 4) + where.slices[1].start // 5
        if index == self.at:
            raise self.error("broken")
        time.sleep(0.01)

    def merge(self, one, other):
        return None

    def finish(self, state):
        return None
