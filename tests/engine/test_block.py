"""Blocks hand out their values in the forms that visitors want, and know where they are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refold.engine import Block, Where
from refold.engine.block import row_dtype
from refold.errors import ParameterError
from tests.strategies import DTYPES, shapes, values


@given(st.data())
def test_pixels_are_flat_indices_in_the_order_of_the_rows(data):
    grid = data.draw(shapes(data.draw(st.integers(1, 3))))
    starts = [data.draw(st.integers(0, size - 1)) for size in grid]
    slices = tuple(
        slice(start, data.draw(st.integers(start + 1, size))) for start, size in zip(starts, grid, strict=True)
    )
    where = Where(slices, grid)
    everything = np.arange(np.prod(grid)).reshape(grid)
    assert np.array_equal(where.pixels, everything[slices].ravel())
    assert np.array_equal(where.pick(everything), where.pixels)
    assert where.size == where.pixels.size
    assert where.shape == everything[slices].shape


def test_a_map_of_another_shape_is_refused():
    with pytest.raises(ParameterError, match=r"\(4, 5\)"):
        Where((slice(0, 1), slice(0, 1)), (4, 5)).pick(np.zeros((5, 4)))


@given(st.data(), st.sampled_from([*DTYPES, "bool", "float16", "int64", "uint64", ">f4", ">u2"]))
def test_rows_are_the_values_as_floats(data, dtype: str):
    shape = data.draw(shapes(4, max_side=4))
    array = np.ascontiguousarray(data.draw(values(shape, "uint8")).astype(dtype))
    for given_array in (array, array.transpose(1, 0, 3, 2)):
        block = Block(given_array, 2)
        wanted = given_array.reshape(given_array.shape[0] * given_array.shape[1], -1)
        assert block.rows.dtype == row_dtype(dtype)
        assert np.array_equal(block.rows, wanted.astype(block.rows.dtype))
        assert np.array_equal(block.numbers, wanted)
        assert block.valid.all()
        assert block.valid.shape == (block.n_pixels,)
        for shared in (block.data, block.rows, block.numbers):
            assert not shared.flags.writeable
    assert array.flags.writeable  # the user's own array stays as it was


def test_counts_of_sixteen_bits_are_not_converted_for_compiled_loops():
    data = np.ones((2, 3, 4), "u2")
    assert Block(data, 2).numbers.dtype == np.uint16
    assert np.shares_memory(Block(data, 2).numbers, data)


@given(st.data(), st.sampled_from(["float16", "float32", "float64"]))
def test_valid_pixels_are_finite_throughout(data, dtype: str):
    shape = data.draw(shapes(3))
    array = data.draw(values(shape, "float32", invalid=True)).astype(dtype)
    block = Block(array, 1)
    assert np.array_equal(block.valid, np.isfinite(array).reshape(shape[0], -1).all(axis=1))
    assert np.array_equal(block.valid_rows, block.rows[block.valid])


def test_a_sum_that_overflows_does_not_make_a_pixel_invalid():
    rows = np.array([[3e38, 3e38], [np.inf, -np.inf], [1.0, 2.0]], "f4")
    assert Block(rows, 1).valid.tolist() == [True, False, True]
