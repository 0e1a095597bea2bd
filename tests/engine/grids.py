"""Strategies for this room: any way to cut a cube, aligned to its chunks or not."""

from __future__ import annotations

from itertools import accumulate

import xarray as xr
from hypothesis import strategies as st

from refold.cube import navigation_shape
from refold.planning import Grid
from tests.strategies import splits


@st.composite
def grids(draw: st.DrawFn, cube: xr.DataArray) -> Grid:
    """A grid over the cube's navigation dims: any edges, any number of partitions."""
    edges = tuple((0, *accumulate(draw(splits(size)))) for size in navigation_shape(cube))
    grid = Grid(edges)
    return Grid(edges, draw(st.integers(1, min(grid.n_blocks, 9))))
