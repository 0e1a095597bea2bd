"""Rows around some points, for k-means and its judge."""

from __future__ import annotations

import numpy as np
import sklearn.cluster

from refold.cube import as_cube

BUDGETS = [None, "40kB"]  # that all blocks are kept in, and that hardly any are


def blobs(n: int = 600, features: int = 7, clusters: int = 5, seed: int = 0, dtype: str = "float32") -> np.ndarray:
    """Rows around some points, near enough for a few doubts."""
    rng = np.random.default_rng(seed)
    return (
        rng.normal(50, 9, (clusters, features))[rng.integers(clusters, size=n)] + rng.normal(0, 6, (n, features))
    ).astype(dtype)


def on_grid(rows: np.ndarray, grid=(20, 30), chunks=None):
    cube = as_cube(rows.reshape(*grid, -1), signal="energy")
    return cube if chunks is None else cube.chunk(chunks)


def judged(rows, first, **options):
    """What scikit-learn finds, in double precision."""
    return sklearn.cluster.KMeans(len(first), init=first, n_init=1, **options).fit(rows.astype(float))
