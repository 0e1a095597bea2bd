"""Selection by standard deviation is what NumPy would do in memory, and folds back."""

from __future__ import annotations

import pickle

import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from refold.cube import as_cube, n_pixels, signal_dims
from refold.engine import sweep
from refold.errors import CubeError, DataError, ParameterError, StoreError
from refold.features import ChannelSelection, DeviationSelection, find_beam
from tests.guards import chunk_keys, count_reads, no_compute
from tests.strategies import cubes

SHAPE = (7, 9, 32, 32)


def counts_of(seed=0, shape=SHAPE):
    """A beam that is always there, spots that come and go, read-out noise below zero."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[2], : shape[3]]
    beam = 300.0 * (np.hypot(y - 14, x - 17) < 3.5)
    spots = rng.gamma(0.3, 8.0, shape[2:]) * rng.random((*shape[:2], 1, 1))
    return rng.poisson(beam + spots) - rng.poisson(0.3, shape)


def cube_of(counts, chunks=(3, 4, 20, 32)):
    k = np.arange(counts.shape[-1]) * 0.1 - 1
    coords = {"ky": (k, {"units": "1/nm"}), "kx": (k, {"units": "1/nm"})}
    data = counts if chunks is None else da.from_array(counts, chunks=chunks)
    return as_cube(data, signal=("ky", "kx"), coords=coords, name="counts").assign_attrs(units="counts")


def chain(counts, keep, outside, log):
    """What one writes by hand."""
    rows = np.maximum(counts, 0).reshape(-1, outside.size)
    rows = np.log1p(rows.astype(np.float64 if counts.dtype.itemsize == 8 else np.float32)) if log else rows
    deviation = rows.std(axis=0, dtype=np.float64)
    order = np.argsort(np.where(outside.ravel(), -deviation, np.inf), kind="stable")
    kept = np.sort(order[: min(round(keep * outside.sum()), (outside.ravel() & (deviation > 0)).sum())])
    return deviation, kept, rows[:, kept]


@pytest.mark.parametrize("log", [True, False])
@pytest.mark.parametrize(("dtype", "keep"), [("int16", 0.4), ("int64", 0.07), ("float32", 1.0), ("float64", 0.4)])
def test_it_is_the_chain_written_by_hand(log, dtype, keep):
    counts = (counts_of() * (1.25 if dtype.startswith("f") else 1)).astype(dtype)
    cube = cube_of(counts)
    k = cube.ky.values
    outside = np.hypot(k[:, None] - 0.4, k[None] - 0.7) > 0.45
    model = DeviationSelection(keep, log=log, beam=(0.4, 0.7, 0.45)).fit(cube)
    deviation, kept, rows = chain(counts, keep, outside, log)
    np.testing.assert_allclose(model.deviation_.values.ravel(), deviation, rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(np.flatnonzero(model.mask_), kept)
    features = model.transform(cube)
    assert features.dtype == rows.dtype
    np.testing.assert_array_equal(features.values.reshape(rows.shape), rows)


@settings(max_examples=10)
@given(cubes(signal=(2,), invalid=True, min_pixels=2, min_features=2), st.floats(0.05, 1.0), st.booleans())
def test_the_share_with_the_largest_deviations_is_kept(cube: xr.DataArray, keep: float, log: bool):
    values = np.maximum(cube.values.astype("f8"), 0).reshape(n_pixels(cube), -1)
    values = (np.log1p(values) if log else values)[np.isfinite(values).all(axis=1)]
    model = DeviationSelection(keep, log=log, beam=None)
    varies = (values.max(axis=0) > values.min(axis=0)) if len(values) else np.zeros(0, bool)
    if not varies.any():
        with pytest.raises(DataError):
            model.fit(cube)
        return
    mask = model.fit(cube).mask_.values.ravel()
    deviation = values.std(axis=0)
    assert mask.sum() == model.n_features_ == min(max(1, round(keep * mask.size)), varies.sum())
    assert not (mask & ~varies).any()
    if (~mask & varies).any():
        assert deviation[mask].min() >= deviation[~mask & varies].max() - 1e-5 * deviation.max()


@settings(max_examples=10)
@given(cubes(signal=(1, 2), invalid=True, min_pixels=2, min_features=2, max_side=4), st.booleans())
def test_folding_undoes_the_selection_lazily(cube: xr.DataArray, log: bool):
    model = DeviationSelection(0.5, log=log, beam=None)
    try:
        model.fit(cube)
    except DataError:
        return
    with no_compute():
        features = model.transform(cube)
        folded = model.fold(features)
    assert (features.chunks is None) == (cube.chunks is None) == (folded.chunks is None)
    assert folded.dims == cube.dims
    wanted = np.maximum(cube, 0).astype(features.dtype)
    wanted = (np.log1p(wanted) if log else wanted).where(model.mask_)
    np.testing.assert_array_equal(folded.values, wanted.values)
    for dim in cube.dims:
        xr.testing.assert_identical(folded[dim], cube[dim])
    for dim in signal_dims(cube):
        at = np.nonzero(model.mask_.values)[signal_dims(cube).index(dim)]
        assert np.array_equal(features[dim].values, cube[dim].values[at])


def test_equal_deviations_are_kept_in_order():
    rows = np.random.default_rng(0).poisson(5, (6, 5, 1, 1)) + np.zeros((1, 1, 4, 4), int)
    model = DeviationSelection(0.5, beam=None).fit(as_cube(rows, signal=("ky", "kx")))
    assert np.flatnonzero(model.mask_).tolist() == list(range(8))


@pytest.mark.parametrize("percentile", [0, 60, 93.5, 100])
def test_a_percentile_is_numpys(percentile):
    cube = cube_of(counts_of(1))
    model = DeviationSelection(percentile=percentile, beam=(0.4, 0.7, 0.45)).fit(cube)
    k, deviation = cube.ky.values, model.deviation_.values
    outside = np.hypot(k[:, None] - 0.4, k[None] - 0.7) > 0.45
    wanted = outside & (deviation >= np.percentile(deviation[outside], percentile)) & (deviation > 0)
    np.testing.assert_array_equal(model.mask_, wanted)


@pytest.mark.parametrize("log", [True, False])
def test_the_beam_is_found_and_left_out(log):
    cube = cube_of(counts_of(2))
    model = DeviationSelection(1.0, log=log).fit(cube)
    y, x = np.mgrid[:32, :32]
    distance = np.hypot(y - 14, x - 17)
    assert not model.mask_.values[distance <= 4].any()
    assert model.mask_.values[(distance > 6) & (model.deviation_.values > 0)].all()
    assert model.beam_[:2] == pytest.approx(find_beam(cube)[:2], abs=0.02)
    given_by_hand = DeviationSelection(1.0, log=log, beam=model.beam_).fit(cube)
    xr.testing.assert_identical(given_by_hand.mask_, model.mask_)


def test_the_features_say_where_they_were():
    cube = cube_of(counts_of())
    model = DeviationSelection(0.1).fit(cube)
    features = model.transform(cube)
    assert features.dims == ("y", "x", "feature")
    assert features.feature.attrs == {"role": "signal"}
    assert features.feature.values.tolist() == list(range(model.n_features_))
    assert features.ky.attrs == {"units": "1/nm"}
    assert "units" not in features.attrs
    assert DeviationSelection(0.1, log=False).fit(cube).transform(cube).attrs == {"units": "counts"}
    places = list(zip(features.ky.values, features.kx.values, strict=True))
    assert all(bool(model.mask_.sel(ky=ky, kx=kx)) for ky, kx in places)
    assert features.data.numblocks[2] == 1


def test_whatever_has_features_is_folded():
    model = DeviationSelection(0.3).fit(cube_of(counts_of()))
    loadings = np.random.default_rng(0).normal(size=(2, model.n_features_))
    folded = model.fold(xr.DataArray(loadings, dims=("component", "feature")))
    assert folded.dims == ("component", "ky", "kx")
    np.testing.assert_array_equal(folded.values[:, model.mask_.values], loadings)
    assert np.isnan(folded.values[:, ~model.mask_.values]).all()
    np.testing.assert_array_equal(model.fold(loadings).values, folded.values)
    with pytest.raises(ParameterError):
        model.fold(loadings[:, 1:])


def test_one_sweep_reads_each_chunk_once(tmp_path):
    counts = counts_of().astype("i2")
    array = zarr.create_array(tmp_path / "scan.zarr", shape=SHAPE, chunks=(3, 4, 32, 32), dtype="i2")
    array[...] = counts
    cube = as_cube(da.from_zarr(str(tmp_path / "scan.zarr")), signal=("ky", "kx"))
    with count_reads() as reads:
        model = DeviationSelection().fit(cube)
        assert set(reads.of_chunks.values()) == {1}
        assert reads.total == chunk_keys(array)
    in_memory = DeviationSelection().fit(as_cube(counts, signal=("ky", "kx")))
    xr.testing.assert_allclose(model.deviation_, in_memory.deviation_)


def test_fitting_is_a_sweep_and_settling():
    cube = cube_of(counts_of())
    model = DeviationSelection(0.2)
    with no_compute():
        visitors = pickle.loads(pickle.dumps(model.visitors(cube)))
    settled = clone(model).settle(cube, sweep(cube, *visitors))
    xr.testing.assert_identical(settled.mask_, model.fit(cube).mask_)
    results = sweep(cube, *visitors)
    with no_compute():
        settled.settle(cube, results)


@pytest.mark.parametrize("kind", [DeviationSelection, ChannelSelection])
def test_a_selection_is_saved_and_taken_up(tmp_path, kind):
    cube = cube_of(counts_of())
    model = kind(keep=np.float64(0.25)).fit(cube)
    model.to_dataset().to_zarr(tmp_path / "selection.zarr")
    again = kind.from_dataset(xr.open_zarr(tmp_path / "selection.zarr"))
    assert again.get_params() == model.get_params()
    for name in ("mask_", "deviation_", "mean_"):
        xr.testing.assert_identical(getattr(again, name), getattr(model, name))
    xr.testing.assert_identical(again.transform(cube).compute(), model.transform(cube).compute())
    xr.testing.assert_identical(again.fold(again.transform(cube)), model.fold(model.transform(cube)))
    if kind is DeviationSelection:
        assert again.beam_ == model.beam_
    for other in (xr.Dataset(), model.to_dataset().assign_attrs(refold_selection='{"model": "PCA"}')):
        with pytest.raises(StoreError):
            kind.from_dataset(other)


@pytest.mark.parametrize(
    "options",
    [
        {"keep": 0},
        {"keep": 1.2},
        {"keep": True},
        {"percentile": 101},
        {"beam": "there"},
        {"beam": (0, 1)},
        {"beam": (0, 1, -1)},
    ],
)
def test_options_that_are_none(options):
    with pytest.raises(ParameterError):
        DeviationSelection(**{"beam": None, **options}).fit(cube_of(counts_of(), chunks=None))


def test_what_cannot_be_selected_from():
    with pytest.raises(ParameterError, match="signal dims"):
        DeviationSelection().fit(as_cube(np.random.default_rng(0).poisson(3, (3, 4, 9)), signal="energy"))
    for values in (np.full((2, 3, 8, 8), np.nan), np.ones((2, 3, 8, 8))):
        with pytest.raises(DataError):
            DeviationSelection(beam=None).fit(as_cube(values, signal=("ky", "kx")))
    with pytest.raises(DataError, match="covers"):
        DeviationSelection(beam=(0, 0, 99)).fit(cube_of(counts_of()))
    model = DeviationSelection(beam=None).fit(cube_of(counts_of()))
    with pytest.raises(CubeError, match="as was fitted"):
        model.transform(cube_of(counts_of()).isel(ky=slice(1, None)))
