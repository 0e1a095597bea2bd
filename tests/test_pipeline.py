"""The laws of a whole run: read once as planned, coordinates, any scan, the same bits on threads and processes."""

from __future__ import annotations

import json
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr

import refold
from refold.cube import ROLE
from refold.engine import plan_grid
from refold.errors import CubeError, DataError, MemoryBudgetError, ParameterError, TrimWarning
from refold.planning.forecast import BASE_MEMORY
from tests.guards import chunk_keys, count_reads, no_compute
from tests.runs import CHUNKS, DETECTOR, OPTIONS, SHAPE, contents, phantom, run, split_signal

# --- read once --------------------------------------------------------------------------------------------------------


def reads_of(scan: Path, array: str, store: Path, **options: Any) -> tuple[dict[str, int], int, int]:
    """Fetches of each stored chunk in a whole run; chunks that the run counted; chunks that the plan foretold."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrimWarning)
        planned = refold.plan(scan, **{**OPTIONS, **options}).chunks_read
        with count_reads() as reads:
            outcome = run(scan, store, **options)
    return reads.under(f"{scan}/{array}c/"), outcome.chunks_read, planned


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"rebin": {"ky": 2, "kx": 2}}, id="signal rebinned"),
        pytest.param({"rebin": {"y": 2, "x": 3}}, id="navigation rebinned, ragged"),
        pytest.param({"rebin": {"y": 3, "kx": 2}, "log1p": True}, id="both"),
        pytest.param({"features": True}, id="features written"),
        pytest.param({"features": True, "workers": 1}, id="one worker"),
    ],
)
def test_each_raw_chunk_is_fetched_once_where_features_are_written(small_scan, tmp_path, options):
    fetched, counted, planned = reads_of(small_scan, "diffraction/", tmp_path / "run.zarr", **options)
    assert set(fetched.values()) == {1}
    assert len(fetched) == counted == planned
    trimmed = 5 if options.get("rebin", {}).get("x") == 3 else 0  # the last column of chunks fills no window
    assert len(fetched) == chunk_keys(zarr.open_group(small_scan)["diffraction"]) - trimmed


@pytest.mark.parametrize(
    ("options", "sweeps"),
    [
        pytest.param({}, 3, id="plain"),
        pytest.param({"scaling": "poisson"}, 3, id="poisson"),
        pytest.param({"scaling": "poisson", "rebin": {"ky": 3}, "features": False}, 3, id="rebinned, not written"),
        pytest.param({"memory": "1MB", "workers": 1, "landmarks": 40}, 1, id="small memory, many sweeps"),
    ],
)
def test_the_scan_is_read_as_often_as_the_plan_says(small_scan, tmp_path, options, sweeps):
    fetched, counted, planned = reads_of(small_scan, "diffraction/", tmp_path / "run.zarr", **options)
    assert sum(fetched.values()) == counted == planned
    assert planned >= sweeps * chunk_keys(zarr.open_group(small_scan)["diffraction"])


@pytest.mark.parametrize(
    ("chunks", "shards"),
    [((5, 8, 5, 12), None), ((4, 25, 12, 5), None), ((5, 4, 6, 6), (10, 8, 12, 12))],
    ids=["signal split", "rows, signal split", "sharded"],
)
@pytest.mark.parametrize("options", [{"rebin": {"ky": 2, "kx": 2}}, {"features": True}, {}], ids=str)
def test_chunks_that_split_the_signal_are_fetched_once_too(small_scan, tmp_path, chunks, shards, options):
    scan = split_signal(small_scan, tmp_path / "scan.zarr", chunks, shards)
    options = {"source": {"signal_dims": ("ky", "kx")}, **options}
    fetched, counted, planned = reads_of(scan, "", tmp_path / "run.zarr", **options)
    sweeps = 1 if len(options) > 1 else 3
    assert set(fetched.values()) == {sweeps}
    assert counted == planned == sweeps * chunk_keys(zarr.open_array(scan))


def test_only_chunks_within_the_crop_are_read(small_scan, tmp_path):
    options = {"crop": {"y": (5.0, 9.0), "x": (0.0, 15.0)}}
    fetched, counted, planned = reads_of(small_scan, "diffraction/", tmp_path / "run.zarr", **options)
    assert set(fetched.values()) == {1}
    assert len(fetched) == counted == planned == 2


# --- the plan ---------------------------------------------------------------------------------------------------------


def test_planning_computes_nothing_and_writes_nothing(small_scan, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with no_compute(), count_reads() as reads:
        forecast = refold.plan(small_scan, rebin={"ky": 2, "kx": 2})
    assert not reads.under(f"{small_scan}/diffraction/c/")
    assert not list(tmp_path.iterdir())
    assert forecast.sweeps >= 5
    assert forecast.tasks >= forecast.sweeps
    assert forecast.bytes_read == np.prod(SHAPE + DETECTOR) * 2


def test_the_plan_of_a_run_that_is_there_costs_nothing(small_scan, small_run):
    forecast = refold.plan(small_scan, store=small_run, rebin={"ky": 2, "kx": 2}, **OPTIONS)
    assert all(stage.reused for stage in forecast.stages.values())
    assert (forecast.sweeps, forecast.chunks_read, forecast.bytes_written, forecast.seconds) == (0, 0, 0, 0)


def test_a_run_that_cannot_fit_is_refused_before_anything_is_written(small_scan, tmp_path):
    for call in (refold.plan, refold.run):
        with pytest.raises(MemoryBudgetError) as caught:
            call(small_scan, store=tmp_path / "run.zarr", memory="1kB", **OPTIONS)
        assert "kB" in caught.value.found or " B" in caught.value.found
        assert caught.value.wanted.startswith("at most")
        assert "memory" in caught.value.remedy
    assert not list(tmp_path.iterdir())


def test_a_run_measures_what_was_planned(small_scan, small_run):
    planned = refold.plan(small_scan, rebin={"ky": 2, "kx": 2}, **OPTIONS)
    measured = json.loads(refold.open_run(small_run).attrs["measured"])
    assert (measured["sweeps"], measured["chunks_read"]) == (planned.sweeps, planned.chunks_read)
    assert measured["bytes_read"] == planned.bytes_read
    assert planned.peak_memory > BASE_MEMORY


# --- coordinates ------------------------------------------------------------------------------------------------------


def test_every_result_carries_the_scan_s_coordinates(small_scan, small_run):
    scan, result = refold.open(small_scan), refold.open_run(small_run)
    for dim in ("y", "x"):
        xr.testing.assert_identical(result[dim].variable, scan[dim].variable)
        assert result[dim].attrs == {"units": "nm", ROLE: "navigation"}
        assert result["labels"][dim].attrs[ROLE] == "navigation"
    assert result["labels"].dims == ("y", "x")
    assert result["scores"].dims == ("y", "x", "component")
    assert result["cluster_mean"].dims == ("cluster", "ky", "kx")
    np.testing.assert_allclose(result["ky"], scan["ky"].values.reshape(-1, 2).mean(axis=1))
    assert result["ky"].attrs["units"] == "1/Å"
    assert int(result["cluster_size"].sum() + (result["labels"] < 0).sum()) == result["labels"].size


def test_labels_of_a_binned_grid_reach_every_position_by_coordinate(tmp_path):
    made = phantom(shape=(23, 26), chunks=(7, 26))
    descending = made.cube.isel(y=slice(None, None, -1))
    with pytest.warns(TrimWarning):
        run(descending, tmp_path / "run.zarr", rebin={"y": 2, "x": 3})
    result = refold.open_run(tmp_path / "run.zarr")
    assert result["labels"].shape == (23, 26)
    np.testing.assert_array_equal(result["y"], descending["y"])
    binned = xr.open_zarr(tmp_path / "run.zarr" / "stages" / "binned", consolidated=False)
    assert binned["labels"].shape == (11, 8)
    for y in result["y"].values[::5]:
        for x in result["x"].values[::4]:
            nearest = binned["labels"].sel(y=y, x=x, method="nearest")
            assert abs(float(nearest["y"] - y)) <= 1.5
            if np.sum(np.abs(binned["y"].values - y) == abs(float(nearest["y"]) - y)) == 1:
                assert int(result["labels"].sel(y=y, x=x)) == int(nearest)
    assert result["scores"].shape == (23, 26, 5)  # found on the coarser grid, given to every position
    assert int(result["cluster_size"].sum() + (binned["labels"] < 0).sum()) == binned["labels"].size


def test_ragged_edges_that_were_trimmed_get_the_answer_beside_them(tmp_path):
    with pytest.warns(TrimWarning):
        run(phantom(shape=(21, 24)).cube, tmp_path / "run.zarr", rebin={"y": 2})
    labels = refold.open_run(tmp_path / "run.zarr")["labels"]
    np.testing.assert_array_equal(labels[20], labels[19])


# --- any scan ---------------------------------------------------------------------------------------------------------


def spectra(shape: tuple[int, ...], dtype: Any = "float32", seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Spectra of two kinds, the first half of the pixels one and the rest the other, and the kinds."""
    rng = np.random.default_rng(seed)
    kinds = (np.arange(np.prod(shape)) >= np.prod(shape) // 2).astype(int)
    means = np.array([[200.0] * 4 + [20.0] * 4, [20.0] * 4 + [200.0] * 4])
    values = rng.poisson(means[kinds]).astype(dtype)
    return values.reshape(*shape, 8), kinds.reshape(shape)


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        *(((60,), "float32"), ((1, 60), "uint8"), ((60, 1), "int32"), ((3, 5, 6), "float64")),
        *(((8, 9), dtype) for dtype in ("uint8", "int32", "float32", "float64")),
    ],
    ids=str,
)
def test_line_scans_maps_and_stacks_of_any_dtype(tmp_path, shape, dtype):
    values, kinds = spectra(shape, dtype)
    cube = refold.as_cube(da.from_array(values, chunks=(3,) * len(shape) + (8,)), signal="energy")
    labels = refold.run(cube, store=tmp_path / "run.zarr", report=False, **{**OPTIONS, "n_components": 2})["labels"]
    assert labels.dims == ("z", "y", "x")[-len(shape) :]
    assert labels.dtype == np.int32
    assert set(labels.values[kinds == 0]) & set(labels.values[kinds == 1]) <= {-1}
    assert (labels.values >= 0).mean() > 0.8


def test_pixels_that_are_not_finite_get_no_label(tmp_path):
    values, _ = spectra((8, 10))
    values[0, 3, 2], values[5, 5, :], values[7, 9, 0] = np.nan, np.inf, -np.inf
    invalid = ~np.isfinite(values).all(axis=-1)
    cube = refold.as_cube(da.from_array(values, chunks=(3, 4, 8)), signal="energy")
    result = refold.run(cube, store=tmp_path / "run.zarr", report=False, **{**OPTIONS, "n_components": 2})
    assert (result["labels"].values[invalid] == -1).all()
    assert (result["labels"].values[~invalid] >= 0).mean() > 0.8
    assert (result["probability"].values[invalid] == 0).all()
    assert (result["membership"].values[invalid] == 0).all()
    assert np.isnan(result["scores"].values[invalid]).all()
    assert np.isnan(result["residual"].values[invalid]).all()
    assert np.isfinite(result["scores"].values[~invalid]).all()
    assert np.isfinite(result["cluster_mean"]).all()


def test_a_scan_in_memory_gives_the_answer_of_the_same_scan_on_disk(small_scan, tmp_path):
    lazy = refold.open(small_scan)
    one, other = run(lazy, tmp_path / "lazy.zarr"), run(lazy.compute(), tmp_path / "memory.zarr")
    assert other.chunks_read == other.bytes_read == 0
    one, other = refold.open_run(one.store), refold.open_run(other.store)
    np.testing.assert_array_equal(one["labels"], other["labels"])
    np.testing.assert_allclose(one["residual"], other["residual"], rtol=1e-5)


def test_where_nothing_is_dense_every_pixel_is_noise(tmp_path):
    values = np.random.default_rng(0).normal(size=(6, 7, 4))
    cube = refold.as_cube(values, signal="energy")
    outcome = run(cube, tmp_path / "run.zarr", n_components=2, min_cluster_size=30)
    result = refold.open_run(outcome.store)
    assert (outcome.clusters, outcome.noise) == (0, 1.0)
    assert (result["labels"] == -1).all()
    assert result["cluster_mean"].shape == (0, 4)


def test_data_that_tell_nothing_are_refused_in_words(tmp_path):
    nothing = refold.as_cube(np.full((5, 6, 8), np.nan), signal="energy")
    constant = spectra((6, 7))[0]
    constant[..., 3] = 5.0
    channel = refold.as_cube(constant, signal="energy")
    with pytest.raises(DataError):
        run(nothing, tmp_path / "nan.zarr", n_components=2)
    with pytest.raises(DataError):
        run(channel, tmp_path / "constant.zarr", n_components=2, scaling="standard")
    for name in ("nan.zarr", "constant.zarr"):
        assert "labels" not in refold.open_run(tmp_path / name)


def test_options_that_cannot_be_are_refused_before_anything_is_written(small_scan, tmp_path):
    with pytest.raises(ParameterError, match="144"):
        run(small_scan, tmp_path / "run.zarr", n_components=145)
    with pytest.raises(ParameterError):
        refold.run()
    with pytest.raises(CubeError, match="signal"):
        refold.run(xr.DataArray(np.ones((3, 4)), dims=("y", "x")), store=tmp_path / "run.zarr")
    assert not list(tmp_path.iterdir())


# --- the same bits ----------------------------------------------------------------------------------------------------

ALIKE: dict[str, Any] = {"memory": "1MB", "landmarks": 200, "rebin": {"ky": 2}}


@pytest.fixture
def same_partitions(monkeypatch):
    """Cut every scan as for two workers, however many there are: five partitions."""
    for module in ("refold.stages", "refold.outline"):
        monkeypatch.setattr(f"{module}.plan_grid", partial(plan_grid, memory="1MB", workers=2))


@pytest.mark.usefixtures("same_partitions")
def test_one_thread_and_two_and_processes_end_with_the_same_bytes(small_scan, tmp_path, two_processes):
    on_one = contents(run(small_scan, tmp_path / "one.zarr", workers=1, **ALIKE).store)
    assert contents(run(small_scan, tmp_path / "two.zarr", workers=2, **ALIKE).store) == on_one
    outcome = run(small_scan, tmp_path / "processes.zarr", client=two_processes, **ALIKE)
    assert contents(outcome.store) == on_one
    assert outcome.chunks_read == -(-SHAPE[0] // CHUNKS[0]) * -(-SHAPE[1] // CHUNKS[1])


def test_blocks_of_another_size_change_the_answer_by_roundings_only(small_scan, tmp_path):
    one = refold.open_run(run(small_scan, tmp_path / "one.zarr", memory="800kB", workers=1, landmarks=200).store)
    other = refold.open_run(run(small_scan, tmp_path / "other.zarr", memory="4MB", workers=2, landmarks=200).store)
    np.testing.assert_array_equal(one["labels"], other["labels"])
    np.testing.assert_allclose(one["residual"], other["residual"], rtol=1e-3)
    np.testing.assert_allclose(one["cluster_mean"], other["cluster_mean"], rtol=1e-5)
