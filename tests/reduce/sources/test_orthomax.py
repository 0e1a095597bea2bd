"""Orthomax: a rotation, to the best there is, that undoes a rotation of what is simple."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from refold.reduce.sources.orthomax import orthomax
from refold.reduce.sources.whitening import whiten


def criterion(rows: np.ndarray, gamma: float) -> float:
    squares = rows**2
    return float((squares**2).sum() - gamma / len(rows) * (squares.sum(axis=0) ** 2).sum())


@given(st.integers(2, 5), st.floats(0, 1), st.integers(0, 999))
def test_no_rotation_nearby_is_better(columns: int, gamma: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(60, columns)) ** 3
    rotation, n_iter, converged = orthomax(rows, gamma, 1e-8, 200)
    assert converged
    assert n_iter > 1
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(columns), atol=1e-12)
    best = criterion(rows @ rotation.T, gamma)
    assert best >= criterion(rows, gamma) * (1 - 1e-12)
    for _ in range(5):
        skew = rng.normal(size=(columns, columns)) * 1e-3
        near = np.linalg.qr(np.eye(columns) + skew - skew.T)[0]
        assert criterion(rows @ rotation.T @ near, gamma) <= best * (1 + 1e-9)


@given(st.integers(2, 6), st.integers(0, 999))
def test_finds_what_is_simple(columns: int, seed: int) -> None:
    simple = np.zeros((20 * columns, columns))
    rng = np.random.default_rng(seed)
    for column in range(columns):
        simple[20 * column : 20 * (column + 1), column] = rng.normal(3, 1, 20)
    turned = simple @ scipy.stats.ortho_group.rvs(columns, random_state=seed).T
    rotation, _, _ = orthomax(turned, 1.0, 1e-9, 100)
    found = np.abs((simple.T @ turned @ rotation.T) / (simple**2).sum(axis=0)[:, None])
    np.testing.assert_allclose(np.sort(found, axis=1)[:, -1], 1, atol=1e-3)
    np.testing.assert_allclose(np.sort(found, axis=1)[:, :-1], 0, atol=2e-2)


def test_does_not_stay_at_a_saddle() -> None:
    """Sums and differences of two columns alike: the gradient there is a multiple of the rotation."""
    apart = np.kron(np.eye(2), np.ones((5, 1)))
    rows = apart @ np.array([[1, 1], [1, -1]]) / np.sqrt(2)
    rotation, _, _ = orthomax(rows, 1.0, 1e-9, 100)
    np.testing.assert_allclose(np.sort(np.abs(rows @ rotation.T), axis=1), np.tile([0.0, 1.0], (10, 1)), atol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_as_good_as_hyperspys(seed: int) -> None:
    learn = pytest.importorskip("hyperspy.learn", reason="hyperspy is not installed: pip install 'refold[hyperspy]'")
    rng = np.random.default_rng(seed)
    rows, _ = whiten(rng.laplace(size=(300, 4)) @ rng.normal(size=(4, 4)))
    theirs, _ = learn.orthomax(rows)
    rotation, _, _ = orthomax(rows, 1.0, 1e-8, 100)
    assert criterion(rows @ rotation.T, 1.0) >= criterion(theirs, 1.0) * (1 - 1e-9)
    table = np.abs(np.corrcoef((rows @ rotation.T).T, theirs.T)[:4, 4:])
    assert table.max(axis=0).min() > 0.999


@pytest.mark.parametrize("method", ["pca", "zca"])
def test_whitened_rows_have_the_identity_for_covariance(method: str) -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(200, 4)) @ rng.normal(size=(4, 4)) * 1e-9 + 5  # whatever the units
    whitened, matrix = whiten(rows, method)
    np.testing.assert_allclose(whitened.T @ whitened / 200, np.eye(4), atol=1e-5)
    np.testing.assert_allclose(whitened, (rows - rows.mean(axis=0)) @ matrix.T)
    if method == "zca":
        np.testing.assert_allclose(matrix, matrix.T, rtol=1e-6)
