"""`convert`: the same cube in chunks of whole signals, each stored chunk decoded once, and all of it or nothing."""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given
from hypothesis import strategies as st

import refold
from refold.engine import ZarrWriter
from refold.engine.progress import Progress
from refold.errors import (
    CubeError,
    DiskFullError,
    MemoryBudgetError,
    ParameterError,
    SourceNotFoundError,
    StoreError,
    StoreExistsError,
)
from refold.source import convert
from refold.source.placing import written_whole
from tests.guards import count_reads, limit_memory
from tests.source.stores import AXES_4D, counts, write_hspy, write_zspy
from tests.strategies import DTYPES, cubes

QUIET = Progress()


def tall_scan(path: Path, shape: tuple[int, ...] = (16, 12, 40), chunks: tuple[int, ...] = (16, 12, 3)) -> Path:
    """All positions, and a few channels, in each chunk."""
    zarr.create_array(path, data=counts(shape), chunks=chunks)
    return path


def same(one: xr.DataArray, other: xr.DataArray) -> None:
    """Equal in all but where they lie, and how they were read."""
    attrs = [{key: cube.attrs[key] for key in cube.attrs.keys() - {"source", "reader"}} for cube in (one, other)]
    assert attrs[0] == attrs[1]
    xr.testing.assert_identical(one.drop_attrs(deep=False), other.drop_attrs(deep=False))
    assert one.dtype == other.dtype
    for dim in one.dims:
        assert one[dim].dtype == other[dim].dtype


def whole_signals(cube: xr.DataArray) -> bool:
    return all(len(cube.chunksizes[dim]) == 1 for dim in cube.dims if cube[dim].attrs["role"] == "signal")


# --- the same cube ----------------------------------------------------------------------------------------------------


@given(st.data())
def test_any_cube_stays_the_same(data):
    """Whatever its shape, chunks, dtype and calibration are, and however little memory there is."""
    cube = data.draw(cubes(lazy=False, dtypes=(*DTYPES, "bool", "float16", ">i2", "uint64"), invalid=True))
    chunks = tuple(data.draw(st.integers(1, size)) for size in cube.shape)
    memory = data.draw(st.sampled_from([2_000, 20_000, 10**8]))
    navigation = [dim for dim in cube.dims if cube[dim].attrs["role"] == "navigation"]
    wanted = data.draw(st.none() | st.dictionaries(st.sampled_from(navigation), st.integers(1, 7), min_size=1))
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "a.zarr"), Path(folder, "b.zarr")
        cube.attrs.update(title="a phantom", beam_energy=300.0, elements=["Fe", "Pt"])
        cube.to_dataset(name="scan").to_zarr(
            source, zarr_format=3, consolidated=False, encoding={"scan": {"chunks": chunks}}
        )
        options: dict[str, Any] = {"chunks": wanted, "workers": 2, "progress": QUIET}
        with count_reads() as reads:
            try:
                done = convert(source, target, memory=memory, **options)
            except MemoryBudgetError as error:
                reads.reset()
                done = convert(source, target, memory=error.remedy.split("--memory ")[1].split(",")[0], **options)
        assert set(reads.under("a.zarr/scan/c").values()) <= {1}
        opened = refold.open(target)
        same(refold.open(source), opened)
        assert whole_signals(opened)
        assert tuple(done.chunks.values()) == zarr.open_array(target / "scan", mode="r").chunks
        for dim, side in (wanted or {}).items():
            assert done.chunks[dim] == min(side, cube.sizes[dim])
        assert sorted(entry.name for entry in Path(folder).iterdir()) == ["a.zarr", "b.zarr"]


@pytest.mark.parametrize("memory", ["12kB", "1GB"])
def test_tall_chunks_are_decoded_once(tmp_path, memory):
    source = tall_scan(tmp_path / "tall.zarr")
    with count_reads() as reads:
        done = convert(source, tmp_path / "scan.zarr", memory=memory, workers=2)
    assert done.passes == (2 if memory == "12kB" else 1)
    assert len(reads.under("tall.zarr/c")) == 14
    assert set(reads.under("tall.zarr/c").values()) == {1}
    np.testing.assert_array_equal(refold.open(tmp_path / "scan.zarr").values, counts((16, 12, 40)))
    assert done.bytes_read == 16 * 12 * 40 * 2


def test_a_converted_scan_is_read_once_in_a_sweep_with_that_memory(tmp_path):
    source = tall_scan(tmp_path / "tall.zarr", (64, 64, 128), (64, 64, 4))
    convert(source, tmp_path / "scan.zarr", memory="1MB", workers=2)
    with count_reads() as reads:
        refold.sweep(refold.open(tmp_path / "scan.zarr"), refold.Moments(), memory="1MB", workers=2)
    assert set(reads.under("scan.zarr/tall/c").values()) == {1}


def test_shards_are_read_once(tmp_path):
    zarr.create_array(tmp_path / "a.zarr", data=counts((8, 8, 6, 6)), chunks=(2, 2, 3, 6), shards=(8, 4, 3, 6))
    with count_reads() as reads:
        convert(tmp_path / "a.zarr", tmp_path / "b.zarr", memory="12kB", workers=1)
    assert set(reads.under("a.zarr/c").values()) == {1}
    np.testing.assert_array_equal(refold.open(tmp_path / "b.zarr").values, counts((8, 8, 6, 6)))


def test_vendors_files_and_raw_binary(tmp_path):
    data = counts((6, 5, 8, 8))
    write_hspy(tmp_path / "a.hspy", data, list(AXES_4D), {"General": {"title": "a"}}, chunks=(6, 1, 4, 8))
    write_zspy(tmp_path / "a.zspy", {"one": (data, AXES_4D), "two": (data[:3], AXES_4D)}, chunks=(3, 5, 8, 2))
    np.save(tmp_path / "a.npy", data)
    data.astype(">u2").tofile(tmp_path / "a.raw")
    raw = {"shape": data.shape, "dtype": ">u2"}
    for name, options in (("a.hspy", {}), ("a.zspy", {"signal": "two"}), ("a.npy", {}), ("a.raw", raw)):
        done = convert(tmp_path / name, tmp_path / "b.zarr", memory="50kB", workers=1, overwrite=True, **options)
        same(refold.open(tmp_path / name, **options), refold.open(tmp_path / "b.zarr"))
        assert done.signal == refold.open(tmp_path / "b.zarr").attrs["signal"]


def test_how_the_file_was_read_is_forgotten(tmp_path):
    """A run keeps features of scans in vendors' files, which a converted one no longer is."""
    xr.DataArray(
        counts((4, 4, 5)), dims=("y", "x", "energy"), attrs={"reader": "Bruker", "read_whole": True}
    ).to_dataset(name="EDS").to_zarr(tmp_path / "a.zarr", zarr_format=3, consolidated=False)
    convert(tmp_path / "a.zarr", tmp_path / "b.zarr")
    assert refold.open(tmp_path / "b.zarr").attrs.keys() == {"source", "signal"}
    assert zarr.open_group(tmp_path / "b.zarr", mode="r").attrs["refold"]["converted_from"] == str(tmp_path / "a.zarr")


@pytest.mark.parametrize("name", ["run/patterns", "EDS map (2)", "energy", "..", "__old"])
def test_names_that_zarr_does_not_allow_are_replaced(tmp_path, name):
    data = counts((4, 4, 5))
    kept = name in {"run/patterns", "EDS map (2)"}
    source = zarr.create_array({}, data=data, dimension_names=["y", "x", "energy"])
    import refold.source.given as room

    chosen = room.signal_of(source)
    monkey = pytest.MonkeyPatch()
    with monkey.context() as patch:
        patch.setattr(room, "signal_of", lambda *_, **__: _renamed(chosen, name))
        convert(source, tmp_path / "b.zarr")
    opened = refold.open(tmp_path / "b.zarr")
    assert opened.name == (name if kept else "data")
    np.testing.assert_array_equal(opened.values, data)


def _renamed(signal: Any, name: str) -> Any:
    from dataclasses import replace

    return replace(signal, name=name)


def test_minus_zero_and_every_nan_stay(tmp_path):
    data = np.full((4, 4, 3), -0.0, "f4")
    data.view("u4")[2:] = 0x7FC00001
    zarr.create_array(tmp_path / "a.zarr", data=data, chunks=(2, 2, 3))
    convert(tmp_path / "a.zarr", tmp_path / "b.zarr", chunks={"y": 1})
    np.testing.assert_array_equal(refold.open(tmp_path / "b.zarr").values.view("u4"), data.view("u4"))


# --- all or nothing ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("memory", ["12kB", "1GB"])
@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), DiskFullError),
        (DiskFullError("a full disk", "room for the run", "start it again: it goes on"), DiskFullError),
        (KeyboardInterrupt(), KeyboardInterrupt),
        (MemoryError(), MemoryError),
    ],
)
def test_nothing_half_written_is_left(tmp_path, monkeypatch, overwrite, memory, raised, expected):
    source, target = tall_scan(tmp_path / "tall.zarr"), tmp_path / "scan.zarr"
    if overwrite:
        zarr.create_array(target, data=np.arange(3))
    before = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")}
    visit, calls = ZarrWriter.visit, []

    def failing(self: Any, state: None, block: Any, where: Any) -> None:
        calls.append(where)
        if len(calls) > 1 or memory == "1GB":
            raise raised
        visit(self, state, block, where)

    monkeypatch.setattr(ZarrWriter, "visit", failing)
    with pytest.raises(expected) as caught:
        convert(source, target, memory=memory, workers=2, overwrite=overwrite)
    assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")} == before
    if expected is DiskFullError:
        assert "scan.zarr" in str(caught.value)
        assert "goes on" not in str(caught.value)  # a run would


def test_what_is_there_is_kept_unless_told_otherwise(tmp_path):
    source = tall_scan(tmp_path / "tall.zarr")
    np.save(tmp_path / "other.npy", np.zeros(3))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.txt").write_text("do not lose")
    zarr.create_array(tmp_path / "there.zarr", data=np.arange(3))
    with pytest.raises(StoreExistsError, match="overwrite"):
        convert(source, tmp_path / "there.zarr")
    for name in ("other.npy", "folder"):
        with pytest.raises(StoreExistsError, match="no Zarr store"):
            convert(source, tmp_path / name, overwrite=True)
    assert (tmp_path / "folder" / "thesis.txt").exists()
    convert(source, tmp_path / "there.zarr", overwrite=True)
    assert refold.open(tmp_path / "there.zarr").shape == (16, 12, 40)


@pytest.mark.parametrize("place", ["group.zarr", "group.zarr/tall", "group.zarr/new", "group.zarr/tall/new"])
def test_a_scan_is_not_written_over_itself(tmp_path, place):
    tall_scan(tmp_path / "group.zarr" / "tall")
    zarr.create_group(tmp_path / "group.zarr")
    before = sorted(tmp_path.rglob("*"))
    for scan in ("group.zarr/tall", "group.zarr"):
        if place == "group.zarr/new" and scan == "group.zarr/tall":
            continue  # beside it in one group: why not
        with pytest.raises(ParameterError, match="the scan"):
            convert(tmp_path / scan, tmp_path / place, overwrite=True)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"memory": "1kB"}, MemoryBudgetError, "1 kB"),
        ({"memory": "lots"}, ParameterError, "lots"),
        ({"workers": 0}, ParameterError, "workers"),
        ({"chunks": {"channel": 8}}, ParameterError, "signals stay whole"),
        ({"chunks": {"y": 0}}, ParameterError, "at least 1"),
        ({"signal": "EDS"}, ParameterError, "EDS"),
    ],
)
def test_impossible_wishes_are_refused(tmp_path, options, error, words):
    source = tall_scan(tmp_path / "tall.zarr")
    with pytest.raises(error, match=words):
        convert(source, tmp_path / "scan.zarr", **options)
    assert [entry.name for entry in tmp_path.iterdir()] == ["tall.zarr"]


def test_what_is_no_scan_is_refused(tmp_path):
    with pytest.raises(SourceNotFoundError):
        convert(tmp_path / "nowhere.zarr", tmp_path / "scan.zarr")
    image = zarr.create_array({}, data=counts((5, 5)), dimension_names=["y", "x"])
    with pytest.raises(CubeError):
        convert(image, tmp_path / "scan.zarr")


def test_a_place_that_cannot_be_written_is_said_so(tmp_path):
    source = tall_scan(tmp_path / "tall.zarr")
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="a place that can be written"):
        convert(source, tmp_path / "file" / "scan.zarr")


def test_what_an_interrupted_one_left_is_removed(tmp_path):
    """A process that was killed could not tidy up."""
    left = tmp_path / ".scan.zarr.partial"
    left.mkdir()
    (left / "zarr.json").write_text("{")
    convert(tall_scan(tmp_path / "tall.zarr"), tmp_path / "scan.zarr")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["scan.zarr", "tall.zarr"]
    with written_whole(tmp_path / "a", overwrite=False) as place:
        assert place.is_dir()
    assert not place.exists()
    assert (tmp_path / "a").is_dir()


# --- how it goes ------------------------------------------------------------------------------------------------------


def test_progress_is_told_of_every_block(tmp_path):
    progress = Progress()
    convert(tall_scan(tmp_path / "tall.zarr"), tmp_path / "scan.zarr", memory="12kB", workers=2, progress=progress)
    assert progress.tally.sweeps == 2
    assert progress.tally.bytes_seen == 2 * 16 * 12 * 40 * 2


@pytest.mark.slow
def test_memory_is_bounded(tmp_path):
    source = tmp_path / "tall.zarr"
    store = zarr.create_array(source, shape=(512, 512, 1024), chunks=(512, 512, 4), dtype="uint16")
    for start in range(0, 1024, 4):
        store[..., start : start + 4] = counts((512, 512, 4), seed=start)
    code = """
    import sys, refold
    if len(sys.argv) > 3:
        refold.convert(sys.argv[1], sys.argv[2], memory=sys.argv[3], workers=2)
    else:
        refold.convert(sys.argv[1], sys.argv[2], memory="100MB", workers=2)
    """
    small = tall_scan(tmp_path / "small.zarr")
    base = limit_memory(500_000_000, code, small, tmp_path / "a.zarr").peak
    for memory in (100, 200, 400):
        limit_memory(base + memory * 1_000_000, code, source, tmp_path / f"{memory}.zarr", f"{memory}MB")
    scan = refold.open(tmp_path / "100.zarr")
    np.testing.assert_array_equal(scan[..., 1000:1004].values, counts((512, 512, 4), seed=1000))


def test_coordinates_beside_those_of_the_dims_are_kept(tmp_path: Path):
    """Band widths, bad bands, a reference system, maps of longitude: in a Zarr store as xarray has them."""
    cube = xr.Dataset(
        {"radiance": (("y", "x", "band"), np.arange(24.0).reshape(2, 3, 4))},
        coords={
            "good": ("band", [True, False, True, True]),
            "fwhm": ("band", [1.0, 2.0, np.nan, 4.0], {"units": "nm"}),
            "spatial_ref": ((), 0, {"crs_wkt": "PROJCS[]", "spatial_ref": "PROJCS[]"}),
            "lon": (("y", "x"), np.arange(6.0).reshape(2, 3)),
            "when": ("y", np.array(["2020-01-01", "2020-01-02"], "M8[ns]")),
        },
    )
    cube.to_zarr(tmp_path / "scene.zarr", consolidated=False)
    assert [signal.name for signal in refold.info(tmp_path / "scene.zarr")] == ["radiance"]
    convert(tmp_path / "scene.zarr", tmp_path / "new.zarr")
    for path in ("scene.zarr", "new.zarr"):
        found = refold.open(tmp_path / path)
        for name, coord in cube.coords.items():
            xr.testing.assert_equal(found[name].variable, coord.variable)
        assert found.fwhm.attrs == {"units": "nm"}
        assert found.spatial_ref.attrs == cube.spatial_ref.attrs
        assert found.lon.chunks is not None
