"""Cluster means: NumPy's, for any chunking, with the signal's coordinates."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from refold.backprojection import cluster_statistics
from refold.cube import as_cube, n_features, navigation_shape, signal_dims
from refold.errors import CubeError
from tests.strategies import cubes


@given(cubes(invalid=True), st.integers(1, 4), st.booleans())
def test_equals_numpy(cube, n_clusters, lazy):
    labels = np.random.default_rng(0).integers(-1, n_clusters, navigation_shape(cube)).astype(np.int32)
    given_labels = xr.DataArray(da.from_array(labels) if lazy else labels, dims=cube.dims[: labels.ndim])
    found = cluster_statistics(cube, given_labels, n_clusters)
    rows = cube.values.reshape(labels.size, -1).astype(float)
    valid = np.isfinite(rows).all(axis=1)
    assert found.cluster_mean.dims == ("cluster", *signal_dims(cube))
    for dim in signal_dims(cube):
        xr.testing.assert_identical(found[dim], cube[dim])
    for cluster in range(n_clusters):
        mine = rows[valid & (labels.ravel() == cluster)]
        assert int(found.cluster_size[cluster]) == len(mine)
        mean, std = (found[name].values[cluster].reshape(n_features(cube)) for name in ("cluster_mean", "cluster_std"))
        if len(mine):
            np.testing.assert_allclose(mean, mine.mean(axis=0), rtol=1e-5, atol=1e-5)
            np.testing.assert_allclose(std, mine.std(axis=0), rtol=1e-3, atol=1e-3)
        else:
            assert np.isnan(mean).all()


def test_labels_in_another_order_of_dims():
    cube = as_cube(np.arange(12.0).reshape(2, 3, 2), signal="energy")
    labels = xr.DataArray([[0, 1], [0, 1], [1, 1]], dims=("x", "y"))
    assert cluster_statistics(cube, labels).cluster_mean.values.tolist() == [[1.0, 2.0], [7.0, 8.0]]


def test_scores_can_be_averaged_too():
    scores = as_cube(np.ones((2, 3, 4), np.float32), signal="component")
    assert cluster_statistics(scores, np.zeros((2, 3), int)).cluster_mean.dims == ("cluster", "component")


def test_nothing_but_noise():
    found = cluster_statistics(as_cube(np.ones((2, 3, 4)), signal="energy"), np.full((2, 3), -1))
    assert found.cluster_mean.shape == (0, 4)
    assert found.cluster_size.dtype == np.int64


def test_labels_of_another_grid():
    with pytest.raises(CubeError, match="to_full_grid"):
        cluster_statistics(as_cube(np.ones((4, 4, 2)), signal="energy"), np.zeros((2, 2), int))
