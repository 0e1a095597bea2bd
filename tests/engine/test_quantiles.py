"""Quantiles out of core are those that NumPy finds in memory, bit for bit; with fewer sweeps, within the bound."""

from __future__ import annotations

import pickle

import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refold.cube import as_cube, n_pixels
from refold.engine import RankSearch, plan_grid, quantile_bound, quantiles, sweep
from refold.errors import ParameterError
from tests.engine.cases import grids
from tests.guards import count_reads
from tests.strategies import cubes

QUARTILES = [0.0, 0.25, 0.5, 0.75, 1.0]


def wanted(values: np.ndarray, q) -> np.ndarray:
    """NumPy's answer for the rows that are finite throughout, reckoned in doubles."""
    rows = values.astype(np.float64).reshape(-1, values.shape[-1])
    return np.quantile(rows[np.isfinite(rows).all(axis=1)], np.asarray(q), axis=0)


def line(values: np.ndarray, chunk: int = 7):
    rows = np.atleast_2d(values)
    return as_cube(da.from_array(rows, chunks=(chunk, -1)), signal="energy")


# --- the law ----------------------------------------------------------------------------------------------------------


@given(st.data())
def test_as_numpy_for_any_cube_cut_and_share(data):
    cube = data.draw(cubes(invalid=True))
    q = data.draw(st.lists(st.floats(0, 1), min_size=1, max_size=4))
    rows = cube.values.astype(np.float64).reshape(n_pixels(cube), -1)
    found = quantiles(cube, q, sweeps=6, grid=data.draw(grids(cube)), workers=2)
    if np.isfinite(rows).all(axis=1).any():
        np.testing.assert_array_equal(found, wanted(rows, q))
    else:
        assert np.isnan(found).all()
        assert found.shape == (len(q), rows.shape[1])


@given(st.data())
def test_fewer_sweeps_keep_within_the_bound(data):
    cube = data.draw(cubes(dtypes=("uint16", "int32", "float32", "float64")))
    sweeps = data.draw(st.integers(1, 4))
    rows = np.sort(cube.values.reshape(n_pixels(cube), -1).astype(np.float64), axis=0)
    q = data.draw(st.lists(st.floats(0, 1), min_size=1, max_size=4))
    error = np.abs(quantiles(cube, q, sweeps=sweeps) - wanted(rows, q))
    place = np.asarray(q) * (len(rows) - 1)
    below, above = np.floor(place).astype(int), np.ceil(place).astype(int)
    share = (place - below)[:, None]
    size = np.abs(rows[below]) * (1 - share) + np.abs(rows[above]) * share  # of the neighbours, as they are mixed
    bound = quantile_bound(cube.dtype, sweeps)
    assert (error <= (bound + 1e-14) * size + np.finfo("f4").tiny).all()


@pytest.mark.parametrize("sweeps", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("dtype", ["uint16", "int32", "int64", "float32", "float64"])
def test_the_bound_holds_over_all_magnitudes_and_is_reached(dtype, sweeps):
    top = 2.0**120 if np.dtype(dtype).kind == "f" else float(np.iinfo(dtype).max // 2)
    rng = np.random.default_rng(3)
    values = np.exp(rng.uniform(0, np.log(top), (4001, 1))) * (
        1 if dtype == "uint16" else rng.choice([-1, 1], (4001, 1))
    )
    values = np.sort(values.astype(dtype), axis=0)
    found = quantiles(line(values, 1000), np.arange(4001) / 4000, sweeps=sweeps)
    error = (np.abs(found - values.astype(float)) / np.abs(values.astype(float))).max()
    bound = quantile_bound(dtype, sweeps)
    assert bound / 3 <= error <= bound * (1 + 1e-9) + 1e-12
    if np.dtype(dtype).kind == "f" and error > 1e-9:
        assert error > bound * 0.9


@pytest.mark.parametrize(
    ("dtype", "sweeps"),
    [("bool", 1), ("uint8", 1), ("int16", 2), (">u2", 2), ("int32", 3), (">u4", 3), ("float32", 3), ("float16", 3)],
)
def test_exact_in_as_few_sweeps_as_its_bits_take(dtype, sweeps):
    rng = np.random.default_rng(1)
    info = np.iinfo(dtype) if np.dtype(dtype).kind in "iu" else None
    values = rng.integers(info.min, info.max, (41, 3), endpoint=True) if info else rng.normal(size=(41, 3)) > 0.1
    if np.dtype(dtype).kind == "f":
        values = rng.normal(size=(41, 3))
    values = values.astype(dtype)
    assert quantile_bound(dtype, sweeps) == 0
    np.testing.assert_array_equal(quantiles(line(values), QUARTILES, sweeps=sweeps), wanted(values, QUARTILES))
    if sweeps > 1:
        assert quantile_bound(dtype, sweeps - 1) > 0


# --- what is at the edges ---------------------------------------------------------------------------------------------


def test_any_range_zeros_of_both_signs_and_constants():
    tiny, huge = np.finfo("f4").smallest_subnormal, np.finfo("f4").max
    rng = np.random.default_rng(0)
    values = np.stack(
        [
            rng.choice([-huge, -1.0, -tiny, -0.0, 0.0, tiny, 1.0, huge], 60),
            np.full(60, 7.25),
            rng.choice([0.0, -0.0], 60),
            np.exp(rng.uniform(-80, 80, 60)) * rng.choice([-1, 1], 60),
            np.repeat([5.0, 6.0], 30),
        ],
        axis=1,
    ).astype("f4")
    shares = np.linspace(0, 1, 37)
    np.testing.assert_array_equal(quantiles(line(values), shares), wanted(values, shares))


def test_doubles_take_six_sweeps_and_are_near_after_three():
    values = np.exp(np.random.default_rng(0).uniform(-300, 300, (50, 2)))
    np.testing.assert_array_equal(quantiles(line(values), QUARTILES, sweeps=6), wanted(values, QUARTILES))
    np.testing.assert_allclose(quantiles(line(values), 0.5), wanted(values, 0.5), rtol=quantile_bound("float64", 3))
    assert quantile_bound("float64", 3) == 2.0**-22


def test_one_pixel_and_one_share():
    assert quantiles(as_cube(np.array([[3.0, -1.0]], "f4"), signal="energy"), 0.3).tolist() == [3.0, -1.0]


def test_pixels_with_anything_not_finite_are_left_out():
    values = np.arange(30, dtype="f4").reshape(10, 3)
    values[0, 1], values[9, 0] = np.nan, np.inf
    np.testing.assert_array_equal(quantiles(line(values), QUARTILES), wanted(values[1:9], QUARTILES))
    assert np.isnan(quantiles(line(np.full((4, 3), np.nan, "f4")), QUARTILES)).all()


@pytest.mark.parametrize("q", [[], 1.5, [-0.1], np.nan])
def test_a_share_that_is_none(q):
    with pytest.raises(ParameterError, match="0 and 1"):
        quantiles(line(np.ones((2, 2))), q)


def test_no_sweep_at_all():
    with pytest.raises(ParameterError, match="sweeps=0"):
        quantiles(line(np.ones((2, 2))), 0.5, sweeps=0)


# --- what it costs ----------------------------------------------------------------------------------------------------


def test_reads_once_a_sweep(tmp_path):
    values = np.random.default_rng(0).random((12, 5), "f4")
    da.to_zarr(da.from_array(values, chunks=(4, 5)), str(tmp_path / "a.zarr"))
    cube = as_cube(da.from_zarr(str(tmp_path / "a.zarr")), signal="energy")
    with count_reads() as reads:
        quantiles(cube, QUARTILES)
    assert set(reads.of_chunks.values()) == {3}


def test_states_are_the_same_however_many_work_and_travel():
    cube = line(np.random.default_rng(0).normal(size=(60, 4)).astype("f4"))
    search = RankSearch(cube, QUARTILES)
    one, many = (sweep(cube, pickle.loads(pickle.dumps(search.visitor)), workers=workers)[0] for workers in (1, 5))
    np.testing.assert_array_equal(one, many)
    assert one.sum() == 60 * 4


def test_the_state_is_as_large_as_said_and_the_plan_knows_it():
    cube = line(np.random.default_rng(0).random((50, 20), "f4"))
    search = RankSearch(cube, QUARTILES)
    sizes = []
    while search.visitor is not None:
        state = search.visitor.start()
        assert state.nbytes == search.visitor.nbytes
        sizes.append(state.nbytes)
        assert plan_grid(cube, search.visitor, memory="64MB").n_blocks
        search.settle(*sweep(cube, search.visitor))
    assert sizes[0] == 20 * 2048 * 4
    assert max(sizes) <= 20 * 2048 * 4 * 2 * len(QUARTILES)
