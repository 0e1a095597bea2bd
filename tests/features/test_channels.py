"""Channels are kept as scikit-learn's VarianceThreshold keeps them, within windows and without lines."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_selection import VarianceThreshold

from refold.cube import as_cube, n_pixels
from refold.errors import DataError, MissingDependencyError, ParameterError
from refold.features import ChannelSelection, line_energies
from tests.strategies import cubes

ENERGY = np.arange(2048) * 0.01


def spectra(units="keV", scale=1.0, **attrs):
    rng = np.random.default_rng(0)
    mean = 0.2 + 9 * np.exp(-(((ENERGY - 8.05) / 0.06) ** 2)) + 5 * np.exp(-(((ENERGY - 1.74) / 0.04) ** 2))
    counts = rng.poisson(mean * rng.uniform(0.5, 2, (6, 7, 1)))
    coords = {"energy": (ENERGY * scale, {"units": units} if units else {})}
    return as_cube(counts, signal="energy", coords=coords).assign_attrs(attrs)


@settings(max_examples=10)
@given(cubes(signal=(1, 2), min_pixels=2, dtypes=("uint8", "int16", "float32", "float64")), st.sampled_from([0.0, 1.1]))
def test_it_is_scikit_learns_threshold(cube: xr.DataArray, threshold: float):
    rows = cube.values.reshape(n_pixels(cube), -1).astype("f8")
    variance = rows.var(axis=0)
    if (np.abs(variance - threshold) < 1e-5).any() and threshold:
        return
    model = ChannelSelection(threshold)
    try:
        wanted = VarianceThreshold(threshold).fit(rows)
    except ValueError:
        with pytest.raises(DataError):
            model.fit(cube)
        return
    features = model.fit(cube).transform(cube)
    np.testing.assert_array_equal(model.mask_.values.ravel(), wanted.get_support())
    np.testing.assert_array_equal(features.values.reshape(len(rows), -1), wanted.transform(rows))
    assert features.dtype == cube.dtype


def test_windows_in_and_out():
    cube = spectra()
    model = ChannelSelection(include=[(1, 2), (9, 8)], exclude=[(1.5, 1.9), (0, 0.1)]).fit(cube)
    wanted = (((ENERGY >= 1) & (ENERGY <= 2)) | ((ENERGY >= 8) & (ENERGY <= 9))) & ~((ENERGY >= 1.5) & (ENERGY <= 1.9))
    np.testing.assert_array_equal(model.mask_, wanted & (np.ptp(cube.values, axis=(0, 1)) > 0))
    assert model.included_ == [(1, 2), (8, 9)]
    features = model.transform(cube)
    np.testing.assert_array_equal(features.energy, ENERGY[model.mask_])
    assert features.energy.attrs == {"units": "keV"}
    down = cube.isel(energy=slice(None, None, -1))
    np.testing.assert_array_equal(model.fit(down).mask_.values[::-1], wanted & (np.ptp(cube.values, axis=(0, 1)) > 0))


def test_a_share_of_what_is_in_the_windows():
    model = ChannelSelection(keep=0.03, include=[(0, 10)]).fit(spectra())
    assert model.n_features_ == round(0.03 * 1001)
    kept = ENERGY[model.mask_]
    assert ((abs(kept - 8.05) < 0.2) | (abs(kept - 1.74) < 0.2)).all()


@pytest.mark.parametrize(("units", "scale"), [("keV", 1), ("eV", 1000)])
def test_the_grid_is_left_out_by_its_name(units, scale):
    pytest.importorskip("xraydb")
    model = ChannelSelection(exclude=["Cu"]).fit(spectra(units, scale))
    kept = ENERGY[model.mask_]
    assert not ((kept > 7.9) & (kept < 8.2)).any()
    assert not ((kept > 0.88) & (kept < 0.98)).any()
    assert ((kept > 1.6) & (kept < 1.9)).sum() > 20
    silicon = ChannelSelection(include=["Si_Ka"], width=0.06 * scale).fit(spectra(units, scale))
    assert (abs(ENERGY[silicon.mask_] - 1.74) < 0.041).all()
    assert silicon.n_features_ in (5, 6, 7)


def test_lines_are_as_wide_as_the_detector_says():
    pytest.importorskip("xraydb")
    widths = [
        np.diff(ChannelSelection(exclude=["Cu_Ka"]).fit(spectra(**attrs)).excluded_[0]).item()
        for attrs in ({}, {"eds_energy_resolution_MnKa": 130.0}, {"eds_energy_resolution_MnKa": 180.0})
    ]
    assert widths[0] == widths[1] == pytest.approx(3 * 0.149, abs=0.002)
    assert widths[2] == pytest.approx(3 * 0.194, abs=0.002)


def test_lines_of_elements():
    pytest.importorskip("xraydb")
    assert line_energies("Si_Ka")["Ka1"] == pytest.approx(1740, abs=2)
    assert line_energies("Cu_Ka") == {"Ka2": 8026.7, "Ka1": 8046.3}
    assert set(line_energies("Cu_K")) == {"Ka1", "Ka2", "Kb1", "Kb3"}
    assert {key[0] for key in line_energies("Pt")} == {"K", "L", "M"}
    assert line_energies("H") == {}
    for wrong in ("Xx", "copper", "Cu_", "Cu_M", "Cu_Kz", "cu", ""):
        with pytest.raises(ParameterError):
            line_energies(wrong)


def test_without_the_library_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "xraydb", None)
    with pytest.raises(MissingDependencyError, match="eds"):
        ChannelSelection(exclude=["Cu"]).fit(spectra())


@pytest.mark.parametrize(
    "options",
    [
        {"threshold": -1},
        {"threshold": np.nan},
        {"keep": 0},
        {"include": "Cu"},
        {"exclude": 3},
        {"exclude": [(1, 2, 3)]},
        {"exclude": [("a", "b")]},
        {"exclude": [(0, np.nan)]},
        {"exclude": ["Cu"], "width": 0},
    ],
)
def test_options_that_are_none(options):
    with pytest.raises(ParameterError):
        ChannelSelection(**options).fit(spectra())


def test_windows_need_one_axis_and_lines_its_units():
    with pytest.raises(ParameterError, match="spectra"):
        ChannelSelection(include=[(0, 1)]).fit(as_cube(np.random.default_rng(0).random((2, 3, 4, 5)), ("ky", "kx")))
    with pytest.raises(ParameterError, match="units"):
        ChannelSelection(exclude=["Cu"]).fit(spectra(units=None))
    with pytest.raises(DataError, match="varies"):
        ChannelSelection(include=[(30, 40)]).fit(spectra())
