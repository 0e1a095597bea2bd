from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import refold
from refold import figures
from refold.cube.georeference import georeference
from refold.engine.progress import Progress
from refold.engine.settings import settings
from refold.errors import ParameterError, VariableError
from refold.report import stretching
from refold.report.colours import NOISE, palette, to_rgb
from refold.report.stretching import NAMED, bands_of, stretch
from tests.guards import count_reads, no_compute
from tests.report.test_figures import has_colour, pixels
from tests.strategies import cubes

UTM = (1.0, 0.0, 257000.0, 0.0, -1.0, 4112000.0)


def scene(shape=(20, 30), bands=60, lazy=False, invalid=0, georeferenced=True, seed=0, dtype="float32"):
    values = np.random.default_rng(seed).gamma(2.0, 0.1, (*shape, bands)).astype(dtype)
    values.reshape(-1, bands)[:invalid] = np.nan
    data = da.from_array(values, chunks=(7, 11, -1)) if lazy else values
    wavelength = (np.linspace(400, 1000, bands), {"units": "nm"})
    cube = refold.as_cube(data, signal="wavelength", coords={"wavelength": wavelength})
    return georeference(cube, UTM, "EPSG:32611") if georeferenced else cube


def images(figure):
    """What is drawn on the maps of a figure, as uint8 RGBA."""
    drawn = [image for axes in figure.axes for image in axes.get_images() if image.get_array().ndim == 3]
    return [np.asarray(image.get_array()) for image in drawn]


# --- which bands ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize(("unit", "per_nanometre"), [("nm", 1), ("um", 1e-3)])
def test_named_colours_are_the_nearest_bands_in_any_unit(name, unit, per_nanometre):
    cube = scene()
    nanometres = cube.wavelength.values
    cube = cube.assign_coords(
        wavelength=("wavelength", nanometres * per_nanometre, {**cube.wavelength.attrs, "units": unit})
    )
    wanted = [np.abs(nanometres - centre).argmin() for centre in NAMED[name]]
    np.testing.assert_allclose(bands_of(cube, name).cube.wavelength, nanometres[wanted] * per_nanometre)


def test_bad_bands_are_passed_over():
    cube = scene()
    good = np.abs(cube.wavelength.values - 665) > 8
    found = bands_of(cube.assign_coords(good=("wavelength", good)), "true").cube
    assert found.good.all()
    assert 8 < abs(found.wavelength[0] - 665) < 20


@pytest.mark.parametrize(
    ("cube", "bands", "said"),
    [
        (scene().isel(wavelength=slice(30, None)), "true", "bands=\\(r, g, b\\)"),
        (refold.as_cube(np.ones((2, 3, 9)), signal="energy"), "true", "no wavelength"),
        (refold.as_cube(np.ones((2, 3, 9)), signal="energy"), 30, "from 0 to 8"),
        (scene(), "infrared", "true"),
        (scene(), (500, 600), "one number, or three"),
        (scene(), np.nan, "400 to 1000"),
        (refold.as_cube(np.ones((2, 3, 9, 9)), signal=("ky", "kx")), 1, "one, along which bands lie"),
    ],
)
def test_bands_that_are_not_there(cube, bands, said):
    with pytest.raises(ParameterError, match=said):
        refold.composite(cube, bands)


def test_positions_of_any_signal_can_be_colours():
    cube = refold.as_cube(np.random.default_rng(0).random((4, 5, 9)), signal="component")
    assert refold.composite(cube, (0, 2, 1)).bands == "component 0, 2, 1"
    assert refold.composite(cube, 3).shape == (4, 5, 4)


# --- stretch ----------------------------------------------------------------------------------------------------------


@given(cubes(signal=(1,), invalid=True, min_features=3), st.floats(0, 49), st.floats(51, 100))
def test_the_stretch_is_that_of_numpy_percentiles(cube, low, high):
    (dim,) = {"energy"} & set(cube.dims)
    chosen = cube[dim].values[[2, 0, 1]]
    picture = refold.composite(cube, tuple(chosen), percent=(low, high))
    values = bands_of(cube, tuple(chosen)).cube.values.astype(np.float64)
    valid = np.isfinite(values).all(axis=-1)
    np.testing.assert_array_equal(picture.values[..., 3], np.where(valid, 255, 0))
    assert not picture.values[~valid].any()
    if not valid.any():
        assert np.isnan(picture.low).all()
        return
    limits = np.percentile(values[valid], [low, high], axis=0)
    np.testing.assert_allclose([picture.low, picture.high], limits, rtol=1e-12)
    spread = limits[1] > limits[0]
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = np.clip((values[valid] - limits[0]) / (limits[1] - limits[0]), 0, 1)
    np.testing.assert_allclose(picture.values[valid][:, :3][:, spread], 255 * expected[:, spread], atol=0.51)
    for name in cube.coords:
        if dim not in cube[name].dims:
            assert picture[name].identical(cube[name])


def test_constant_and_empty_bands_are_drawn():
    cube = scene(shape=(5, 6))
    cube[..., 30:40] = 0.25
    cube[..., 40:50] = np.nan
    constant, empty = (float(cube.wavelength[at]) for at in (35, 45))
    assert np.unique(refold.composite(cube, constant).values[..., :3]).tolist() == [128]
    assert not refold.composite(cube, empty).values.any()
    for bands in (constant, empty, (constant, 450, 500), (empty, 450, 500)):
        assert len(np.unique(pixels(figures.composite(cube, bands), 30), axis=0)) > 1


def test_percentiles_that_are_none():
    for percent in ((98, 2), (2, 2), (-1, 50), (2, 101), (2,), 2, "ab", None):
        with pytest.raises(ParameterError, match="percent"):
            refold.composite(scene(), percent=percent)


# --- laziness, reads --------------------------------------------------------------------------------------------------


def _stored(tmp_path, cube, chunks):
    path = tmp_path / "scene.zarr"
    cube.chunk(chunks).to_dataset(name="scene").drop_vars("spatial_ref").to_zarr(
        path, zarr_format=3, consolidated=False
    )
    return refold.as_cube(xr.open_zarr(path, consolidated=False).scene, signal="wavelength")


def test_only_the_chunks_of_the_bands_are_read_and_only_once(tmp_path):
    cube = _stored(tmp_path, scene(), {"y": 7, "x": 30, "wavelength": 1})
    with count_reads() as reads, no_compute():
        bands_of(cube, "true")
    assert reads.total == 0
    with count_reads() as reads:
        figures.composite(cube, "true")
    shown = [int(np.abs(cube.wavelength.values - centre).argmin()) for centre in NAMED["true"]]
    chunks = {f"{row}/0/{band}" for row in range(3) for band in shown}
    read = {key.partition("/c/")[2]: count for key, count in reads.under("/scene/c/").items()}
    assert read == dict.fromkeys(chunks, 1)


def test_the_colours_of_a_lazy_cube_are_lazy(tmp_path):
    cube = _stored(tmp_path, scene(invalid=9), {"y": 7, "x": 11})
    picture = refold.composite(cube)
    assert picture.chunks[:2] == cube.chunks[:2]
    np.testing.assert_array_equal(picture.values, refold.composite(cube.compute()).values)
    with no_compute():
        assert picture.isel(y=0).shape == (30, 4)


@pytest.mark.parametrize(("dtype", "sweeps"), [("uint8", 1), ("int16", 2), ("float32", 3), ("float64", 6)])
def test_sweeps_over_a_scene_too_large_to_keep(monkeypatch, dtype, sweeps):
    monkeypatch.setattr(stretching, "_KEPT", 10)
    cube = scene(lazy=True, dtype="float64")
    cube = (cube * (1 if dtype.startswith("float") else 100)).astype(dtype).assign_coords(cube.coords)
    progress = Progress()
    with settings(progress=progress):
        picture = refold.composite(cube)
    assert progress.tally.sweeps == sweeps
    monkeypatch.undo()
    np.testing.assert_array_equal(picture.values, refold.composite(cube.compute()).values)


# --- figures ----------------------------------------------------------------------------------------------------------


def test_a_figure_shows_the_colours_of_the_composite():
    cube = scene(invalid=40)
    for bands in ("true", "false", (500, 600, 700)):
        (drawn,) = images(figures.composite(cube, bands))
        np.testing.assert_array_equal(drawn, refold.composite(cube, bands).values)


def test_large_scenes_are_averaged_before_they_are_drawn():
    cube = scene(shape=(4, 2100), bands=3, georeferenced=False)
    (drawn,) = images(figures.composite(cube, (400, 700, 1000)))
    assert drawn.shape == (4, 700, 4)
    picture = refold.composite(cube, (400, 700, 1000))
    limits = np.array([picture.low, picture.high]).T
    mean = cube.values.reshape(4, 700, 3, 3).mean(axis=2, dtype=np.float64)
    np.testing.assert_array_equal(drawn, stretch(mean, limits))


@pytest.mark.parametrize(
    "flipped", [{}, {"y": slice(None, None, -1)}, {"y": slice(None, None, -1), "x": slice(None, None, -1)}]
)
def test_north_is_up_and_positions_are_in_map_units(flipped):
    cube = scene(shape=(20, 30))
    figure = figures.composite(cube.isel(flipped))
    (drawn,) = images(figure)
    np.testing.assert_array_equal(drawn, refold.composite(cube).values)
    axes = figure.axes[0]
    assert axes.get_xlabel() == "x (m)"
    assert axes.get_ylabel() == "y (m)"
    (bottom, top), texts = axes.get_ylim(), [float(text.get_text()) for text in axes.get_yticklabels()]
    northing = [4112000 - (at + 0.5) for at in axes.get_yticks()]  # 0 is the centre of the first row, which is on top
    assert bottom > top
    np.testing.assert_allclose(texts, northing)
    box, size = axes.get_position(), figure.get_size_inches()
    np.testing.assert_allclose(box.height * size[1] / (box.width * size[0]), 20 / 30, rtol=1e-6)


@pytest.mark.parametrize(
    "cube",
    [
        refold.as_cube(np.random.default_rng(0).random((40, 8)), signal="energy"),
        refold.as_cube(np.random.default_rng(0).random((1, 40, 8)), signal="energy"),
        refold.as_cube(np.random.default_rng(0).random((40, 1, 8)), signal="energy"),
        refold.as_cube(np.random.default_rng(0).random((1, 1, 8)), signal="energy"),
        refold.as_cube(np.random.default_rng(0).random((2, 9, 9, 8)), signal="energy"),
        refold.as_cube(np.random.default_rng(0).integers(0, 9, (5, 40, 8), "uint8"), signal="energy"),
        georeference(refold.as_cube(np.ones((1, 30, 8)), signal="energy"), UTM, "EPSG:32611"),
    ],
    ids=["line", "row", "column", "pixel", "stack", "counts", "row of a scene"],
)
def test_scans_of_every_shape_are_drawn(cube):
    labels = xr.DataArray(np.zeros(cube.shape[:-1], np.int32), dims=cube.dims[:-1])
    for figure in (
        figures.composite(cube, (1, 2, 3)),
        figures.composite(cube, 4),
        figures.overlay(cube, labels, bands=5),
    ):
        assert len(np.unique(pixels(figure, 30), axis=0)) > 1


# --- classes over it --------------------------------------------------------------------------------------------------


def _labelled(cube, classes=3):
    labels = np.random.default_rng(1).integers(-1, classes, cube.shape[:2]).astype(np.int32)
    return xr.DataArray(labels, dims=("y", "x"), coords={"y": cube.y, "x": cube.x})


@pytest.mark.parametrize("kind", ["cube", "picture", "run"])
def test_classes_lie_over_the_picture_in_their_colours(kind):
    cube = scene(invalid=40)
    labels = _labelled(cube)
    labels[0], labels[1, :10] = -1, -1
    run = labels.to_dataset(name="labels") if kind == "run" else labels
    picture = refold.composite(cube) if kind == "picture" else cube
    below, above = images(figures.overlay(picture, run, alpha=0.4))
    np.testing.assert_array_equal(below, refold.composite(cube).values)
    table = np.round(255 * to_rgb([*palette(3), NOISE]))
    valid = below[..., 3] > 0
    np.testing.assert_array_equal(above[valid][:, :3], table[labels.values[valid]])
    assert (above[valid][:, 3] == 102).all()
    assert not above[~valid].any()


def test_the_legend_parts_noise_from_what_is_not_usable():
    cube = scene(invalid=60)
    labels = _labelled(cube)
    labels[:2] = -1
    (legend,) = figures.overlay(cube, labels).legends
    texts = [text.get_text() for text in legend.get_texts()]
    share = float((labels[2:] < 0).mean() * 100)
    assert texts[-2:] == [f"noise   {share:.1f} %", "not usable"]
    assert not figures.overlay(cube, labels, legend=False).legends


def test_opaque_classes_hide_the_picture():
    cube = scene()
    assert has_colour(figures.overlay(cube, _labelled(cube), alpha=1, legend=False), *palette(3), NOISE)


def test_classes_turn_with_the_picture():
    cube = scene()
    labels = _labelled(cube)
    flip = {"y": slice(None, None, -1)}
    for one, other in zip(
        images(figures.overlay(cube, labels)), images(figures.overlay(cube.isel(flip), labels.isel(flip))), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_classes_of_another_grid_are_refused():
    cube = scene()
    labels = _labelled(cube)
    with pytest.raises(ParameterError, match="grid of the picture"):
        figures.overlay(cube, labels.isel(x=slice(5)))
    with pytest.raises(ParameterError, match="positions"):
        figures.overlay(cube, labels.assign_coords(x=labels.x + 1))
    with pytest.raises(ParameterError, match="alpha"):
        figures.overlay(cube, labels, alpha=2)
    with pytest.raises(VariableError, match="whole numbers"):
        figures.overlay(cube, labels.astype(float))
