"""Backgrounds subtracted, and relative thickness."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import refold
from refold.cube import as_cube
from refold.errors import CubeError, ParameterError
from refold.prepare import chain, log1p, relative_thickness, remove_background
from refold.prepare.background import PowerLaw
from refold.prepare.evenly import EvenAxis
from refold.prepare.fusing import passes
from tests.guards import no_compute
from tests.strategies import chunkings

ENERGY = np.arange(400.0, 800.0, 2.0)


def scan(shape: tuple[int, int] = (6, 7), dtype: str = "uint16") -> tuple[xr.DataArray, np.ndarray]:
    """Power laws of many heights and exponents, with an edge at 600 eV; and the edges alone."""
    rng = np.random.default_rng(0)
    exponent, height = rng.uniform(2, 4, (*shape, 1)), rng.uniform(2e3, 2e4, (*shape, 1))
    law = height * (ENERGY / 400) ** -exponent
    edge = 0.5 * law[..., :1] * np.where(ENERGY > 600, (ENERGY / 600) ** -3.0, 0)
    counts = law + edge if dtype.startswith("f") else rng.poisson(law + edge)
    cube = as_cube(counts.astype(dtype), signal="energy", coords={"energy": (ENERGY, {"units": "eV"})}, name="core")
    return cube, edge


def test_what_is_left_is_the_edge() -> None:
    cube, edge = scan(dtype="float64")
    left = remove_background(cube.chunk(x=3), (500, 590))
    np.testing.assert_allclose(left, edge, atol=0.01 * cube.values[..., 50].max())
    noisy, edge = scan((30, 30))
    left = remove_background(noisy, (500, 590))
    assert left.dtype == np.float32
    before = (ENERGY >= 500) & (ENERGY <= 590)
    assert abs(left.values[..., before].mean()) < 1e-3 * noisy.values[..., before].mean()
    assert left.values[..., ENERGY > 620].mean() == pytest.approx(edge[..., ENERGY > 620].mean(), rel=0.03)


def test_as_hyperspy_fits() -> None:
    """The same parameters to the last digits, once it is told where channels begin; it takes their middles for that."""
    components = pytest.importorskip("hyperspy.api").model.components1D
    exspy = pytest.importorskip("exspy")
    cube, _ = scan(dtype="float64")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # their own, about packages they would like to have
        judge = exspy.signals.EELSSpectrum(cube.values)
        judge.axes_manager[-1].offset, judge.axes_manager[-1].scale = ENERGY[0] - 1, 2
        height, exponent = components.PowerLaw().estimate_parameters(judge, 499.0, 589.0 + 2, out=True)
    step = PowerLaw(EvenAxis.of(cube), 50, 23, np.dtype("f8"), False)
    ours = step.fitted(cube.values.reshape(-1, ENERGY.size))
    np.testing.assert_allclose(2 * height.ravel(), ours[0], rtol=1e-9)
    np.testing.assert_allclose(exponent.ravel(), ours[1], rtol=1e-12)


def test_descending_axes_and_halves_of_any_width() -> None:
    cube, _ = scan(dtype="float64")
    for window in ((500, 590), (500, 592), (500, 502)):
        turned = remove_background(cube[..., ::-1], window)[..., ::-1]
        if (window[1] - window[0]) % 4 == 2:  # an even number of channels: the same ones, from either end
            np.testing.assert_allclose(turned, remove_background(cube, window), atol=1e-6)


def test_pixels_without_counts_and_invalid_ones() -> None:
    cube, _ = scan(dtype="float32")
    values = cube.values
    values[0, 0], values[1, 1, 3], values[2, 2, 60:] = 0, np.nan, 0
    left = remove_background(cube, (500, 590), zero_before=True).values
    np.testing.assert_array_equal(left[0, 0], 0)
    np.testing.assert_array_equal(left[2, 2, 50:], values[2, 2, 50:])
    assert np.isnan(left[1, 1, 3])
    assert (left[3, 3, :50] == 0).all()
    assert (left[3, 3, 50:95] != 0).any()
    assert np.isfinite(np.delete(left.reshape(42, -1), 8, axis=0)).all()


@pytest.mark.parametrize("zero_before", [False, True])
@pytest.mark.parametrize("dtype", ["uint16", "float64"])
@pytest.mark.parametrize("turned", [1, -1])
def test_a_channel_just_above_zero_harms_nothing(zero_before: bool, dtype: str, turned: int) -> None:
    energy = np.arange(-0.3, 200, 0.1)
    assert 0 < energy[3] < 1e-15
    counts = 1e9 * np.maximum(energy, 20) ** -3.5 * np.array([[1.0], [2.0], [0.0]])
    cube = as_cube(counts.astype(dtype), signal="energy", coords={"energy": energy})[..., ::turned]
    left = remove_background(cube, (30, 50), zero_before=zero_before)[..., ::turned].values
    assert np.isfinite(left).all()
    before = energy < 29.95
    if zero_before:
        assert (left[:, before] == 0).all()
    else:
        np.testing.assert_array_equal(left[:, :4], counts.astype(dtype)[:, :4])
        assert (left[:2, 4:100] < -1e5).all()
    inside = (energy > 29.95) & (energy < 50.05)
    assert np.abs(left[:2, inside]).max() < 0.01 * counts[:2, inside].max()
    np.testing.assert_array_equal(left[2], 0)


@pytest.mark.parametrize("ratio", [1e-300, 1e-60, 1e-4, 1e4, 1e60, 1e300])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_steepest_law_leaves_a_pixel_valid(ratio: float, dtype: str) -> None:
    counts = np.full((1, 1, ENERGY.size), 9.0)
    counts[..., 5] = np.clip(9 * ratio, 1e-37, 1e37) if dtype == "float32" else 9 * ratio
    cube = as_cube(counts.astype(dtype), signal="energy", coords={"energy": ENERGY})
    for zero_before in (False, True):
        assert np.isfinite(remove_background(cube, (408, 410), zero_before=zero_before)).all()


@given(st.data())
def test_lazy_and_the_same_for_any_chunks(data: st.DataObject) -> None:
    cube, _ = scan((3, 4))
    cut = cube.chunk(dict(zip(cube.dims, data.draw(chunkings(cube.shape)), strict=True)))
    with no_compute():
        lazy, thickness = remove_background(cut, (500, 590)), relative_thickness(cut, 500)
    xr.testing.assert_identical(lazy.compute(), remove_background(cube, (500, 590)))
    xr.testing.assert_identical(thickness.compute(), relative_thickness(cube, 500))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chain, "_WORTH_COMPILING", 0)
        xr.testing.assert_identical(lazy.compute(), remove_background(cube, (500, 590)))


def test_joined_to_what_follows() -> None:
    cube = scan()[0].chunk(x=4)
    assert passes(log1p(remove_background(cube, (500, 590)))) == (("background", "log1p"),)


def test_thickness_as_exspy_has_it() -> None:
    exspy = pytest.importorskip("exspy")
    energy = np.arange(-5.0, 60.0, 0.5)
    rng = np.random.default_rng(0)
    thickness = rng.uniform(0.1, 1.5, (5, 6, 1))
    zero, loss = np.exp(-(energy**2) / 2), np.exp(-((energy - 20) ** 2) / 30)
    expected = 1e5 * (zero / zero.sum() + (np.exp(thickness) - 1) * loss / loss.sum())
    cube = as_cube(rng.poisson(expected).astype("uint32"), signal="energy", coords={"energy": energy}).chunk(x=4)
    found = relative_thickness(cube, 5.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own, about packages it would like to have
        judge = exspy.signals.EELSSpectrum(cube.values)
        judge.axes_manager[-1].offset, judge.axes_manager[-1].scale = -5, 0.5
        wanted = judge.estimate_thickness(threshold=5.0)
    np.testing.assert_allclose(found, wanted.data, rtol=1e-6)
    np.testing.assert_allclose(found, thickness[..., 0], atol=0.02)
    np.testing.assert_array_equal(relative_thickness(cube[..., ::-1], 5.0), found)
    empty = cube.compute().astype("float32")
    empty[0, 0], empty[1, 1, 3] = 0, np.nan
    assert np.isnan(relative_thickness(empty, 5.0).values).sum() == 2


def test_what_does_not_fit_says_so() -> None:
    cube, _ = scan()
    for window in ((10, 20), (500, 500), None, ("a", "b")):
        with pytest.raises(ParameterError, match="window"):
            remove_background(cube, window)  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="positive energies"):
        remove_background(cube.assign_coords(energy=cube.energy.copy(data=ENERGY - 500)), (-50, 50))
    with pytest.raises(CubeError, match="one signal dim"):
        relative_thickness(as_cube(np.ones((2, 3, 4)), signal=("ky", "kx")), 1)
    for threshold in (0, 1e4, np.nan, None, "low"):
        with pytest.raises(ParameterError, match="calibrate the axis"):
            relative_thickness(cube, threshold)  # type: ignore[arg-type]


def test_recorded_core_loss(shared_data: Any) -> None:
    """Copper and zinc at 931 and 1020 eV on a power law: nothing is left before, and more behind."""
    path = shared_data / "eels" / "CuZn_EELS_mapping_tutorial.hspy"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    cube = refold.open(path)
    left = remove_background(cube, (740, 900))
    fitted = left.sel(energy=slice(740, 900)).mean()
    assert abs(fitted) < 1e-3 * cube.sel(energy=slice(740, 900)).mean()
    assert left.sel(energy=slice(950, 1000)).mean() > 50
