"""Blocks are unions of whole chunks, cover the grid once, and stay within their share of memory."""

from __future__ import annotations

import math
from itertools import accumulate, pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refold.errors import MemoryBudgetError
from refold.planning import Grid, lay_out
from tests.strategies import chunkings, shapes

EVEN = (32, 32, 32, 32)

# chunks, pixels that a block may hold, options -> edges, whether chunks are split
CASES = [
    # whole scan in one block
    ([(8,), (8,)], 64, {}, ((0, 8), (0, 8)), False),
    ([EVEN, EVEN], 10**6, {}, ((0, 128), (0, 128)), False),
    # along the last dim first
    ([EVEN, EVEN], 1024, {}, ((0, 32, 64, 96, 128), (0, 32, 64, 96, 128)), False),
    ([EVEN, EVEN], 2048, {}, ((0, 32, 64, 96, 128), (0, 64, 128)), False),
    ([EVEN, EVEN], 3 * 1024, {}, ((0, 32, 64, 96, 128), (0, 64, 128)), False),  # two even runs, not three and one
    ([EVEN, EVEN], 8192, {}, ((0, 64, 128), (0, 128)), False),
    # enough is enough
    ([EVEN, EVEN], 10**6, {"enough_bytes": 2048}, ((0, 32, 64, 96, 128), (0, 64, 128)), False),
    ([EVEN, EVEN], 10**6, {"enough_bytes": 1}, ((0, 32, 64, 96, 128), (0, 32, 64, 96, 128)), False),
    # work for every worker
    ([EVEN, EVEN], 10**6, {"min_blocks": 4}, ((0, 32, 64, 96, 128), (0, 128)), False),
    ([(8,), (8,)], 10**6, {"min_blocks": 4}, ((0, 8), (0, 8)), False),  # but no chunk is split for it
    # ragged ends, a line, a stack
    ([(32, 32, 6), (32, 32)], 2500, {}, ((0, 32, 64, 70), (0, 64)), False),
    ([(4, 4, 2)], 8, {}, ((0, 8, 10),), False),
    ([(1, 1, 1), (4, 4), (5,)], 40, {}, ((0, 1, 2, 3), (0, 8), (0, 5)), False),
    # chunks that are too large, cut along the first dim first
    ([(32, 32), (32,)], 512, {}, ((0, 16, 32, 48, 64), (0, 32)), True),
    ([(4,), (4,)], 2, {}, ((0, 1, 2, 3, 4), (0, 2, 4)), True),
    ([(4,), (4,)], 1, {}, ((0, 1, 2, 3, 4), (0, 1, 2, 3, 4)), True),
    # one position
    ([(1,), (1,)], 1, {}, ((0, 1), (0, 1)), False),
]


@pytest.mark.parametrize(("chunks", "pixels", "options", "edges", "splits"), CASES)
def test_layouts(chunks, pixels, options, edges, splits):
    grid = lay_out(chunks, pixel_bytes=1, block_bytes=pixels, **options)
    assert grid.edges == edges
    assert grid.splits_chunks is splits


@st.composite
def layouts(draw: st.DrawFn) -> tuple[tuple[tuple[int, ...], ...], Grid, int]:
    chunks = draw(shapes(draw(st.integers(1, 3)), max_side=40).flatmap(chunkings))
    pixel_bytes = draw(st.integers(1, 50))
    block_bytes = draw(st.integers(pixel_bytes, 50 * 40**2))
    enough = draw(st.none() | st.integers(1, 10**5))
    options = {"min_blocks": draw(st.integers(1, 9)), "max_partitions": draw(st.integers(1, 9)), "enough_bytes": enough}
    return chunks, lay_out(chunks, pixel_bytes, block_bytes, **options), block_bytes // pixel_bytes


@given(layouts())
def test_blocks_cover_the_grid_once(layout):
    chunks, grid, _ = layout
    assert grid.shape == tuple(sum(sizes) for sizes in chunks)
    blocks = [grid.block(index) for index in range(grid.n_blocks)]
    assert blocks == list(product(*(pairwise(edge) for edge in grid.edges)))  # C order
    assert sum(math.prod(b - a for a, b in block) for block in blocks) == math.prod(grid.shape)
    assert all(a < b for block in blocks for a, b in block)
    assert grid.block_pixels == max(math.prod(b - a for a, b in block) for block in blocks)


@given(layouts())
def test_blocks_fit_and_are_whole_chunks(layout):
    """Chunks are split only where one of them alone is too large, and then blocks fit all the same."""
    chunks, grid, max_pixels = layout
    assert grid.block_pixels <= max_pixels
    assert grid.splits_chunks is (math.prod(max(sizes) for sizes in chunks) > max_pixels)
    if not grid.splits_chunks:
        for edge, sizes in zip(grid.edges, chunks, strict=True):
            assert set(edge) <= {0, *accumulate(sizes)}


@given(layouts())
def test_partitions_are_consecutive_and_even(layout):
    _, grid, _ = layout
    parts = [grid.partition(index) for index in range(grid.n_partitions)]
    assert [index for part in parts for index in part] == list(range(grid.n_blocks))
    assert min(map(len, parts)) >= 1
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@given(layouts(), st.integers(1, 2000))
def test_no_two_blocks_touch_one_target_chunk(layout, max_pixels: int):
    _, grid, _ = layout
    chunks = grid.target_chunks(max_pixels)
    assert math.prod(chunks) <= max_pixels
    for edge, chunk in zip(grid.edges, chunks, strict=True):
        assert all(inner % chunk == 0 for inner in edge[1:-1])
        assert 1 <= chunk <= edge[-1]


@pytest.mark.parametrize(
    ("edges", "max_pixels", "chunks"),
    [
        (((0, 32, 64, 70), (0, 64)), 10**6, (32, 64)),
        (((0, 32, 64, 70), (0, 64)), 1024, (16, 64)),
        (((0, 7),), 3, (3,)),  # one block: its chunks need not divide it
        (((0, 6, 12),), 4, (3,)),
        (((0, 5, 12), (0, 4)), 10**6, (5, 4)),
        (((0, 5, 12, 20), (0, 4)), 10**6, (1, 4)),  # nothing but one divides 5 and 12
    ],
)
def test_target_chunks(edges, max_pixels, chunks):
    assert Grid(edges).target_chunks(max_pixels) == chunks


def test_a_pixel_that_does_not_fit_is_refused():
    with pytest.raises(MemoryBudgetError, match="rebin the signal") as raised:
        lay_out([(4,), (4,)], pixel_bytes=2_000_000, block_bytes=1_000_000)
    assert "2 MB" in str(raised.value)
    assert "1 MB" in str(raised.value)
    assert isinstance(raised.value, MemoryError)
