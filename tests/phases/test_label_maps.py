"""Label maps as files; the judges are tifffile, rasterio, Pillow, NumPy and xarray, reading back."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import tifffile
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import refold
from refold.cube.georeference import georeference
from refold.errors import CubeError, ParameterError, StoreExistsError, VariableError
from refold.report.colours import NOISE, to_rgb
from tests.phases.segmented import COLOURS, NAMES, labelled, named
from tests.strategies import chunkings, shapes


@given(st.data(), shapes(2, 30), st.booleans())
def test_every_format_holds_the_labels_whatever_the_chunks(tmp_path_factory, data, shape, larger):
    folder = tmp_path_factory.mktemp("maps")
    run = labelled(shape, chunks=data.draw(chunkings(shape)))
    labels = np.atleast_2d(run.labels.values)
    like = (labels.shape[0] * 2, labels.shape[1] * 3) if larger else None
    expected = labels if like is None else labels.repeat(2, axis=0).repeat(3, axis=1)
    tiff = tifffile.imread(refold.export_labels(run, folder / "a.tif", like=like))
    assert tiff.dtype == np.int32
    np.testing.assert_array_equal(np.atleast_2d(tiff).reshape(expected.shape), expected)
    npy = np.load(refold.export_labels(run, folder / "a.npy", like=like))
    assert (npy.dtype, npy.ndim) == (np.int32, run.labels.ndim)
    np.testing.assert_array_equal(npy.reshape(expected.shape), expected)
    with Image.open(refold.export_labels(run, folder / "a.png", like=like, legend=False)) as image:
        assert image.mode == "P"
        np.testing.assert_array_equal(np.asarray(image), np.where(expected < 0, 255, expected))
    stored = xr.open_zarr(refold.export_labels(run, folder / "a.zarr"), consolidated=False)
    np.testing.assert_array_equal(stored.labels, run.labels)
    for dim in run.labels.dims:
        xr.testing.assert_equal(stored[dim], run[dim])
    assert sorted(path.name for path in folder.iterdir()) == ["a.npy", "a.png", "a.tif", "a.zarr"]


def test_a_png_shows_each_cluster_in_its_colour(tmp_path):
    run = named(labelled())
    path = refold.export_labels(run, tmp_path / "map.png")
    with Image.open(path) as image:
        shown = np.asarray(image.convert("RGB"))
    expected = np.round(to_rgb([*COLOURS, NOISE]) * 255).astype(np.uint8)[run.labels.values]
    np.testing.assert_array_equal(shown, expected)
    legend = json.loads((tmp_path / "map.json").read_text(encoding="utf-8"))["clusters"]
    assert [entry["value"] for entry in legend] == [0, 1, 2, 255]
    assert [entry["name"] for entry in legend] == [*NAMES, "noise"]
    assert [entry["colour"] for entry in legend] == [*COLOURS, NOISE]
    assert legend[1]["size"] == int((run.labels == 1).sum())


def test_a_legend_can_be_a_table(tmp_path):
    refold.export_labels(named(labelled()), tmp_path / "map.tif", legend="csv")
    with (tmp_path / "map.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["value"] for row in rows] == ["0", "1", "2", "-1"]
    assert rows[1]["name"] == NAMES[1]
    assert rows[3]["size"] == ""


def test_a_map_on_earth_is_a_geotiff_in_the_colours_of_the_edits(tmp_path):
    rasterio = pytest.importorskip("rasterio")
    run = named(labelled((5, 6), chunks=(2, 3)))
    placed = georeference(run.labels, (2.0, 0.0, 257000.0, 0.0, -2.0, 4112000.0), "EPSG:32611")
    run = run.drop_vars(["labels", "y", "x"]).assign(labels=placed)
    path = refold.export_labels(run, tmp_path / "map.tif")
    with rasterio.open(path) as file:
        assert file.crs.to_epsg() == 32611
        assert file.nodata == 255
        np.testing.assert_array_equal(file.read(1), np.where(run.labels < 0, 255, run.labels))
        table = file.colormap(1)
    assert [table[i][:3] for i in range(3)] == [tuple(bytes.fromhex(colour[1:])) for colour in COLOURS]
    plain = refold.export_labels(run, tmp_path / "plain.tif", format="tiff")
    np.testing.assert_array_equal(tifffile.imread(plain), run.labels)


def test_a_zarr_says_which_value_is_what(tmp_path):
    run = named(labelled())
    attrs = xr.open_zarr(refold.export_labels(run, tmp_path / "map.zarr"), consolidated=False).labels.attrs
    assert attrs["flag_values"] == [-1, 0, 1, 2]
    assert attrs["flag_meanings"] == "noise quartz Fe_Ni_oxide α-Fe"
    assert attrs["flag_colors"].split() == [NOISE, *COLOURS]
    assert attrs["cluster_names"] == ["noise", *NAMES]


def test_what_a_run_is_made_of_is_never_overwritten(tmp_path):
    scan, store, other = tmp_path / "data" / "scan.zarr", tmp_path / "scan.run.zarr", tmp_path / "papers"
    for place in (scan, store, other):
        place.mkdir(parents=True)
        (place / ("letter.txt" if place == other else "zarr.json")).write_text("{}")
    run = labelled().assign_attrs(source=json.dumps({"name": "scan", "path": str(scan)}))
    run.encoding["source"] = str(store)
    for place in (scan, scan.parent, store, other):
        with pytest.raises(StoreExistsError):
            refold.export_labels(run, place, format="zarr", overwrite=True)
    assert all(any(place.iterdir()) for place in (scan, store, other))
    with pytest.raises(ParameterError, match="legend both"):
        refold.export_labels(run, tmp_path / "map.csv", format="npy", legend="csv")


def test_stacks_as_tiff_npy_and_zarr(tmp_path):
    run = labelled((3, 4, 5), chunks=(2, 3, 2))
    np.testing.assert_array_equal(tifffile.imread(refold.export_labels(run, tmp_path / "a.tif")), run.labels)
    np.testing.assert_array_equal(np.load(refold.export_labels(run, tmp_path / "a.npy")), run.labels)
    np.testing.assert_array_equal(
        xr.open_zarr(refold.export_labels(run, tmp_path / "a.zarr"), consolidated=False).labels, run.labels
    )
    with pytest.raises(CubeError, match="two dims for a PNG"):
        refold.export_labels(run, tmp_path / "a.png")


def test_what_is_there_is_refused_both_map_and_legend(tmp_path):
    run = labelled()
    (tmp_path / "map.json").write_text("mine")
    with pytest.raises(StoreExistsError, match=r"map\.json"):
        refold.export_labels(run, tmp_path / "map.png")
    assert [path.name for path in tmp_path.iterdir()] == ["map.json"]
    assert (tmp_path / "map.json").read_text() == "mine"
    refold.export_labels(run, tmp_path / "map.zarr")
    with pytest.raises(StoreExistsError, match=r"map\.zarr"):
        refold.export_labels(run, tmp_path / "map.zarr")
    refold.export_labels(labelled(seed=5), tmp_path / "map.zarr", overwrite=True)
    stored = xr.open_zarr(tmp_path / "map.zarr", consolidated=False)
    np.testing.assert_array_equal(stored.labels, labelled(seed=5).labels)


@pytest.mark.parametrize(
    ("name", "options", "match"),
    [
        ("map.jpg", {}, r"a file named map\.jpg"),
        ("map", {}, "a file named map"),
        ("map.tif", {"format": "jpeg"}, "format='jpeg'"),
        ("map.png", {"legend": "xml"}, "legend='xml'"),
        ("map.zarr", {"like": (3, 4)}, "like=… for zarr"),
        ("map.tif", {"like": (3, 4), "format": "geotiff"}, "like=… for geotiff"),
    ],
)
def test_wrong_options_are_said_and_nothing_is_written(tmp_path, name, options, match):
    with pytest.raises(ParameterError, match=match):
        refold.export_labels(labelled(), tmp_path / name, **options)
    assert not list(tmp_path.iterdir())


def test_more_clusters_than_a_byte_holds_are_no_png(tmp_path):
    run = labelled((20, 30), 256, chunks=(20, 30))
    with pytest.raises(ParameterError, match="numbers below 255"):
        refold.export_labels(run, tmp_path / "map.png")
    with pytest.raises(VariableError, match="labels"):
        refold.export_labels(run.drop_vars("labels"), tmp_path / "map.png")
