"""Blocks that stay in memory from one sweep to the next: read once, the same answers, no more than allowed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refold.engine import Moments, plan_grid, sweep
from refold.engine.keeping import Kept
from refold.engine.progress import Progress
from tests.engine.cases import GRID, scan
from tests.strategies import cubes


def counted():
    """A scan whose chunks are computed, so that reads are told of."""
    cube = scan()
    return cube.copy(data=cube.data.map_blocks(np.copy))


@given(cubes(), st.sampled_from([0, 200, 10**9]))
def test_what_is_kept_changes_no_answer(cube, memory: int) -> None:
    grid = plan_grid(cube)
    (wanted,) = sweep(cube, Moments(), grid=grid)
    kept = Kept(cube, grid, memory)
    for _ in range(3):
        (found,) = sweep(cube, Moments(), kept=kept, workers=2)
        assert found.mean.tobytes() == wanted.mean.tobytes()
        assert found.variance.tobytes() == wanted.variance.tobytes()
    assert kept.nbytes <= memory


@pytest.mark.parametrize(("memory", "later"), [(0, 1.0), (10**9, 0.0)])
def test_reads(memory: int, later: float) -> None:
    cube = counted()
    kept, told = Kept(cube, plan_grid(cube), memory), Progress()
    sweep(cube, Moments(), kept=kept, progress=told)
    first = told.tally.chunks_read
    sweep(cube, Moments(), kept=kept, progress=told)
    assert first > 0
    assert told.tally.chunks_read == first * (1 + later)
    assert kept.whole is bool(memory)


def test_part_of_a_cube_is_kept() -> None:
    cube = counted()
    grid = GRID
    half = cube.astype(np.float32).nbytes // 2
    kept, told = Kept(cube, grid, half), Progress()
    sweep(cube, Moments(), kept=kept, progress=told)
    first = told.tally.chunks_read
    sweep(cube, Moments(), kept=kept, progress=told)
    assert 0 < kept.nbytes <= half
    assert 0 < told.tally.chunks_read - first < first
    assert not kept.whole


def test_a_cube_in_memory_costs_nothing() -> None:
    cube = scan().compute().astype(np.float32)
    kept = Kept(cube, plan_grid(cube), 1)
    sweep(cube, Moments(), kept=kept)
    assert kept.whole
    assert kept.nbytes == 0
