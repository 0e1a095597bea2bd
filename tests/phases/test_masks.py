"""Masks as TIFF; the judges are tifffile, RosettaSciIO and Pillow, reading back."""

from __future__ import annotations

import errno
import tracemalloc
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import tifffile
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rsciio.tiff import file_reader

import refold
from refold.errors import CubeError, DiskFullError, ParameterError, StoreError, StoreExistsError, UnknownFormatError
from refold.phases.clusters import safe_name
from refold.phases.pixels import Plain
from tests.phases.segmented import labelled, named
from tests.strategies import chunkings, shapes


def nearest(labels, shape):
    """Each pixel of the new grid with the cell in which its centre lies, by fractions."""
    rows = [int((2 * i + 1) * labels.shape[-2] // (2 * shape[0])) for i in range(shape[0])]
    columns = [int((2 * i + 1) * labels.shape[-1] // (2 * shape[1])) for i in range(shape[1])]
    return labels[..., rows, :][..., columns]


# --- values -----------------------------------------------------------------------------------------------------------


@given(st.data(), shapes(3, 30), st.booleans())
def test_masks_are_the_labels_whatever_the_chunks(tmp_path_factory, data, shape, larger):
    folder = tmp_path_factory.mktemp("masks") / "deep" / "masks"
    run = labelled(shape, chunks=data.draw(chunkings(shape)))
    labels = run.labels.values if len(shape) > 1 else run.labels.values[None]
    like = (labels.shape[-2] * 2 + 1, labels.shape[-1] * 3 + 2) if larger else None
    files = refold.export_masks(run, folder, noise=True, like=like)
    assert [path.name for path in files] == ["cluster_0.tif", "cluster_1.tif", "cluster_2.tif", "noise.tif"]
    assert sorted(folder.iterdir()) == sorted(files)
    expected = labels if like is None else nearest(labels, like)
    total = np.zeros(expected.shape, int)
    for number, path in zip((0, 1, 2, -1), files, strict=True):
        mask = tifffile.imread(path)
        assert mask.dtype == np.uint8
        np.testing.assert_array_equal(mask.reshape(expected.shape), np.where(expected == number, 255, 0))
        total += mask.reshape(expected.shape)
    assert (total == 255).all()  # every pixel in just one of them


def test_pixel_size_and_unit_come_back(tmp_path):
    run = labelled((6, 8), unit="um", step=0.25)
    plain, *_ = refold.export_masks(run, tmp_path / "plain")
    (read,) = file_reader(str(plain))
    assert [axis["scale"] for axis in read["axes"]] == pytest.approx([0.25, 0.25])
    assert [axis["units"] for axis in read["axes"]] == ["µm", "µm"]
    larger, *_ = refold.export_masks(run, tmp_path / "larger", like=(12, 32))
    with tifffile.TiffFile(larger) as file:
        page = file.pages.first
        across, down = (tag.value[1] / tag.value[0] for tag in (page.tags["XResolution"], page.tags["YResolution"]))
        assert (across, down) == pytest.approx((0.0625, 0.125))
        assert file.imagej_metadata["unit"] == "micron"
    without, *_ = refold.export_masks(labelled((6, 8), unit=None), tmp_path / "without")
    with tifffile.TiffFile(without) as file:
        assert "unit" not in file.imagej_metadata


def test_pixel_sizes_that_cannot_be_said_are_left_out(tmp_path):
    uneven = labelled((4, 8), unit="nm").assign_coords(y=("y", [0.0, 0.5, 1.0, 9.0], {"units": "nm"}))
    path, *_ = refold.export_masks(uneven, tmp_path / "uneven")
    with tifffile.TiffFile(path) as file:
        assert "unit" not in file.imagej_metadata
    atoms, *_ = refold.export_masks(labelled((4, 8), unit="m", step=2e-11), tmp_path / "atoms")
    with tifffile.TiffFile(atoms) as file:
        page = file.pages.first
        assert (file.imagej_metadata["unit"], page.tags["XResolution"].value) == ("pm", (1, 20))


def test_stacks_have_a_page_a_slice_and_their_spacing(tmp_path):
    run = labelled((3, 4, 5), chunks=(2, 3, 2))
    path, *_ = refold.export_masks(run, tmp_path)
    with tifffile.TiffFile(path) as file:
        assert (len(file.pages), file.imagej_metadata["slices"], file.imagej_metadata["spacing"]) == (3, 3, 0.5)
        np.testing.assert_array_equal(file.asarray() > 0, run.labels.values == 0)


def test_names_of_clusters_are_names_of_files(tmp_path):
    run = named(labelled())
    files = refold.export_masks(run, tmp_path / "all")
    assert [path.name for path in files] == ["0_quartz.tif", "1_Fe_Ni_oxide.tif", "2_α-Fe.tif"]
    (one,) = refold.export_masks(run, tmp_path / "one", clusters=["α-Fe"])
    np.testing.assert_array_equal(np.asarray(Image.open(one)) > 0, run.labels.values == 2)
    many = refold.export_masks(labelled(clusters=11), tmp_path / "many")
    assert [many[0].name, many[10].name] == ["cluster_00.tif", "cluster_10.tif"]


@given(st.text(max_size=80))
def test_any_name_is_safe(name):
    safe = safe_name(name)
    assert len(f"0_{safe}.tif".encode()) < 255
    assert not set(safe) & set('/\\:*?"<>|. \n\0')
    assert Path(f"0_{safe}.tif").name == f"0_{safe}.tif"


@pytest.mark.parametrize("kind", ["tif", "png", "array", "dataarray"])
def test_an_image_says_how_large(tmp_path, kind):
    image = np.zeros((14, 33), np.uint8)
    like = {"array": image, "dataarray": xr.DataArray(image, dims=("y", "x"))}.get(kind, tmp_path / f"bse.{kind}")
    if kind == "tif":
        tifffile.imwrite(like, image)
    elif kind == "png":
        Image.fromarray(image).save(like)
    path, *_ = refold.export_masks(labelled(), tmp_path / "masks", like=like)
    assert tifffile.imread(path).shape == (14, 33)


# --- whole or not at all ----------------------------------------------------------------------------------------------


def test_existing_files_are_refused_and_replaced_only_when_told(tmp_path):
    run = labelled()
    files = refold.export_masks(run, tmp_path, clusters=[1])
    before = files[0].read_bytes()
    other = labelled(seed=1)
    with pytest.raises(StoreExistsError, match=r"cluster_1\.tif"):
        refold.export_masks(other, tmp_path)
    assert list(tmp_path.iterdir()) == list(files)
    assert files[0].read_bytes() == before
    refold.export_masks(other, tmp_path, overwrite=True)
    np.testing.assert_array_equal(tifffile.imread(files[0]) > 0, other.labels.values == 1)
    with pytest.raises(StoreExistsError, match="which is a file"):
        refold.export_masks(run, files[0])


@pytest.mark.parametrize(("number", "kind"), [(errno.ENOSPC, DiskFullError), (errno.EIO, StoreError)])
def test_nothing_is_left_where_writing_fails(tmp_path, monkeypatch, number, kind):
    refold.export_masks(labelled(), tmp_path / "kept", clusters=[0])
    kept = (tmp_path / "kept" / "cluster_0.tif").read_bytes()
    calls = []

    def fail(self, slices, values):
        calls.append(slices)
        if len(calls) > 1:
            raise OSError(number, "no")

    monkeypatch.setattr(Plain, "write", fail)
    for folder in ("new/masks", "kept"):
        calls.clear()
        with pytest.raises(kind):
            refold.export_masks(labelled(seed=1), tmp_path / folder, overwrite=True, workers=1)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["cluster_0.tif", "kept"]
    assert (tmp_path / "kept" / "cluster_0.tif").read_bytes() == kept


def test_a_graph_that_fails_leaves_nothing(tmp_path):
    def broken(block):
        raise ValueError("a chunk that cannot be read")

    labels = labelled().labels
    bad = labels.copy(data=da.map_blocks(broken, labels.data, dtype=np.int32, meta=np.empty((0, 0), np.int32)))
    with pytest.raises(ValueError, match="cannot be read"):
        refold.export_masks(labelled().assign(labels=bad), tmp_path / "masks")
    assert not list(tmp_path.iterdir())


def test_images_that_pillow_does_not_open_are_said(tmp_path, monkeypatch):
    Image.new("1", (40, 20)).save(tmp_path / "large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300)
    with pytest.raises(ParameterError, match="rows and columns"):
        refold.export_masks(labelled(), tmp_path / "masks", like=tmp_path / "large.png")
    with pytest.raises(ParameterError, match="no file"):
        refold.export_masks(labelled(), tmp_path / "masks", like=tmp_path)


def test_what_is_no_image_or_no_map_is_said(tmp_path):
    run = labelled()
    (tmp_path / "text.tif").write_text("no image")
    (tmp_path / "text.png").write_text("no image")
    for like, kind in [
        (tmp_path / "text.tif", UnknownFormatError),
        (tmp_path / "text.png", UnknownFormatError),
        (tmp_path / "none.tif", ParameterError),
        ((3, 0), ParameterError),
        ((3, 4, 5), ParameterError),
        ((3.0, 4), ParameterError),
        (np.zeros(3), ParameterError),
    ]:
        with pytest.raises(kind):
            refold.export_masks(run, tmp_path / "masks", like=like)
    with pytest.raises(ParameterError, match="no cluster 7"):
        refold.export_masks(run, tmp_path / "masks", clusters=[7])
    with pytest.raises(CubeError, match="one to three dims"):
        refold.export_masks(xr.Dataset({"labels": run.labels.expand_dims(a=1, b=1)}), tmp_path / "masks")
    assert not (tmp_path / "masks").exists()


def test_a_map_larger_than_memory_goes_block_by_block(tmp_path):
    rows = np.arange(4096)
    labels = da.map_blocks(
        lambda block_info=None: np.full((256, 4096), block_info[None]["chunk-location"][0] % 3, np.int32),
        chunks=((256,) * 16, (4096,)),
        dtype=np.int32,
        meta=np.empty((0, 0), np.int32),
    )
    run = xr.Dataset({"labels": (("y", "x"), labels), "cluster_size": ("cluster", np.zeros(3, np.int64))})
    tracemalloc.start()
    files = refold.export_masks(run, tmp_path, memory="32MB", workers=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40e6  # of 64 MB of labels
    mask = tifffile.memmap(files[1])
    np.testing.assert_array_equal(mask[:, 17] > 0, rows // 256 % 3 == 1)
