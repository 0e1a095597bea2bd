"""Results as GeoTIFF; the judges are rasterio and rioxarray, reading back."""

from __future__ import annotations

import builtins
import math
import signal

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import refold
from refold.cube.georeference import georeference
from refold.engine import plan_grid
from refold.engine.progress import Progress
from refold.errors import (
    CubeError,
    MissingDependencyError,
    ParameterError,
    StoreError,
    StoreExistsError,
    VariableError,
)
from refold.report.colours import palette, to_rgb
from tests.guards import count_reads, limit_memory
from tests.strategies import chunkings, shapes

rasterio = pytest.importorskip("rasterio")
rioxarray = pytest.importorskip("rioxarray")
pytestmark = [
    # rioxarray multiplies transforms in a way that affine 3 will no longer have.
    pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning"),
    # rasterio says so of whatever lies nowhere on Earth.
    pytest.mark.filterwarnings("ignore:Dataset has no geotransform"),
]

UTM = (2.0, 0.0, 257000.0, 0.0, -2.0, 4112000.0)
DTYPES = ("bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float16", ">f4", "float64")


def placed(values, name=None, third="component", transform=UTM):
    dims = ("y", "x", third)[: np.ndim(values)]
    array = xr.DataArray(values, dims=dims, name=name)
    if len(dims) > 2:
        array = array.assign_coords({third: np.arange(array.shape[2])})
    return georeference(array, transform, "EPSG:32611")


def labels_like(shape=(20, 30), classes=5, seed=0):
    return np.random.default_rng(seed).integers(-1, classes, shape).astype(np.int32)


def read(path):
    """What rioxarray reads, with y, x in front."""
    with rioxarray.open_rasterio(path) as raster:
        return raster.transpose("y", "x", "band").load()


# --- values and places ------------------------------------------------------------------------------------------------


@given(st.data(), shapes(2, 40), st.integers(1, 4), st.booleans())
def test_values_and_place_come_back_whatever_the_chunks(tmp_path_factory, data, shape, bands, georeferenced):
    values = np.random.default_rng(0).normal(size=(*shape, bands)).astype(np.float32)
    values[np.random.default_rng(1).random(shape) < 0.2] = np.nan
    lazy = da.from_array(values, chunks=data.draw(chunkings(values.shape)))
    array = placed(lazy) if georeferenced else xr.DataArray(lazy, dims=("y", "x", "component"))
    path = tmp_path_factory.mktemp("out") / "scores.tif"
    assert refold.to_geotiff(array, path) == path
    back = read(path)
    np.testing.assert_array_equal(back.values, values)
    assert math.isnan(back.rio.nodata)
    if georeferenced:
        assert back.rio.crs.to_epsg() == 32611
        np.testing.assert_array_equal(back.rio.transform()[:6], _transform(shape))
        if max(shape) > 1:
            np.testing.assert_array_equal(back.x, array.x)
            np.testing.assert_array_equal(back.y, array.y)
    else:
        assert back.rio.crs is None
        assert back.rio.transform() == rasterio.Affine.identity()


def _transform(shape):
    """One pixel has no spacing: there is none."""
    return UTM if max(shape) > 1 else (1, 0, 0, 0, 1, 0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_values_keep_their_type(tmp_path, dtype):
    values = (np.arange(12).reshape(3, 4) % 2).astype(dtype)
    back = read(refold.to_geotiff(placed(values), tmp_path / "a.tif"))
    np.testing.assert_array_equal(back.values[..., 0], values)
    stored = {"bool": "uint8", "float16": "float32"}.get(dtype, np.dtype(dtype).newbyteorder("=").name)
    assert back.dtype == stored


@pytest.mark.parametrize("flip", [{"y": slice(None, None, -1)}, {"x": slice(None, None, -1)}])
def test_rows_and_columns_of_any_direction_stay_where_they_are(tmp_path, flip):
    array = placed(np.arange(12.0).reshape(3, 4)).isel(flip)
    back = read(refold.to_geotiff(array, tmp_path / "a.tif"))
    np.testing.assert_array_equal(back.values[..., 0], array.values)
    np.testing.assert_array_equal(back.x, array.x)
    np.testing.assert_array_equal(back.y, array.y)


def test_a_line_and_a_row_of_a_scene_are_one_row(tmp_path):
    array = placed(np.arange(12.0).reshape(3, 4))
    for row in (array.isel(y=[1]), array.isel(y=1)):
        back = read(refold.to_geotiff(row, tmp_path / "a.tif", overwrite=True))
        np.testing.assert_array_equal(back.values[0, :, 0], array.values[1])
        np.testing.assert_array_equal(back.y, array.y[1:2])
        np.testing.assert_array_equal(back.x, array.x)
    line = refold.as_cube(np.ones((7, 2)), signal="component")
    assert read(refold.to_geotiff(line, tmp_path / "line.tif")).shape == (1, 7, 2)
    pixel = read(refold.to_geotiff(array.isel(y=[1], x=[2]), tmp_path / "pixel.tif"))
    assert pixel.values.tolist() == [[[6]]]
    assert pixel.rio.crs.to_epsg() == 32611


def test_positions_with_units_and_no_reference_system_are_a_transform(tmp_path):
    nanometres = {dim: (np.arange(size) * 0.5, {"units": "nm"}) for dim, size in (("y", 3), ("x", 4))}
    cube = refold.as_cube(np.ones((3, 4, 2)), signal="component", coords=nanometres)
    back = read(refold.to_geotiff(cube, tmp_path / "a.tif"))
    assert back.rio.crs is None
    np.testing.assert_array_equal(back.x, cube.x)
    np.testing.assert_array_equal(back.y, cube.y)


def test_other_names_and_orders_of_dims(tmp_path):
    array = placed(np.arange(24.0).reshape(3, 4, 2))
    expected = read(refold.to_geotiff(array, tmp_path / "a.tif"))
    xr.testing.assert_identical(
        read(refold.to_geotiff(array.transpose("component", "x", "y"), tmp_path / "b.tif")), expected
    )


@pytest.mark.parametrize("dim", ["y", "x"])
def test_uneven_positions_are_refused(tmp_path, dim):
    array = placed(np.ones((5, 6)))
    uneven = array.assign_coords({dim: (dim, array[dim].values + np.arange(array.sizes[dim]) ** 2, array[dim].attrs)})
    for scene in (uneven, array.drop_vars(dim), uneven.drop_vars("spatial_ref")):
        with pytest.raises(CubeError, match=r"uneven.*regular grid"):
            refold.to_geotiff(scene, tmp_path / "a.tif")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (0, 4)])
def test_what_is_no_map(tmp_path, shape):
    array = xr.DataArray(np.ones(shape), dims=("z", "y", "x", "component")[-len(shape) :])
    with pytest.raises(CubeError, match="rows and columns"):
        refold.to_geotiff(array, tmp_path / "a.tif")
    with pytest.raises(ParameterError, match="real numbers"):
        refold.to_geotiff(xr.DataArray(np.ones((2, 2), complex), dims=("y", "x")), tmp_path / "a.tif")


# --- labels, colours --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("classes", "dtype"), [(5, "uint8"), (255, "uint8"), (256, "uint16"), (700, "uint16")])
def test_labels_keep_their_numbers_and_take_their_colours(tmp_path, classes, dtype):
    labels = placed(labels_like((30, 40), classes), "labels")
    labels[0, 0] = classes - 1
    progress = Progress()
    path = refold.to_geotiff(labels, tmp_path / "labels.tif", progress=progress)
    assert progress.tally.sweeps == (1 if dtype == "uint8" else 2)
    with rasterio.open(path) as raster:
        band = raster.read(1, masked=True)
        table = raster.colormap(1)
        assert raster.dtypes == (dtype,)
        assert raster.nodata == np.iinfo(dtype).max
    np.testing.assert_array_equal(
        band.filled(255).astype(int) if dtype == "uint8" else band.data, _stored(labels, dtype)
    )
    np.testing.assert_array_equal(band.mask, labels.values < 0)
    shown = min(classes, 255)
    assert [table[number][:3] for number in range(shown)] == [
        tuple(np.round(rgb * 255).astype(int)) for rgb in to_rgb(palette(shown))
    ]


def _stored(labels, dtype):
    return np.where(labels.values < 0, np.iinfo(dtype).max, labels.values)


def test_labels_without_colours_are_as_they_are(tmp_path):
    labels = placed(labels_like(), "labels")
    back = read(refold.to_geotiff(labels, tmp_path / "labels.tif", colours=False))
    np.testing.assert_array_equal(back.values[..., 0], labels)
    assert (back.dtype, back.rio.nodata) == (np.int32, -1)


def test_any_whole_numbers_can_be_classes(tmp_path):
    truth = placed(np.arange(6, dtype="uint8").reshape(2, 3))
    with rasterio.open(refold.to_geotiff(truth, tmp_path / "a.tif", colours=True)) as raster:
        assert raster.colormap(1)[0][:3] == tuple(np.round(to_rgb(palette(1))[0] * 255).astype(int))
    with pytest.raises(ParameterError, match="whole numbers in one band"):
        refold.to_geotiff(truth.astype(float), tmp_path / "b.tif", colours=True)
    with pytest.raises(ParameterError, match="colours=False"):
        refold.to_geotiff(truth.astype(int) + 70_000, tmp_path / "b.tif", colours=True)
    with pytest.raises(ParameterError, match="colours=False"):
        refold.to_geotiff(truth, tmp_path / "b.tif", colours=True, nodata=0)


def test_the_colours_of_a_scene_are_a_picture(tmp_path):
    cube = refold.synthetic.reflectance((9, 12), bands=40, nodata=0.1).cube
    picture = refold.composite(cube)
    with rasterio.open(refold.to_geotiff(picture, tmp_path / "a.tif")) as raster:
        assert [band.name for band in raster.colorinterp] == ["red", "green", "blue", "alpha"]
        np.testing.assert_array_equal(np.moveaxis(raster.read(), 0, -1), picture)


def test_nodata_of_ones_own(tmp_path):
    values = np.array([[1.0, np.nan], [3.0, 4.0]])
    back = read(refold.to_geotiff(placed(values), tmp_path / "a.tif", nodata=-9999))
    assert back.rio.nodata == -9999
    np.testing.assert_array_equal(back.values[..., 0], [[1, -9999], [3, 4]])
    for dtype, nodata in (("uint8", -1), ("int16", 0.5), ("int16", np.nan)):
        with pytest.raises(ParameterError, match="nodata"):
            refold.to_geotiff(placed(values[:1, :1].astype(dtype)), tmp_path / "b.tif", nodata=nodata)


def test_bands_say_what_they_are(tmp_path):
    cube = refold.synthetic.reflectance((4, 5), bands=3, wavelength=(400, 500)).cube
    cube = cube.assign_coords(fwhm=("wavelength", [5.0, 6.0, 7.5]), good=("wavelength", [True, False, True]))
    with rasterio.open(refold.to_geotiff(cube, tmp_path / "a.tif")) as raster:
        assert raster.descriptions == ("400 nm", "450 nm", "500 nm")
        tags = raster.tags(2)
    assert tags.items() >= {"wavelength": "450.0", "wavelength_units": "nm", "fwhm": "6.0", "bbl": "0"}.items()
    back = refold.open(tmp_path / "a.tif")
    np.testing.assert_array_equal(back, cube)
    for name in ("wavelength", "fwhm", "good"):
        np.testing.assert_array_equal(back[name], cube[name])
    scores = placed(np.ones((2, 3, 2)))
    with rasterio.open(refold.to_geotiff(scores, tmp_path / "b.tif")) as raster:
        assert raster.descriptions == ("component 0", "component 1")


def test_a_run_gives_any_of_its_variables(tmp_path):
    run = xr.Dataset({"labels": placed(labels_like(), "labels"), "scores": placed(np.ones((20, 30, 2)))})
    assert read(refold.to_geotiff(run, tmp_path / "labels.tif")).shape == (20, 30, 1)
    assert read(refold.to_geotiff(run, tmp_path / "scores.tif", "scores")).shape == (20, 30, 2)
    with pytest.raises(VariableError, match="labels, scores"):
        refold.to_geotiff(run, tmp_path / "a.tif", "probability")


# --- the file ---------------------------------------------------------------------------------------------------------


def test_every_stored_chunk_is_read_once(tmp_path):
    values = np.random.default_rng(0).random((100, 130, 3)).astype(np.float32)
    array = placed(values, "scores")
    encoding = {"scores": {"chunks": (32, 48, 3)}}
    store = tmp_path / "scores.zarr"
    array.to_dataset().drop_vars("spatial_ref").to_zarr(store, zarr_format=3, consolidated=False, encoding=encoding)
    lazy = xr.open_zarr(store, consolidated=False).scores
    with count_reads() as reads:
        path = refold.to_geotiff(lazy, tmp_path / "scores.tif")
    assert set(reads.under("/scores/c/").values()) == {1}
    assert len(reads.under("/scores/c/")) == 4 * 3
    np.testing.assert_array_equal(read(path), values)


def test_stored_tiles_are_those_of_the_blocks(tmp_path):
    array = placed(da.zeros((700, 900, 4), chunks=(96, 160, 4), dtype="float32"))
    grid = plan_grid(refold.as_cube(array, signal="component"), memory="2MB", workers=1)
    assert min(grid.counts) > 1
    with rasterio.open(refold.to_geotiff(array, tmp_path / "a.tif", memory="2MB", workers=1)) as raster:
        for edges, side in zip(grid.edges, raster.block_shapes[0], strict=True):
            assert side >= 96
            assert not any(edge % side for edge in edges[:-1])
    with rasterio.open(refold.to_geotiff(array.compute(), tmp_path / "b.tif")) as raster:
        assert set(raster.block_shapes) == {(256, 256)}


def test_an_existing_file_stays_unless_it_may_go(tmp_path):
    path = tmp_path / "a.tif"
    path.write_text("precious")
    with pytest.raises(StoreExistsError, match="overwrite=True"):
        refold.to_geotiff(placed(np.ones((2, 3))), path)
    assert path.read_text() == "precious"
    refold.to_geotiff(placed(np.ones((2, 3))), path, overwrite=True)
    assert read(path).shape == (2, 3, 1)
    with pytest.raises(StoreExistsError):
        refold.to_geotiff(placed(np.ones((2, 3))), tmp_path, overwrite=True)
    assert [file.name for file in tmp_path.iterdir()] == ["a.tif"]


def test_nothing_half_written_is_left(tmp_path):
    def fail(block):
        raise RuntimeError("no such electron")

    path = tmp_path / "deep" / "a.tif"
    lazy = da.zeros((64, 64), chunks=16, dtype="float32").map_blocks(fail, dtype="float32")
    with pytest.raises(RuntimeError, match="electron"):
        refold.to_geotiff(placed(lazy), path)
    assert not list(path.parent.iterdir())
    with pytest.raises(ParameterError, match="compress='squash'"):
        refold.to_geotiff(placed(np.ones((2, 3))), path, compress="squash")
    assert not list(path.parent.iterdir())


@pytest.mark.parametrize("compress", ["deflate", "lzw", "zstd", "packbits", "none"])
@pytest.mark.parametrize("dtype", ["float32", "int16"])
def test_every_compression_keeps_values(tmp_path, compress, dtype):
    values = np.random.default_rng(0).normal(0, 100, (40, 50)).astype(dtype)
    path = refold.to_geotiff(placed(values), tmp_path / "a.tif", compress=compress)
    np.testing.assert_array_equal(read(path).values[..., 0], values)
    with rasterio.open(path) as raster:
        assert raster.profile.get("compress", "none") == compress


@pytest.mark.parametrize("short", [60, 5_000, 60_000, 300_000])
def test_a_disk_that_fills_up_is_noticed(tmp_path, short):
    resource = pytest.importorskip("resource")
    array = placed(np.random.default_rng(0).random((300, 300)))
    whole = refold.to_geotiff(array, tmp_path / "whole.tif").stat().st_size
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (whole - short, limits[1]))
    try:
        with pytest.raises(StoreError, match=r"a\.tif"):
            refold.to_geotiff(array, tmp_path / "a.tif")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert [file.name for file in tmp_path.iterdir()] == ["whole.tif"]


def test_without_rasterio_the_extra_is_named(tmp_path, monkeypatch):
    real = builtins.__import__

    def missing(name, *args, **options):
        if name.startswith("rasterio"):
            raise ImportError(name)
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(MissingDependencyError, match=r"refold\[geo\]"):
        refold.to_geotiff(placed(np.ones((2, 3))), tmp_path / "a.tif")


# --- recorded scenes, and a large one ---------------------------------------------------------------------------------


def test_results_of_recorded_scenes_lie_where_the_scenes_do(shared_data, tmp_path):
    for source in sorted((shared_data / "hyperspectral" / "enmap_potsdam" / "images").glob("*.tif"))[:2]:
        cube = refold.open(source)
        labels = (refold.bands(cube).argmax("wavelength") % 5 - 1).astype(np.int32).rename("labels")
        with rasterio.open(source) as one, rasterio.open(refold.to_geotiff(labels, tmp_path / source.name)) as other:
            assert (one.crs, one.transform, one.shape) == (other.crs, other.transform, other.shape)
            np.testing.assert_array_equal(other.read(1), np.where(labels < 0, 255, labels))
        refold.to_geotiff(cube, tmp_path / "again.tif", overwrite=True)
        again = refold.open(tmp_path / "again.tif")
        np.testing.assert_array_equal(again, cube)
        for name in ("wavelength", "fwhm", "good", "y", "x", "spatial_ref"):
            np.testing.assert_array_equal(again[name], cube[name])


LARGE = """
import sys
import dask.array as da
import numpy as np
import xarray as xr
import refold
from refold.cube.georeference import georeference

side = int(sys.argv[2])
lazy = da.random.default_rng(0).random((side, side, 8), chunks=(256, 256, 8), dtype="float32")
scores = xr.DataArray(lazy, dims=("y", "x", "component"), name="scores")
refold.to_geotiff(georeference(scores, (1, 0, 0, 0, -1, 0), 32611), sys.argv[1], memory="64MB", workers=2)
"""


@pytest.mark.slow
def test_scores_eight_times_larger_than_the_memory_are_written_within_it(tmp_path):
    path = tmp_path / "scores.tif"
    base = limit_memory(2**40, LARGE, tmp_path / "small.tif", 64).peak
    limit_memory(base + 2 * 64_000_000 + 64 * 2**20, LARGE, path, 4096)
    with rasterio.open(path) as raster:
        assert raster.shape == (4096, 4096)
        size = 4096 * 4096 * 8 * 4
        assert size >= 8 * 64_000_000
        assert path.stat().st_size < 1.05 * size  # no tile was written twice
        assert raster.read(8, window=((4000, 4096), (4000, 4096))).min() > 0


def test_a_single_pixel_keeps_its_place(tmp_path):
    here = placed(labels_like((4, 5)), "labels")[1:2, 2:3]
    with rasterio.open(refold.to_geotiff(here, tmp_path / "a.tif")) as file:
        assert file.xy(0, 0) == (float(here.x[0]), float(here.y[0]))


def test_a_reference_system_that_gdal_does_not_know(tmp_path):
    here = placed(labels_like(), "labels").assign_coords(spatial_ref=((), 0, {"crs_wkt": 'PROJCS["nonsense"]'}))
    with pytest.raises(CubeError, match="nonsense"):
        refold.to_geotiff(here, tmp_path / "a.tif")
    assert not list(tmp_path.iterdir())


def test_no_data_that_is_no_number(tmp_path):
    with pytest.raises(ParameterError, match="nodata='x'"):
        refold.to_geotiff(placed(np.ones((2, 3), "f4")), tmp_path / "a.tif", nodata="x")
