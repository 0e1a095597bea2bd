"""What several visitors share is computed once for each block."""

from __future__ import annotations

import pickle

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from refold.engine import Block, Histogram, Once, Where, sweep
from tests.engine.cases import grids
from tests.strategies import cubes


@given(st.data(), cubes(invalid=True))
def test_each_block_is_computed_once(data, cube):
    seen = []

    def compute(block: Block, where: Where) -> np.ndarray:
        seen.append(where.pixels[0])
        return block.data

    shared = Once(compute)
    grid = data.draw(grids(cube))
    edges = np.linspace(-5, 5, 11)
    one, other, plain = sweep(
        cube, Histogram(edges, of=shared), Histogram(edges, of=shared, per_feature=True), Histogram(edges), grid=grid
    )
    assert sorted(seen) == sorted(set(seen))
    assert len(seen) == grid.n_blocks
    assert np.array_equal(one, plain)
    assert np.array_equal(other.sum(axis=0), plain)


def test_it_travels_without_what_it_computed():
    shared = Once(brightest)
    block, where = Block(np.eye(3), 1), Where((slice(0, 3),), (3,))
    assert shared(block, where) is shared(block, where)
    assert pickle.loads(pickle.dumps(shared))(block, where).tolist() == [1, 1, 1]


def brightest(block: Block, where: Where) -> np.ndarray:
    return block.rows.max(axis=1)
