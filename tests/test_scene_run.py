"""A scene from its file to labels: bad bands are left out, and labels lie on the map where the scene does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import refold
from refold.cube.georeference import crs_of, georeference, transform_of
from refold.errors import ParameterError

PLACE = (30.0, 0.0, 366015.0, 0.0, -30.0, 5809965.0)


def scene() -> tuple[xr.DataArray, np.ndarray]:
    """Two classes in 24 x 20 pixels of 12 bands, of which two hold no data."""
    rng = np.random.default_rng(0)
    truth = np.arange(24)[:, None] < np.full(20, 11)
    spectra = np.stack([np.linspace(0.1, 0.5, 12), np.linspace(0.6, 0.2, 12)])
    values = spectra[truth.astype(int)] + rng.normal(0, 0.01, (24, 20, 12))
    values[..., 5:7] = np.nan
    cube = refold.as_cube(
        values.astype(np.float32),
        signal="wavelength",
        coords={"wavelength": (np.linspace(400, 950, 12), {"units": "nm"})},
        name="reflectance",
    )
    good = ~np.isnan(values).all(axis=(0, 1))
    placed = georeference(cube, PLACE, "EPSG:32633")
    return placed.assign_coords(good=("wavelength", good)), truth


def test_bad_bands_are_left_out_and_the_map_is_kept(tmp_path: Path):
    cube, truth = scene()
    run = refold.run(cube, store=tmp_path / "scene.run.zarr", embed="none", n_components=3, report=False)
    assert run.sizes["wavelength"] == 10
    assert crs_of(run) == crs_of(cube) is not None
    assert transform_of(run.labels) == transform_of(cube) == PLACE
    labels = run.labels.values
    assert len(set(labels[truth])) == len(set(labels[~truth])) == 1
    assert labels[0, 0] != labels[-1, 0]


def test_what_a_band_carries_survives_rebinning_of_the_map(tmp_path: Path):
    cube, _ = scene()
    wide = cube.assign_coords(fwhm=("wavelength", np.linspace(5.0, 9.0, 12)))
    options = {"embed": "none", "n_components": 3, "report": False, "rebin": {"y": 2, "x": 2}}
    run = refold.run(wide, store=tmp_path / "scene.run.zarr", **options)
    assert run.good.values.all()
    np.testing.assert_array_equal(run.fwhm, np.delete(wide.fwhm.values, [5, 6]))
    assert transform_of(run.labels) == PLACE


def test_a_recipe_chooses_bands(tmp_path: Path):
    cube, _ = scene()
    options = {"prepare": {"bands": {"windows": [[400, 500]], "step": 2}}}
    run = refold.run(cube, store=tmp_path / "a.run.zarr", embed="none", n_components=2, report=False, **options)
    assert run.wavelength.values.tolist() == [550.0, 750.0, 850.0, 950.0]
    with pytest.raises(ParameterError, match="no band left"):
        refold.plan(cube, prepare={"bands": {"keep": [2000, 3000]}})


@pytest.mark.parametrize(
    ("path", "bands"),
    [
        ("hyperspectral/neon/sjer_reflectance_30x30.h5", 426),
        ("hyperspectral/enmap_potsdam/images/enmap_potsdam_tile_128_0.tif", 218),
    ],
)
def test_recorded_scenes(shared_data: Path, tmp_path: Path, path: str, bands: int):
    if not (shared_data / path).exists():
        pytest.skip(f"no {path} among the recorded scans")
    cube = refold.open(shared_data / path)
    run = refold.run(cube, store=tmp_path / "scene.run.zarr", embed="none", n_components=5, report=False)
    assert run.sizes["wavelength"] == bands
    assert float((run.scores.isnull().any("component")).mean()) < 0.1
    assert transform_of(run.labels) == transform_of(cube) is not None
