"""Descriptors of patterns are NumPy's sums over rings, annuli and frequencies, whatever the chunks and calibration."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from refold.cube import as_cube, check_cube, n_pixels, signal_dims
from refold.errors import ParameterError
from refold.features import angular_variance, cepstrum, log_fourier, radial_profile, virtual_detectors
from tests.guards import no_compute
from tests.strategies import cubes

patterns = cubes(signal=(2,), invalid=True)
centres = st.tuples(st.floats(-4, 6), st.floats(-4, 6))


def rows_of(cube: xr.DataArray) -> np.ndarray:
    return cube.values.reshape(n_pixels(cube), -1).astype(np.float64)


def radii_of(cube: xr.DataArray, centre) -> np.ndarray:
    y, x = (cube[dim].values.astype(float) for dim in signal_dims(cube))
    return np.hypot(y[:, None] - centre[0], x - centre[1]).ravel()


def grid_of(values, **attrs):
    k = np.arange(values.shape[-1]) - values.shape[-1] // 2.0
    return as_cube(values, signal=("ky", "kx"), coords={"ky": (k, attrs), "kx": (k, attrs)})


@settings(max_examples=10)
@given(patterns, centres, st.sampled_from([0.5, 1.0, 3.0]), st.booleans())
def test_rings(cube: xr.DataArray, centre, step: float, masked: bool):
    shape = tuple(cube.sizes[dim] for dim in signal_dims(cube))
    mask = np.random.default_rng(0).random(shape) < 0.3 if masked else np.zeros(shape, bool)
    radius = radii_of(cube, centre)
    ring = np.rint(radius / step).astype(int)
    used = ~mask.ravel() & (ring * step <= radius.max())
    options = {"step": step, "outer": radius.max(), "mask": xr.DataArray(mask, dims=signal_dims(cube))}
    if not used.any():
        with pytest.raises(ParameterError):
            radial_profile(cube, centre, **options)
        return
    with no_compute():
        profile = radial_profile(cube, centre, **options)
        variance = angular_variance(cube, centre, relative=False, **options)
        relative = angular_variance(cube, centre, **options)
    rings = np.unique(ring[used])
    np.testing.assert_allclose(profile.radius, rings * step)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        parts = [rows_of(cube)[:, used & (ring == at)] for at in rings]
        mean = np.stack([part.mean(axis=1) for part in parts], axis=1)
        spread = np.stack([part.var(axis=1) for part in parts], axis=1)
        ratio = np.where(mean == 0, 0, spread / mean**2)
    found = (described.values.reshape(mean.shape) for described in (profile, variance, relative))
    np.testing.assert_allclose(next(found), mean, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(next(found), spread, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(next(found), ratio, rtol=1e-3, atol=1e-6)


@given(patterns, centres)
def test_detectors(cube: xr.DataArray, centre):
    radius = radii_of(cube, centre)
    middle = float(np.median(radius))
    annuli = {"all": (0, 1e9), "far": (middle, 1e9)}
    with no_compute():
        images = virtual_detectors(cube, centre, annuli)
    parts = [np.ones_like(radius, bool), radius >= middle]
    with np.errstate(invalid="ignore"):
        wanted = np.stack([rows_of(cube)[:, part].sum(axis=1) for part in parts], axis=1)
    np.testing.assert_allclose(images.values.reshape(wanted.shape), wanted, rtol=1e-5, atol=1e-4)
    assert images.detector.values.tolist() == ["all", "far"]
    assert images.inner.values.tolist() == [0, middle]


@given(cubes(signal=(1, 2), dtypes=("uint8", "int16", "float32", "float64"), max_side=7), st.booleans())
def test_fourier_transforms(cube: xr.DataArray, window: bool):
    n_signal = len(signal_dims(cube))
    for dim in signal_dims(cube):  # evenly spaced ones only
        cube = cube.assign_coords({dim: (dim, np.arange(cube.sizes[dim]) * 0.5, cube[dim].attrs)})
    with no_compute():
        spectra, lags = log_fourier(cube, window=window), cepstrum(cube, window=window)
    axes = tuple(range(-n_signal, 0))
    sizes = [cube.sizes[dim] for dim in signal_dims(cube)]
    sides = [np.sin(np.pi * (np.arange(n) + 0.5) / n) ** 2 if window else np.ones(n) for n in sizes]
    taper = sides[0] if n_signal == 1 else np.outer(*sides)
    values = cube.values.astype(np.float64)
    logs = np.log1p(np.maximum(values, 0))
    logs -= logs.mean(axis=axes, keepdims=True)
    half = sizes[-1] // 2 + 1
    for result, signal, final in ((spectra, values, np.log1p), (lags, logs, np.asarray)):
        wanted = final(np.abs(np.fft.fftn(signal * taper, axes=axes, norm="ortho")))[..., :half]
        wanted = np.fft.fftshift(wanted, axes=axes[:-1])
        np.testing.assert_allclose(result.values, wanted, rtol=1e-4, atol=1e-5 * max(1, np.abs(values).max()))
        assert result.dtype == np.float32
        assert (result.chunks is None) == (cube.chunks is None)
        assert check_cube(result).dims == result.dims


@pytest.mark.parametrize("describe", [radial_profile, angular_variance, virtual_detectors, log_fourier, cepstrum])
def test_a_pixel_does_not_depend_on_its_chunk(describe):
    values = np.random.default_rng(0).poisson(3, (9, 11, 12, 12)).astype("f4")
    values[3, 4, 5, 6], values[0, 0] = np.nan, 0
    options = {"annuli": [(0, 3), (2, 6)]} if describe is virtual_detectors else {}
    options |= {} if describe in (log_fourier, cepstrum) else {"centre": (0.3, -0.2)}
    whole = describe(grid_of(values), **options)
    cut = describe(grid_of(da.from_array(values, chunks=(4, 3, 5, 12))), **options)
    assert cut.chunks[0] == (4, 4, 1)
    np.testing.assert_array_equal(whole.values, cut.values)
    assert np.isfinite(whole.values[0, 0]).all()
    assert np.isnan(whole.values[3, 4]).any()
    assert np.isfinite(whole.values[3, 3]).all()


def test_a_ring_has_no_variance_and_a_spot_has():
    y, x = np.mgrid[-10:11, -10:11]
    ring, spot = np.rint(np.hypot(y, x)) == 6, np.hypot(y - 6, x) < 1.5
    described = angular_variance(grid_of(np.stack([ring, spot])[None].astype(float)), (0, 0))
    at = described.radius == 6
    assert described.isel(feature=at, x=0).item() == pytest.approx(0, abs=1e-12)
    assert described.isel(feature=at, x=1).item() > 5


def test_rings_have_radii_and_units():
    cube = grid_of(np.ones((2, 3, 9, 9)), units="1/nm").assign_attrs(units="counts")
    profile = radial_profile(cube, (1, 0, 2.5), step=0.5, inner=1, outer=2.6)
    assert profile.dims == ("y", "x", "feature")
    assert profile.radius.values.tolist() == [1, 1.5, 2]  # no pixel is nearest to a radius of 2.5
    assert profile.radius.attrs == {"units": "1/nm"}
    assert profile.attrs == {"units": "counts"}
    assert profile.feature.attrs == {"role": "signal"}
    assert radial_profile(cube, (0, 0)).radius.values.tolist() == [0, 1, 2, 3, 4]
    assert "units" not in angular_variance(cube, (0, 0)).attrs


@pytest.mark.parametrize("order", [1, -1])
def test_frequencies_are_where_they_say(order):
    k = (np.arange(40) * 0.05 - 1)[::order]
    fringes = 2 + np.cos(2 * np.pi * (4 * k[:, None] - 3 * k[None]))  # 4 nm along ky, -3 nm along kx
    coords = {"ky": (k, {"units": "1/nm"}), "kx": (k, {"units": "1/nm"})}
    cube = as_cube(fringes[None], signal=("ky", "kx"), coords=coords)
    spectrum = log_fourier(cube, window=False).isel(x=0)
    far = spectrum.where(np.hypot(spectrum.dy, spectrum.dx) > 0.1)
    peak = far.isel(far.argmax(...))
    assert abs(float(peak.dy)) == pytest.approx(4)
    assert float(peak.dy) * float(peak.dx) == pytest.approx(-12)
    assert spectrum.dx.attrs == {"units": "nm", "role": "signal"}
    spectra = as_cube(np.ones((2, 9)), signal="energy", coords={"energy": (np.arange(9), {"units": "eV"})})
    assert log_fourier(spectra).energy_frequency.attrs["units"] == "1/eV"


@pytest.mark.parametrize(
    "call",
    [
        lambda cube: radial_profile(cube, (0,)),
        lambda cube: radial_profile(cube, (0, np.nan)),
        lambda cube: radial_profile(cube, None),
        lambda cube: radial_profile(cube, (0, 0), step=0),
        lambda cube: radial_profile(cube, (0, 0), inner=3, outer=2),
        lambda cube: radial_profile(cube, (0, 0), inner=300, outer=400),
        lambda cube: radial_profile(cube, (0, 0), mask=np.zeros((2, 2), bool)),
        lambda cube: radial_profile(cube, (0, 0), mask=np.zeros((9, 9))),
        lambda cube: virtual_detectors(cube, (0, 0), {}),
        lambda cube: virtual_detectors(cube, (0, 0), {"dark": (2, 1)}),
        lambda cube: virtual_detectors(cube, (0, 0), {"dark": 2}),
        lambda cube: virtual_detectors(cube, (0, 0), {"dark": (200, 201)}),
        lambda cube: radial_profile(cube.isel(ky=0).drop_vars("ky"), (0, 0)),
        lambda cube: log_fourier(cube.assign_coords(ky=("ky", np.arange(9.0) ** 2, {"role": "signal"}))),
        lambda cube: log_fourier(cube.assign_coords(ky=("ky", list("abcdefghi"), {"role": "signal"}))),
    ],
)
def test_what_cannot_be_described(call):
    with pytest.raises(ParameterError):
        call(grid_of(np.ones((2, 3, 9, 9))))
