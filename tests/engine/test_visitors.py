"""The split law: for any chunking, cut and number of partitions, a sweep gives what NumPy gives in memory."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given
from hypothesis import strategies as st

from refold.cube import as_cube, n_pixels, navigation_shape
from refold.engine import Block, ClusterSums, Histogram, Moments, Sample, Where, pixel_keys, sweep
from refold.errors import ParameterError
from refold.planning import Grid
from tests.engine.cases import grids
from tests.strategies import cubes


def table(cube: xr.DataArray) -> tuple[np.ndarray, np.ndarray]:
    """All pixels as float64 rows, and which of them are valid."""
    rows = cube.values.reshape(n_pixels(cube), -1).astype(np.float64)
    return rows, np.isfinite(rows).all(axis=1)


def close(actual: np.ndarray, wanted: np.ndarray, size: float) -> None:
    """Equal to 1e-6 of the size of the numbers that were added up: products are float32."""
    np.testing.assert_allclose(actual, wanted, rtol=1e-5, atol=2e-6 * max(size, 1e-30))


# --- moments ----------------------------------------------------------------------------------------------------------


def check_moments(result, rows: np.ndarray, scaled: np.ndarray) -> None:
    """Against the rows that were used, as they are and as they were scaled."""
    assert result.count == len(rows)
    if not len(rows):
        for name in ("mean", "variance", "minimum", "maximum"):
            assert np.isnan(getattr(result, name)).all()
        return
    centred = scaled - scaled.mean(axis=0)
    squares = (centred**2).sum()
    np.testing.assert_allclose(result.mean, scaled.mean(axis=0), rtol=1e-6, atol=1e-6 * np.abs(scaled).max())
    close(result.variance, scaled.var(axis=0), np.abs(scaled).max() ** 2 * 1e-3)
    assert np.array_equal(result.minimum, rows.min(axis=0))
    assert np.array_equal(result.maximum, rows.max(axis=0))
    np.testing.assert_allclose(result.total, rows.sum(axis=0), rtol=1e-9, atol=1e-9 * np.abs(rows).sum())
    if result.scatter is not None:
        close(result.scatter, centred.T @ centred, squares + 1e-3 * np.abs(scaled).max() ** 2)
        assert np.array_equal(result.scatter, result.scatter.T)


@given(st.data(), cubes(invalid=True), st.booleans())
def test_moments(data, cube: xr.DataArray, scatter: bool):
    (result,) = sweep(cube, Moments(scatter=scatter), grid=data.draw(grids(cube)))
    rows, valid = table(cube)
    check_moments(result, rows[valid], rows[valid])
    assert (result.scatter is not None) is bool(scatter and valid.any())
    assert result.n_pixels == len(rows)
    assert result.n_invalid == (~valid).sum()
    assert result.n_empty == 0
    assert np.array_equal(result.n_not_finite, (~np.isfinite(rows)).sum(axis=0))


@given(st.data(), cubes(invalid=True, dtypes=("uint8", "uint16", "float32", "float64")), st.booleans())
def test_moments_weighted_for_counts(data, cube: xr.DataArray, scatter: bool):
    """Keenan and Kotula: rows over the root of their sum; rows without counts are left out."""
    cube = abs(cube)
    if data.draw(st.booleans()):  # a good part of the pixels without counts
        kept = (np.arange(cube.shape[0]) % 2 == 1).reshape(-1, *[1] * (cube.ndim - 1))
        cube = cube.copy(data=np.where(kept, cube.values, 0))
    (result,) = sweep(cube, Moments(scatter=scatter, weighting="poisson"), grid=data.draw(grids(cube)))
    rows, valid = table(cube)
    used = valid & (np.where(valid[:, None], rows, 0).sum(axis=1) > 0)
    check_moments(result, rows[used], rows[used] / np.sqrt(rows[used].sum(axis=1, keepdims=True)))
    assert result.n_empty == (valid & ~used).sum()
    assert result.n_invalid == (~valid).sum()


@given(st.data(), cubes(min_pixels=4))
def test_moments_do_not_lose_figures_under_a_large_offset(data, cube: xr.DataArray):
    cube = cube.astype("f8") / 64 + 1e6
    (result,) = sweep(cube, Moments(scatter=True), grid=data.draw(grids(cube)))
    rows, _ = table(cube)
    np.testing.assert_allclose(result.variance, rows.var(axis=0), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(result.scatter, np.cov(rows.T, bias=True) * len(rows), rtol=1e-6, atol=1e-8 * len(rows))


@given(st.data(), cubes(invalid=True))
def test_merging_is_associative_with_an_identity(data, cube: xr.DataArray):
    """finish(a + b) == finish(merge(a, b)) for three partitions in either grouping, empty ones included."""
    visitor = Moments(scatter=True)
    rows, _ = table(cube)
    cuts = sorted(data.draw(st.tuples(*[st.integers(0, len(rows))] * 2)))

    def state(part: np.ndarray):
        made = visitor.start()
        if len(part):
            visitor.visit(made, Block(part, 1), Where((slice(0, len(part)),), (len(part),)))
        return made

    def states():
        return [state(part) for part in np.split(rows, cuts)]

    whole = visitor.finish(state(rows))
    a, b, c = states()
    left = visitor.finish(visitor.merge(visitor.merge(a, b), c))
    a, b, c = states()
    right = visitor.finish(visitor.merge(a, visitor.merge(b, c)))
    for other in (left, right):
        assert other.count == whole.count
        size = np.nanmax(np.abs(np.where(np.isfinite(rows), rows, 0))) ** 2 * len(rows)
        np.testing.assert_allclose(other.mean, whole.mean, rtol=1e-9, atol=1e-9 * size)
        np.testing.assert_allclose(other.variance, whole.variance, rtol=1e-9, atol=1e-9 * size)
        if whole.scatter is not None:
            np.testing.assert_allclose(other.scatter, whole.scatter, rtol=1e-9, atol=1e-9 * size)


def test_counts_are_added_up_exactly():
    """65 535 in float32 squares would be off; sums of small counts are float64 throughout."""
    cube = as_cube(np.full((50, 40, 3), 65_535, "u2"), signal="energy")
    (result,) = sweep(cube, Moments())
    assert result.mean.tolist() == [65_535.0] * 3
    assert result.variance.tolist() == [0.0] * 3
    assert result.total.tolist() == [65_535.0 * 2000] * 3


def logarithms(block: Block, where: Where) -> np.ndarray:
    return np.log1p(np.maximum(block.data, 0).astype(np.float64))


@given(st.data(), cubes(invalid=True))
def test_moments_of_something_made_of_a_block(data, cube: xr.DataArray):
    logs = np.log1p(np.maximum(cube, 0).astype(np.float64))
    grid = data.draw(grids(cube))
    (result,) = sweep(cube, Moments(of=logarithms), grid=grid)
    (wanted,) = sweep(logs, Moments(), grid=grid)
    assert result.count == wanted.count
    for name in ("mean", "variance", "minimum", "maximum", "n_not_finite"):
        np.testing.assert_array_equal(getattr(result, name), getattr(wanted, name))


# --- clusters ---------------------------------------------------------------------------------------------------------


@given(st.data(), cubes(invalid=True), st.booleans())
def test_cluster_sums(data, cube: xr.DataArray, from_zarr: bool):
    n_clusters = 4
    labels = np.random.default_rng(0).integers(-1, n_clusters - 1, navigation_shape(cube)).astype("i4")
    given_labels = zarr.array(labels, chunks=(2,) * labels.ndim) if from_zarr else labels
    (result,) = sweep(cube, ClusterSums(given_labels, n_clusters, n_features=3), grid=data.draw(grids(cube)))
    rows, valid = table(cube)
    for k in range(n_clusters):
        members = rows[valid & (labels.ravel() == k)]
        assert result.size[k] == len(members)
        if len(members):
            np.testing.assert_allclose(result.mean[k], members.mean(axis=0), rtol=1e-6, atol=1e-5)
            np.testing.assert_allclose(result.std[k], members.std(axis=0), rtol=1e-5, atol=1e-4)
        else:
            assert np.isnan(result.mean[k]).all()
            assert np.isnan(result.std[k]).all()


@pytest.mark.parametrize("labels", [np.full((3, 2), 2), np.zeros((2, 3), int), np.zeros(6, int)])
def test_labels_that_do_not_fit_are_refused(labels):
    with pytest.raises(ParameterError):
        sweep(as_cube(np.zeros((3, 2, 4)), signal="energy"), ClusterSums(labels, 2))


# --- histogram --------------------------------------------------------------------------------------------------------


@given(st.data(), cubes(invalid=True, dtypes=("uint8", "uint16", "int16", "float32", "float64")))
def test_histogram(data, cube: xr.DataArray):
    edges = data.draw(st.sampled_from([[0, 1, 2, 60], [-1.5, 49.25, 50.75], np.linspace(-3, 70, 20)]))
    whole, each = sweep(cube, Histogram(edges), Histogram(edges, per_feature=True), grid=data.draw(grids(cube)))
    rows, valid = table(cube)
    assert np.array_equal(whole, np.histogram(rows[valid], edges)[0])
    assert np.array_equal(each, [np.histogram(column, edges)[0] for column in rows[valid].T])


@pytest.mark.parametrize("edges", [[], [1], [1, 1], [2, 1], [[0, 1], [2, 3]], [0, np.nan]])
def test_edges_that_do_not_rise_are_refused(edges):
    with pytest.raises(ParameterError):
        Histogram(edges)


# --- sample -----------------------------------------------------------------------------------------------------------


@given(st.data(), cubes(invalid=True), st.integers(1, 60), st.integers(-5, 5), st.booleans())
def test_a_sample_is_that_of_the_whole_scan(data, cube: xr.DataArray, n: int, seed: int, weighted: bool):
    """Bottom-k by a key of the pixel alone: chunks, blocks, partitions and their order do not matter."""
    rng = np.random.default_rng(1)
    weights = rng.choice([0.0, 0.5, 3.0, np.nan], navigation_shape(cube)) if weighted else None
    (result,) = sweep(cube, Sample(n, seed, weights, n_features=2), grid=data.draw(grids(cube)))
    rows, valid = table(cube)
    keys = -np.log(pixel_keys(np.arange(len(rows)), seed))
    if weights is not None:
        valid &= weights.ravel() > 0
        keys /= np.where(valid, weights.ravel(), 1)
    keys[~valid] = np.inf
    wanted = np.sort(np.argsort(keys, kind="stable")[: min(n, valid.sum())])
    assert np.array_equal(result.pixels, wanted)
    if valid.any():
        assert np.array_equal(result.rows, rows[wanted])
    assert len(result.rows) == len(wanted)


def test_keys_are_uniform_and_differ_by_seed():
    keys = pixel_keys(np.arange(100_000), 3)
    counts = np.histogram(keys, np.linspace(0, 1, 11))[0]
    assert abs(counts - 10_000).max() < 500
    assert len(np.unique(keys)) == len(keys)
    assert abs(np.corrcoef(keys[:-1], keys[1:])[0, 1]) < 0.02
    assert abs(np.corrcoef(keys, pixel_keys(np.arange(100_000), 4))[0, 1]) < 0.02


def test_weights_are_odds():
    weights = np.repeat([1.0, 3.0], 5000).reshape(2, 5000)
    cube = as_cube(np.zeros((2, 5000, 1)), signal="energy")
    (sample,) = sweep(cube, Sample(1000, 0, weights))
    assert 0.70 < (sample.pixels >= 5000).mean() < 0.78  # drawn without replacement: a little under 3 in 4


@pytest.mark.parametrize(("n", "weights"), [(0, None), (-1, None), (2, np.ones((2, 3)))])
def test_samples_that_cannot_be_are_refused(n, weights):
    with pytest.raises(ParameterError):
        sweep(as_cube(np.zeros((3, 2, 4)), signal="energy"), Sample(n, 0, weights))


# --- all of them ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("grid", [None, Grid(((0, 1, 2), (0, 3)), 2)])
def test_a_scan_without_a_valid_pixel(grid):
    cube = as_cube(np.full((2, 3, 4), np.nan, "f4"), signal="energy")
    labels = np.zeros((2, 3), int)
    visitors = (Moments(scatter=True), ClusterSums(labels, 2, n_features=4), Histogram([0, 1]), Sample(3))
    moments, sums, counts, sample = sweep(cube, *visitors, grid=grid)
    assert moments.count == 0
    assert moments.n_invalid == 6
    assert moments.n_not_finite.tolist() == [6] * 4
    assert np.isnan(moments.mean).all()
    assert moments.scatter is None
    assert sums.size.tolist() == [0, 0]
    assert sums.mean.shape == (2, 4)
    assert counts.tolist() == [0]
    assert len(sample.pixels) == 0
