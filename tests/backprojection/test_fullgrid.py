"""Back to the full grid: nearest by coordinate, whatever order the coordinates are in."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from refold.backprojection import to_full_grid
from refold.errors import CubeError
from tests.guards import no_compute
from tests.strategies import positions


def coarse(y, x, lazy=True):
    shape = (len(y), len(x))
    labels = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
    values = da.from_array(labels, chunks=(2, 2)) if lazy else labels
    return xr.Dataset(
        {"labels": (("y", "x"), values, {"units": "1"}), "cluster_size": ("cluster", [1, 2])}, coords={"y": y, "x": x}
    )


def binned(values, factor):
    whole = len(values) // factor * factor
    return values[:whole].reshape(-1, factor).mean(axis=1)


@given(st.data(), st.integers(1, 3), st.integers(1, 3))
def test_every_position_gets_the_nearest(data, fy, fx):
    y, x = (data.draw(positions(data.draw(st.integers(factor, 9)))) for factor in (fy, fx))
    small = coarse(binned(np.sort(y), fy), binned(np.sort(x)[::-1], fx))
    with no_compute():
        full = to_full_grid(small, {"y": y, "x": x, "energy": [1, 2]})
    found = full.labels.values
    assert found.shape == (len(y), len(x))
    assert found.dtype == np.int32
    for i, j in np.ndindex(found.shape):
        row, column = np.unravel_index(found[i, j], small.labels.shape)
        assert abs(small.y[row] - y[i]) == np.abs(small.y - y[i]).min()
        assert abs(small.x[column] - x[j]) == np.abs(small.x - x[j]).min()
    np.testing.assert_array_equal(full.y, y)
    np.testing.assert_array_equal(full.x, x)


def test_ragged_edges_get_the_answer_beside_them():
    full = to_full_grid(coarse([0.5, 2.5], [0.5, 2.5]), {"y": np.arange(5.0), "x": np.arange(6.0)})
    assert full.labels.values[4].tolist() == [2, 2, 3, 3, 3, 3]


def test_coordinates_keep_their_attributes_and_other_variables_stay():
    y = xr.DataArray([3.0, 2.0, 1.0, 0.0], dims="y", attrs={"units": "nm", "role": "navigation"})
    full = to_full_grid(coarse([2.5, 0.5], [0.0, 1.0], lazy=False), xr.Dataset(coords={"y": y}).coords)
    assert full.y.attrs == y.attrs
    assert full.labels.attrs == {"units": "1"}
    assert full.labels.values.tolist() == [[0, 1], [0, 1], [2, 3], [2, 3]]
    assert full.cluster_size.values.tolist() == [1, 2]


def test_the_same_grid_is_the_identity():
    small = coarse([3.0, 1.0, 2.0], [0.0, 1.0])
    xr.testing.assert_identical(to_full_grid(small, small.coords).compute(), small.compute())


def test_a_scan_of_one_row():
    assert to_full_grid(coarse([0.5], [0.5, 2.5]), {"y": [0.0], "x": np.arange(4.0)}).labels.values.tolist() == [
        [0, 0, 1, 1]
    ]


def test_coordinates_that_say_nothing():
    with pytest.raises(CubeError, match="'x'"):
        to_full_grid(coarse([0.0, 1.0], [0.0, 0.0]), {"x": np.zeros(4)})
