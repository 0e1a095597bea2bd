"""Cells of the reduced space: some for the body of the data, some for its thin outskirts.

A rare phase is a tight group of pixels far from everything common. Among the common pixels it is too light to be drawn
by its weight, and in the noise of many components its distance stands out less than one would think. So cells are
found in two steps. Body cells come from a uniform sample. Then a sweep samples pixels by how far they lie outside their
body cell, to the fourth power of the relative squared distance, which fills a sample of a few thousand with outskirts;
a greedy k-means++ seeds cells in it: of several candidates the one that explains most of what is unexplained is taken,
and a rare phase explains itself whole while a noise pixel explains only itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from refold.backends import NeighbourIndex, choose

Singles = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

_LLOYD_STEPS = 8
_TRIALS = 16


def index_of(centres: Singles) -> NeighbourIndex:
    """Exact and row-pure nearest centres: a pixel's cell may not depend on its block."""
    return choose("cpu").neighbours(centres)


def seed_cells(rows: Singles, n_cells: int, rng: np.random.Generator, known: Singles | None = None) -> Singles:
    """Place centres by greedy k-means++ and a few steps of Lloyd's.

    Parameters
    ----------
    rows : ndarray of float32, shape (rows, features)
        A sample.
    n_cells : int
        Centres wanted; fewer come back where rows coincide.
    rng : numpy.random.Generator
        Decides.
    known : ndarray, optional
        Centres there already: they keep what is nearest to them, and stay where they are.

    Returns
    -------
    ndarray of float32, shape (cells, features)
        The new centres.

    Notes
    -----
    D. Arthur, S. Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007; the greedy choice among
    several candidates is from the same paper's experiments.
    """
    centres = _plus_plus(rows, n_cells, rng, known)
    for _ in range(_LLOYD_STEPS):
        fixed = centres if known is None else np.concatenate([known, centres])
        cell = index_of(fixed).query(rows, 1)[0][:, 0] - (0 if known is None else known.shape[0])
        moved = _means(rows, cell, centres)
        if np.array_equal(moved, centres):
            break
        centres = moved
    return centres


def _plus_plus(rows: Singles, n_cells: int, rng: np.random.Generator, known: Singles | None) -> Singles:
    features = np.ascontiguousarray(rows.T)
    chosen: list[int] = []
    if known is None:
        chosen = [int(rng.integers(rows.shape[0]))]
        left = _squares(features, rows[chosen])[0]
    else:
        left = (index_of(known).query(rows, 1)[1][:, 0] ** 2).astype(np.float32)
    while len(chosen) < n_cells and left.any():
        reach = np.cumsum(left, dtype=np.float64)
        drawn = np.searchsorted(reach, rng.random(_TRIALS) * reach[-1], side="right")
        drawn = np.minimum(drawn, rows.shape[0] - 1)
        after = np.minimum(left, _squares(features, rows[drawn]))
        best = int(after.sum(axis=1, dtype=np.float64).argmin())
        chosen.append(int(drawn[best]))
        left = after[best]
    return rows[chosen]


def _squares(features: Singles, centres: Singles) -> Singles:
    """Squared distances (centres, rows), feature by feature, so that a row is at exactly zero from itself."""
    squares = np.zeros((centres.shape[0], features.shape[1]), np.float32)
    for feature, values in enumerate(features):
        apart = values - centres[:, feature, None]
        squares += apart * apart
    return squares


def _means(rows: Singles, cell: npt.NDArray[Any], centres: Singles) -> Singles:
    """Mean of the rows of each cell; an empty cell stays. Negative cells are known centres', and left out."""
    mine = cell >= 0
    counts = np.bincount(cell[mine], minlength=centres.shape[0])
    moved = centres.copy()
    filled = counts > 0
    for feature in range(rows.shape[1]):
        total = np.bincount(cell[mine], rows[mine, feature], minlength=centres.shape[0])
        moved[filled, feature] = total[filled] / counts[filled]
    return moved
