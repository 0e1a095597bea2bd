"""One map a cluster: lazy, on the labels' coordinates, and the inverse of taking the largest."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from refold.backprojection import cluster_labels, cluster_statistics
from refold.cube import as_cube
from refold.errors import CubeError, ParameterError
from tests.guards import no_compute


@given(st.integers(0, 999), st.integers(1, 5), st.sampled_from([(7,), (3, 4), (2, 3, 2)]), st.booleans())
def test_the_maps_say_what_the_labels_say(seed, n_clusters, shape, lazy):
    dims = ("z", "y", "x")[-len(shape) :]
    values = np.random.default_rng(seed).integers(-1, n_clusters, shape).astype(np.int32)
    cube = as_cube(values[..., None], signal="energy", dims=(*dims, "energy"), coords={"x": np.arange(shape[-1]) * 0.5})
    labels = cube.isel(energy=0, drop=True)
    with no_compute():
        maps = cluster_labels(labels.chunk(2) if lazy else labels, n_clusters)
    assert (maps.chunks is not None) == lazy
    assert maps.dims == ("cluster", *dims)
    assert maps.dtype == np.uint8
    xr.testing.assert_identical(maps.x, labels.x)
    together = maps.values
    assert (together.sum(axis=0) == (values >= 0)).all()
    np.testing.assert_array_equal(np.where(together.any(axis=0), together.argmax(axis=0), -1), values)
    sizes = cluster_statistics(cube, labels, n_clusters).cluster_size
    np.testing.assert_array_equal(together.reshape(n_clusters, -1).sum(axis=1), sizes)


def test_what_labels_in_memory_name_is_enough():
    assert cluster_labels(xr.DataArray([2, -1, 0], dims="x")).sizes["cluster"] == 3
    assert cluster_labels(xr.DataArray([-1, -1], dims="x")).shape == (0, 2)


def test_what_cannot_be_laid_out():
    with pytest.raises(ParameterError, match="n_clusters"):
        cluster_labels(xr.DataArray(da.zeros(4, dtype=int), dims="x"))
    with pytest.raises(ParameterError, match="label 3"):
        cluster_labels(xr.DataArray([0, 3], dims="x"), 2)
    with pytest.raises(CubeError, match="float64"):
        cluster_labels(xr.DataArray([0.0], dims="x"))
    with pytest.raises(CubeError, match="ndarray"):
        cluster_labels(np.zeros(3, int))
