"""Laws of z-scores and softmax: scikit-learn's and SciPy's, lazily, whatever the blocks and the order of steps."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax as theirs
from sklearn.preprocessing import StandardScaler

from refold.cube import as_cube, n_features, signal_dims
from refold.errors import DataError, ParameterError
from refold.features import Scaler
from refold.prepare import clip, log1p, neighbour_average, normalise, softmax, zscore
from tests.guards import no_compute
from tests.strategies import cubes


@settings(max_examples=8, deadline=None)
@given(cubes(min_pixels=3))
def test_zscores_are_scikit_learns_and_the_scalers(cube: xr.DataArray) -> None:
    rows = cube.values.reshape(-1, n_features(cube)).astype("f8")
    result = zscore(cube)
    constant = np.ptp(rows, axis=0) == 0
    wanted = StandardScaler().fit_transform(rows)
    wanted[:, constant] = 0
    np.testing.assert_allclose(result.values.reshape(rows.shape), wanted, rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(result.values, Scaler().fit(cube).transform(cube).values, rtol=2e-3, atol=2e-3)
    assert (result.dims, result.name) == (cube.dims, cube.name)
    assert (result.chunks is None) == (cube.chunks is None)


@settings(max_examples=6, deadline=None)
@given(cubes(lazy=True, invalid=True))
def test_zscores_of_what_is_known_compute_nothing(cube: xr.DataArray) -> None:
    with no_compute():
        result = zscore(cube, mean=3.0, std=2.0)
    np.testing.assert_allclose(result.values, (cube.values.astype("f8") - 3) / 2, rtol=1e-5)
    per_feature = xr.zeros_like(cube.isel(dict.fromkeys(set(cube.dims) - set(signal_dims(cube)), 0), drop=True), "f8")
    turned = per_feature.compute().transpose(*reversed(per_feature.dims)) + 1
    np.testing.assert_allclose(zscore(cube, turned, turned).values, cube.values.astype("f8") - 1, rtol=1e-5)


@settings(max_examples=8, deadline=None)
@given(cubes(invalid=True))
def test_softmax_is_scipys(cube: xr.DataArray) -> None:
    with no_compute():
        result = softmax(cube)
    rows = cube.values.reshape(-1, n_features(cube)).astype("f8")
    known = np.isfinite(rows).all(axis=1)
    wanted = np.full(rows.shape, np.nan)
    wanted[known] = theirs(rows[known], axis=1)
    np.testing.assert_allclose(result.values.reshape(rows.shape), wanted, rtol=1e-5, atol=1e-7)


def test_large_blocks_go_by_tiles_to_the_same() -> None:
    rng = np.random.default_rng(0)
    cube = as_cube(rng.poisson(4, (70, 60, 90)).astype("u1"), signal="energy")
    mean, std = cube.mean(("y", "x")).values, cube.std(("y", "x")).values
    for step in (softmax, lambda one: zscore(one, mean, std), lambda one: softmax(zscore(one, mean, std))):
        whole = step(cube).values
        by_row = np.concatenate([step(cube[at : at + 1]).values for at in range(cube.sizes["y"])])
        np.testing.assert_array_equal(whole, by_row)
        np.testing.assert_array_equal(step(cube.chunk(y=13, x=17, energy=50)).values, whole)


@given(st.permutations(range(4)))
@settings(max_examples=4, deadline=None)
def test_steps_go_in_any_order(order: list[int]) -> None:
    counts = np.random.default_rng(3).poisson(5, (6, 7, 4)).astype("u2")
    steps = [normalise, neighbour_average, lambda cube: zscore(cube, 0.5, 2.0), softmax]
    cube = as_cube(counts, signal="energy")
    lazy = cube.chunk(y=4, x=3)
    with no_compute():
        for at in order:
            lazy = steps[at](lazy)
    for at in order:
        cube = steps[at](cube)
    np.testing.assert_array_equal(lazy.values, cube.values)


def test_with_the_other_steps_too() -> None:
    cube = as_cube(np.random.default_rng(3).poisson(5, (6, 7, 4)), signal="energy").chunk(y=3)
    for one, other in permutations((log1p, softmax, lambda each: clip(each, 0, 0.5)), 2):
        assert np.isfinite(one(other(cube)).values).all()


def test_what_cannot_be_scaled_says_so() -> None:
    cube = as_cube(np.ones((2, 3, 4)), signal="energy")
    for mean, std in ((1.0, None), (None, 1.0), (np.nan, 1.0), (0.0, -1.0), (np.zeros(3), 1.0)):
        with pytest.raises(ParameterError):
            zscore(cube, mean, std)
    with pytest.raises(DataError, match="no valid pixel"):
        zscore(cube * np.nan)
