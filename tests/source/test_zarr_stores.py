from __future__ import annotations

import math
import pickle
import zipfile
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given
from hypothesis import strategies as st
from zarr.storage import LocalStore, MemoryStore

from refold.cube import as_cube, check_cube, signal_dims
from refold.errors import ParameterError, UnknownFormatError
from refold.source import info, open
from refold.source import zarr as zarr_source
from tests.guards import CountingStore, chunk_keys, count_reads, no_compute
from tests.source.stores import AXES_4D, counts, write_zspy


@st.composite
def layouts(draw):
    """Shapes, chunks and shards of a 3-D or 4-D array; ragged edges are as likely as not."""
    shape = draw(st.lists(st.integers(1, 9), min_size=3, max_size=4))
    chunks = [draw(st.integers(1, size)) for size in shape]
    shards = [chunk * draw(st.integers(1, 3)) for chunk in chunks] if draw(st.booleans()) else None
    return tuple(shape), tuple(chunks), None if shards is None else tuple(shards)


@given(layouts(), st.sampled_from([2, 3]), st.sampled_from(["uint8", ">u2", "float32"]))
def test_every_chunk_or_shard_is_one_task_and_fetched_once(layout, zarr_format, dtype):
    shape, chunks, shards = layout
    if zarr_format == 2:
        shards = None
    memory, values = MemoryStore(), counts(shape, dtype) + 1
    array = zarr.create_array(memory, shape=shape, chunks=chunks, shards=shards, dtype=dtype, zarr_format=zarr_format)
    array[...] = values
    store = CountingStore(memory)
    with no_compute():
        cube = open(store)
    assert store.reads.of_chunks == {}
    assert cube.data.chunksize == tuple(min(side, size) for side, size in zip(shards or chunks, shape, strict=True))
    assert cube.data.npartitions == chunk_keys(array)
    np.testing.assert_array_equal(cube.compute(scheduler="synchronous"), values)
    assert len(store.reads.of_chunks) == chunk_keys(array)
    assert store.reads.total == chunk_keys(array)
    if shards is not None:  # a shard is one request: not its index first, then its chunks one by one
        assert all(ranged == "" for key, ranged in store.reads.gets if key in store.reads.of_chunks)
    assert cube.dtype.isnative


def test_signal_split_chunks_stay_tasks_and_are_read_with_their_block(tmp_path):
    values = counts((4, 4, 6, 6))
    zarr.create_array(tmp_path / "split.zarr", data=values, chunks=(2, 4, 3, 2))
    cube = open(tmp_path / "split.zarr")
    assert cube.data.numblocks == (2, 1, 2, 3)
    with count_reads() as reads:
        np.testing.assert_array_equal(cube[:2].compute(), values[:2])
    assert reads.total == 6


def test_wished_chunks_join_stored_ones(tmp_path):
    zarr.create_array(tmp_path / "fine.zarr", data=counts((6, 4, 5)), chunks=(2, 2, 5))
    cube = open(tmp_path / "fine.zarr", chunks={"y": 4, "x": 4})
    assert cube.data.chunksize == (4, 4, 5)
    with count_reads() as reads:
        np.testing.assert_array_equal(cube.compute(), counts((6, 4, 5)))
    assert reads.total == 6
    assert max(reads.of_chunks.values()) == 1
    with pytest.raises(ParameterError, match="multiple of the 2"):
        open(tmp_path / "fine.zarr", chunks={"y": 3})


def test_the_graph_is_small_and_travels(tmp_path):
    zarr.create_array(
        tmp_path / "scan.zarr", data=counts((8, 8, 16)), chunks=(2, 2, 16), attributes={"long": "x" * 50_000}
    )
    cube = open(tmp_path / "scan.zarr")
    wire = pickle.dumps(cube.data)
    assert len(wire) < 6_000
    np.testing.assert_array_equal(pickle.loads(wire).compute(scheduler="synchronous"), counts((8, 8, 16)))


def test_a_store_that_changed_is_another_array(tmp_path):
    path = tmp_path / "scan.zarr"
    zarr.create_array(path, data=counts((2, 2, 3)), overwrite=True)
    once = open(path)
    assert open(path).data.name == once.data.name
    zarr.create_array(path, data=counts((2, 2, 3)), overwrite=True)
    assert open(path).data.name != once.data.name


# --- HyperSpy's layout ------------------------------------------------------------------------------------------------


def test_zspy_comes_calibrated(tmp_path):
    values = counts((3, 4, 10, 11), "float32")
    write_zspy(str(tmp_path / "scan.zspy"), {"grains": (values, AXES_4D)}, chunks=(2, 2, 10, 11))
    with no_compute():
        cube = check_cube(open(tmp_path / "scan.zspy"))
    assert cube.name == "grains"
    assert cube.dims == ("y", "x", "ky", "kx")
    assert {dim: cube[dim].attrs for dim in cube.dims} == {
        "y": {"role": "navigation", "units": "nm"},
        "x": {"role": "navigation", "units": "nm"},
        "ky": {"role": "signal", "units": "1/Å"},
        "kx": {"role": "signal", "units": "1/Å"},
    }
    np.testing.assert_allclose(cube.x, -4.0 + 2.0 * np.arange(4))
    assert cube.attrs["beam_energy"] == 300.0
    assert cube.attrs["camera_length"] == 21.0
    np.testing.assert_array_equal(cube, values)


def test_several_experiments_are_listed_and_the_scan_among_them_is_opened(tmp_path):
    path = tmp_path / "several.zspy"
    image = [{**axis, "navigate": False} for axis in AXES_4D[:2]]
    write_zspy(
        str(path),
        {"a image": (counts((90, 90)), tuple(image)), "scan": (counts((3, 4, 5, 6)), AXES_4D)},
    )
    listed = {signal.name: signal for signal in info(path)}
    assert listed["a image"].dims == listed["a image"].navigation == ("y", "x")
    assert [name for name, signal in listed.items() if signal.default] == ["scan"]
    assert listed["scan"].bytes == 3 * 4 * 5 * 6 * 2
    assert open(path).name == "scan"
    assert open(path, "a image").shape == (90, 90)
    with pytest.raises(ParameterError, match=r"'scam'.*\['a image', 'scan'\].*signal='scan'"):
        open(path, signal="scam")


def test_zipped_zspy_and_stores_given_directly(tmp_path):
    values, path = counts((3, 4, 5, 6)), tmp_path / "zipped.zspy"
    write_zspy(str(tmp_path / "folder.zspy"), {"scan": (values, AXES_4D)})
    with zipfile.ZipFile(path, "w") as archive:
        for file in (tmp_path / "folder.zspy").rglob("*"):
            archive.write(file, file.relative_to(tmp_path / "folder.zspy"))
    np.testing.assert_array_equal(open(path), values)
    memory = MemoryStore()
    write_zspy(memory, {"scan": (values, AXES_4D)})
    group = zarr.open_group(memory, mode="r")
    for given_directly in (memory, group, group["Experiments/scan/data"]):
        np.testing.assert_array_equal(open(given_directly), values)
    assert open(group).attrs["beam_energy"] == 300.0


# --- xarray's, Refold's own and plain ones ----------------------------------------------------------------------------


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_cube_saved_by_xarray_comes_back_the_same(tmp_path, zarr_format):
    cube = as_cube(
        da.from_array(counts((4, 3, 6), "float32"), chunks=(2, 3, 6)),
        signal="energy",
        coords={
            "y": (np.array([3.0, 1.0, 2.0, -5.0]), {"units": "µm"}),
            "energy": (np.arange(6) * 8.0, {"units": "eV"}),
        },
        name="spectra",
    ).assign_attrs(beam_energy=200.0, elements=["Fe", "Pt"])
    cube.to_zarr(tmp_path / "cube.zarr", zarr_format=zarr_format)
    with no_compute():
        again = open(tmp_path / "cube.zarr")
    xr.testing.assert_identical(again.drop_attrs(deep=False), cube.drop_attrs(deep=False))
    assert again.attrs["elements"] == ["Fe", "Pt"]
    assert again.attrs["beam_energy"] == 200.0
    assert again.chunks == cube.chunks


def test_roles_of_a_store_without_them_are_told_by_names_and_units(tmp_path):
    scan = xr.DataArray(
        np.zeros((2, 3, 4)), dims=("band", "row", "time"), coords={"time": np.array(["2026-01-01"] * 4, "M8[ns]")}
    )
    scan.rename("reflectance").to_zarr(tmp_path / "scan.zarr")
    cube = open(tmp_path / "scan.zarr")
    assert cube.dims == ("row", "time", "band")
    assert signal_dims(cube) == ("band",)
    assert cube.time.dtype.kind == "M"


def test_packed_and_masked_integers_are_unpacked_and_counts_of_zero_are_not_masked(tmp_path):
    packed = xr.DataArray(np.array([[[0.5, 1.5]], [[np.nan, 0.0]]]), dims=("y", "x", "energy"), name="packed")
    packed.encoding = {"dtype": "int16", "scale_factor": 0.5, "_FillValue": -9999}
    for zarr_format in (2, 3):
        packed.to_zarr(tmp_path / f"packed{zarr_format}.zarr", zarr_format=zarr_format)
        with no_compute():
            cube = open(tmp_path / f"packed{zarr_format}.zarr")
        np.testing.assert_array_equal(cube, packed)
        assert info(tmp_path / f"packed{zarr_format}.zarr")[0].dtype == cube.dtype.name
    zeros = xr.DataArray(np.zeros((2, 3, 4), "uint16"), dims=("y", "x", "energy"), name="counts")
    zeros.to_zarr(tmp_path / "counts.zarr", zarr_format=2)
    assert open(tmp_path / "counts.zarr").dtype == "uint16"


def test_groups_are_walked_and_a_path_may_go_on_inside_a_store(tmp_path):
    root = zarr.open_group(tmp_path / "deep.zarr", mode="w")
    root.create_array("a/scan", data=counts((2, 3, 4, 5)))
    root.create_array("a/b/other", data=counts((2, 3, 4)))
    root.create_array("names", data=np.arange(3))
    assert [signal.name for signal in info(tmp_path / "deep.zarr")] == ["a/b/other", "a/scan"]
    assert open(tmp_path / "deep.zarr").name == "a/scan"
    assert open(tmp_path / "deep.zarr" / "a" / "b").name == "other"
    assert open(tmp_path / "deep.zarr" / "a" / "scan").dims == ("y", "x", "ky", "kx")
    assert open(str(tmp_path / "deep.zarr/a/b/other"), signal_dims="energy").dims == ("y", "x", "energy")


def test_a_group_takes_the_coordinates_above_that_fit(tmp_path):
    root = zarr.open_group(tmp_path / "deep.zarr", mode="w")
    for name, size in (("y", 3), ("x", 4)):
        root.create_array(name, data=np.arange(size) * 0.5, dimension_names=[name])
    for path, shape in (("same/cube", (3, 4, 5)), ("smaller/cube", (3, 2, 5))):
        root.create_array(path, data=np.ones(shape, "u1"), dimension_names=["y", "x", "energy"])
    assert open(tmp_path / "deep.zarr", signal="same/cube").x.values.tolist() == [0.0, 0.5, 1.0, 1.5]
    smaller = open(tmp_path / "deep.zarr", signal="smaller/cube")
    assert (smaller.y.values.tolist(), smaller.x.values.tolist()) == ([0.0, 0.5, 1.0], [0, 1])


def test_a_url_leads_to_a_store(tmp_path):
    fsspec = pytest.importorskip("fsspec")
    values = counts((2, 3, 4))
    zarr.create_array(tmp_path / "scan.zarr", data=values)
    np.testing.assert_array_equal(open(f"file://{tmp_path}/scan.zarr"), values)
    memory = fsspec.filesystem("memory")
    memory.put(str(tmp_path / "scan.zarr"), "/far/scan.zarr", recursive=True)
    cube = open("memory://far/scan.zarr")
    np.testing.assert_array_equal(cube, values)
    assert cube.attrs["source"] == "memory://far/scan.zarr"


def test_two_signals_of_one_size_are_not_chosen_between(tmp_path):
    root = zarr.open_group(tmp_path / "two.zarr", mode="w")
    for name in ("low", "high"):
        root.create_array(name, data=counts((2, 3, 4)))
    assert not any(signal.default for signal in info(tmp_path / "two.zarr"))
    with pytest.raises(ParameterError, match=r"\['high', 'low'\].*signal='high'"):
        open(tmp_path / "two.zarr")


@pytest.mark.parametrize("content", [b"{", b"[]", b"{}"])
def test_a_broken_store_is_an_error_that_names_it(tmp_path, content):
    path = tmp_path / "broken.zarr"
    path.mkdir()
    (path / "zarr.json").write_bytes(content)
    with pytest.raises(UnknownFormatError, match=r"broken\.zarr"):
        open(path)
    with pytest.raises(UnknownFormatError):
        open(LocalStore(Path(path)))


def test_an_empty_group_holds_no_scan(tmp_path):
    zarr.open_group(tmp_path / "empty.zarr", mode="w")
    for look in (open, info):
        with pytest.raises(UnknownFormatError, match="at least one signal"):
            look(tmp_path / "empty.zarr")


def test_info_tells_what_open_gives(tmp_path):
    write_zspy(str(tmp_path / "scan.zspy"), {"scan": (counts((3, 4, 5, 6)), AXES_4D)}, chunks=(2, 2, 5, 6))
    with no_compute():
        (signal,) = info(tmp_path / "scan.zspy")
        cube = open(tmp_path / "scan.zspy")
    assert (signal.name, signal.dims, signal.shape) == (cube.name, cube.dims, cube.shape)
    assert (signal.dtype, signal.chunks) == (cube.dtype.name, cube.data.chunksize)
    assert signal.units == tuple(cube[dim].attrs.get("units") for dim in cube.dims)
    assert signal.bytes == cube.nbytes == math.prod(signal.shape) * 2
    assert signal.as_dict()["dims"] == list(cube.dims)


def test_of_a_large_shard_a_block_reads_some_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(zarr_source, "_MOST_BYTES", 2 * 8 * 8 * 2)
    values = np.arange(1, 16 * 8 * 8 + 1, dtype="u2").reshape(16, 8, 8)
    array = zarr.create_array(tmp_path / "a", shape=values.shape, chunks=(1, 4, 8), shards=(8, 8, 8), dtype="u2")
    array[:] = values
    cube = open(tmp_path / "a")
    assert cube.data.chunksize == (2, 8, 8)
    with count_reads() as reads:
        assert np.array_equal(cube.values, values)
    assert max(reads.gets.values()) == 1
    assert len(reads.gets) == 2 * (1 + 8 * 2)  # of each shard its index, and every chunk
