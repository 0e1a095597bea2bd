"""Half of a symmetric matrix, in panels: the same sums as of the whole."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from refold.cube import as_cube
from refold.engine import Moments, sweep
from refold.engine.triangle import Triangle
from refold.planning import Grid


@pytest.mark.parametrize("features", [1, 255, 256, 257, 700])
def test_products_outer_products_and_sums(features: int):
    rng = np.random.default_rng(features)
    rows, vector = rng.normal(size=(9, features)), rng.normal(size=features)
    triangle = Triangle(features)
    triangle.add_product(rows)
    triangle.add_outer(-2.0, vector)
    triangle += copy.deepcopy(triangle)
    wanted = 2 * (rows.T @ rows - 2 * np.outer(vector, vector))
    held = sum(panel.nbytes for panel in triangle.panels)
    assert held <= Triangle.nbytes(features)
    whole = triangle.whole()
    np.testing.assert_allclose(whole, wanted, rtol=1e-12, atol=1e-12 * features)
    assert np.array_equal(whole, whole.T)


def test_it_holds_little_more_than_half_of_the_matrix():
    for features in (2048, 4096):
        assert sum(panel.nbytes for panel in Triangle(features).panels) < 8 * features**2 * 0.57


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float32", "float64", "int64"])
def test_scatter_of_many_features_and_tiles(dtype: str):
    """More features than a panel, more rows than a tile, several partitions, rows left out."""
    rng = np.random.default_rng(0)
    values = rng.poisson(rng.uniform(1, 50, 300), (60, 40, 300)).astype(dtype)
    values[::7, 3] = 0
    cube = as_cube(values, signal="energy")
    grid = Grid(((0, 30, 60), (0, 40)), 2)
    for weighting in (None, "poisson"):
        (moments,) = sweep(cube, Moments(scatter=True, weighting=weighting), grid=grid)
        rows = values.reshape(-1, 300).astype("f8")
        sums = rows.sum(axis=1)
        if weighting:
            rows = rows[sums > 0] / np.sqrt(sums[sums > 0])[:, None]
        wanted = np.cov(rows.T, bias=True) * len(rows)
        np.testing.assert_allclose(moments.scatter, wanted, rtol=1e-5, atol=1e-6 * np.trace(wanted) / 17)
        np.testing.assert_allclose(np.diag(moments.scatter) / len(rows), moments.variance, rtol=1e-5)
