"""The direct beam is found wherever it is, however it was recorded; and what is no disc is refused."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from refold.cube import as_cube
from refold.errors import DataError, ParameterError
from refold.features import find_beam

SIDE = 48


def disc(cy, cx, radius, side=SIDE):
    """A disc whose rim covers pixels in part."""
    y, x = np.mgrid[:side, :side].astype(float)
    return np.clip(radius + 0.5 - np.hypot(y - cy, x - cx), 0, 1)


def pattern_of(values, y=None, x=None):
    coords = {"ky": np.arange(len(values)) if y is None else y, "kx": np.arange(len(values)) if x is None else x}
    return xr.DataArray(values, coords, ("ky", "kx"))


def recorded(cy, cx, radius, rng, spots=3):
    """Counts of a beam, fainter reflections, and scattering about it."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(float)
    mean = 400 * disc(cy, cx, radius) + 40 * np.exp(-np.hypot(y - cy, x - cx) / 12) + 1
    for angle in rng.uniform(0, 6.28) + np.arange(spots) * 2.1:
        mean += 120 * disc(cy + 2.6 * radius * np.sin(angle), cx + 2.6 * radius * np.cos(angle), radius)
    return rng.poisson(mean).astype(float)


@given(st.floats(12, 36), st.floats(12, 36), st.floats(1.5, 9), st.integers(0, 2**31))
def test_a_beam_is_found_to_a_fraction_of_a_pixel(cy, cx, radius, seed):
    found = find_beam(pattern_of(recorded(cy, cx, radius, np.random.default_rng(seed))))
    assert np.hypot(found.cy - cy, found.cx - cx) < 0.3
    assert abs(found.radius - radius) < 0.4


@given(st.floats(15, 33), st.floats(15, 33), st.sampled_from(["descending", "unsorted", "uneven"]))
def test_the_beam_is_in_signal_coordinates_of_any_order(cy, cx, order):
    values = recorded(cy, cx, 5, np.random.default_rng(0))
    y, x = (np.arange(SIDE) - 20) * 0.05, (np.arange(SIDE) - 20) * 0.05
    wanted = (cy - 20) * 0.05, (cx - 20) * 0.05
    if order == "descending":
        values, y = values[::-1], y[::-1]
    elif order == "unsorted":
        shuffled = np.random.default_rng(1).permutation(SIDE)
        values, y = values[shuffled], y[shuffled]
    else:  # rebinned along one dim only
        values, x = values.reshape(SIDE, -1, 2).sum(axis=2), x.reshape(-1, 2).mean(axis=1)
    found = find_beam(pattern_of(values, y, x))
    assert np.hypot(found.cy - wanted[0], found.cx - wanted[1]) < 0.03
    assert abs(found.radius - 0.25) < 0.03


@pytest.mark.parametrize("cut", [-2.0, 0.0, 2.0, 4.0])
def test_a_beam_that_the_detector_cuts_off(cut):
    values = recorded(cut, 25, 8, np.random.default_rng(2), spots=0)
    found = find_beam(pattern_of(values))
    assert np.hypot(found.cy - cut, found.cx - 25) < 0.6
    assert abs(found.radius - 8) < 0.6


def test_a_saturated_beam_with_hot_dead_and_missing_pixels():
    values = np.minimum(recorded(21, 27, 6, np.random.default_rng(3)), 90)
    values[5, 5], values[40, 8] = 1e6, 4e5
    values[20, 26], values[23, 29], values[0] = 0, np.nan, -30
    found = find_beam(pattern_of(values))
    assert np.hypot(found.cy - 21, found.cx - 27) < 0.4
    assert abs(found.radius - 6) < 0.8


def test_a_soft_spot():
    y, x = np.mgrid[:SIDE, :SIDE].astype(float)
    found = find_beam(pattern_of(np.exp(-((y - 20.3) ** 2 + (x - 30.8) ** 2) / (2 * 3**2))))
    assert found[:2] == pytest.approx((20.3, 30.8), abs=0.02)
    assert 2.5 < found.radius < 5


def test_most_of_the_detector():
    found = find_beam(pattern_of(np.random.default_rng(0).poisson(50 * disc(24, 23, 20) + 0.1)))
    assert found == pytest.approx((24, 23, 20), abs=0.3)


def stopped(values):
    """A bar across the middle."""
    values = values.copy()
    values[18:31, :34] = 0
    return values


@pytest.mark.parametrize(
    "values",
    [
        np.full((SIDE, SIDE), 7.0),
        np.zeros((SIDE, SIDE)),
        np.full((SIDE, SIDE), np.nan),
        np.eye(SIDE) * 50,
        stopped(disc(24, 24, 9) * 100),
        disc(24, 24, 15) - disc(24, 24, 9),
        disc(24, 24, 3)[22:26, 22:26],
        disc(24, 24, 3)[24:25],
    ],
    ids=["flat", "empty", "nothing", "streak", "stopped", "ring", "tiny", "line"],
)
def test_what_is_no_disc_is_refused(values):
    coords = {"ky": np.arange(values.shape[0]), "kx": np.arange(values.shape[1])}
    with pytest.raises(DataError, match=r"\(cy, cx, radius\)"):
        find_beam(xr.DataArray(values, coords, ("ky", "kx")))


def test_of_a_cube_the_mean_is_taken():
    counts = np.stack([recorded(22, 25, 5, np.random.default_rng(seed)) for seed in range(6)]).reshape(2, 3, SIDE, SIDE)
    counts[1, 2, 0, 0] = np.nan  # one invalid pattern
    cube = as_cube(da.from_array(counts, chunks=(1, 2, 20, SIDE)), signal=("ky", "kx"))
    mean = pattern_of(counts.reshape(6, SIDE, SIDE)[:5].mean(axis=0))
    assert find_beam(cube) == pytest.approx(find_beam(mean), abs=1e-9)


def test_what_is_no_pattern_is_refused():
    with pytest.raises(ParameterError):
        find_beam(as_cube(np.ones((3, 4, 5)), signal="energy"))
    with pytest.raises(ParameterError):
        find_beam(xr.DataArray(np.ones(5), dims="energy"))
