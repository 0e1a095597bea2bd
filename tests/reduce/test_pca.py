"""Laws of PCA: equal to scikit-learn's, row-pure, lazy, on any cube."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.decomposition
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.estimator_checks import parametrize_with_checks

import refold.reduce
from refold.cube import as_cube, navigation_dims
from refold.reduce import PCA


def decaying(rng: np.random.Generator, pixels: int, features: int, rank: int | None = None) -> np.ndarray:
    """Rows whose singular values fall by a third each, so that components are well apart."""
    rank = min(pixels, features, rank or features)
    left = np.linalg.qr(rng.normal(size=(pixels, rank)))[0]
    right = np.linalg.qr(rng.normal(size=(features, rank)))[0]
    return (left * 100 * 0.66 ** np.arange(rank)) @ right.T + rng.normal(size=features)


@parametrize_with_checks([PCA(2)])
def test_scikit_learns_own_checks(estimator, check) -> None:
    check(estimator)


@given(st.integers(3, 40), st.integers(2, 40), st.integers(1, 5), st.integers(0, 1000))
def test_equals_scikit_learn(pixels: int, features: int, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = decaying(rng, pixels, features)
    count = min(count, pixels - 1, features)
    model, judge = PCA(count).fit(rows), sklearn.decomposition.PCA(count, svd_solver="full").fit(rows)
    np.testing.assert_allclose(model.explained_variance_, judge.explained_variance_, rtol=1e-5)
    np.testing.assert_allclose(model.explained_variance_ratio_, judge.explained_variance_ratio_, rtol=1e-5)
    np.testing.assert_allclose(model.singular_values_, judge.singular_values_, rtol=1e-5)
    np.testing.assert_allclose(model.noise_variance_, judge.noise_variance_, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(model.mean_, judge.mean_)
    assert np.all(np.abs(np.sum(model.components_ * judge.components_, axis=1)) > 1 - 5e-7)
    signs = np.sign(np.sum(model.components_ * judge.components_, axis=1))
    np.testing.assert_allclose(model.transform(rows) * signs, judge.transform(rows), atol=1e-6)
    np.testing.assert_allclose(
        model.inverse_transform(model.transform(rows)), judge.inverse_transform(judge.transform(rows)), atol=1e-6
    )


def test_cube_and_table_agree() -> None:
    rows = decaying(np.random.default_rng(0), 60, 12).astype(np.float32)
    cube = as_cube(rows.reshape(6, 10, 3, 4), signal=("ky", "kx")).chunk({"y": 2, "x": 3, "ky": 2})
    scores = PCA(3).fit(cube).transform(cube)
    assert scores.chunks == ((2, 2, 2), (3, 3, 3, 1), (3,))
    assert navigation_dims(scores) == ("y", "x")
    np.testing.assert_allclose(scores.values.reshape(60, 3), PCA(3).fit(rows).transform(rows), atol=1e-3)


@pytest.mark.parametrize("wrong", [0, 13, 1.5, True, "many"])
def test_number_of_components_is_checked(wrong: object) -> None:
    with pytest.raises(refold.errors.ParameterError):
        PCA(wrong).fit(decaying(np.random.default_rng(0), 60, 12))
