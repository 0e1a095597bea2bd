"""Laws of PCA: equal to scikit-learn's and Spectral Python's, row-pure, lazy, on any cube."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.io
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


@pytest.mark.parametrize("solver", ["scatter", "subspace", "incremental"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@given(data=st.data())
def test_every_solver_equals_scikit_learn(solver: str, dtype: str, data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    pixels, features = data.draw(st.integers(3, 120)), data.draw(st.integers(2, 120))
    rank = data.draw(st.sampled_from([None, 1, 4]))
    rows = decaying(rng, pixels, features, rank).astype(dtype)
    count = data.draw(st.integers(1, min(pixels - 1, features, 5)))
    model = PCA(count, solver=solver, tol=1e-4, max_sweeps=30).fit(rows)
    judge = sklearn.decomposition.PCA(count, svd_solver="full").fit(rows.astype(float))
    assert model.solver_ == solver
    largest = judge.explained_variance_[0]
    off = 1e-5 if dtype == "float32" else 1e-7  # of the largest: what is left of rows of one direction is rounding
    np.testing.assert_allclose(model.explained_variance_, judge.explained_variance_, rtol=1e-5, atol=off * largest)
    np.testing.assert_allclose(model.explained_variance_ratio_, judge.explained_variance_ratio_, rtol=1e-5, atol=off)
    real = judge.explained_variance_ > 1e-5 * largest
    cosines = np.abs(np.sum(model.components_ * judge.components_, axis=1))[real]
    assert np.all(cosines > 1 - 5e-7)
    np.testing.assert_allclose(model.components_ @ model.components_.T, np.eye(count), atol=1e-6)


@pytest.mark.parametrize("solver", ["scatter", "subspace", "incremental"])
@pytest.mark.parametrize("scaling", [None, "standard", "poisson"])
@pytest.mark.parametrize("center", [True, False])
def test_scaling_by_hand(solver: str, scaling: str | None, center: bool) -> None:
    rng = np.random.default_rng(1)
    rows = rng.poisson(rng.gamma(2, 3, (150, 4)) @ rng.gamma(0.5, 8, (4, 30)) + 0.3).astype(float)
    rows[7] = 0
    rows[:, 11] = 0 if scaling == "poisson" else rows[:, 11]
    used = np.delete(rows, 7, axis=0) if scaling == "poisson" else rows
    scaled, factors = used, np.ones(30)
    if scaling == "poisson":
        scaled = used / np.sqrt(used.sum(1, keepdims=True))
        means = used.mean(0)
        factors = np.where(means > 0, 1 / np.sqrt(np.where(means > 0, means, 1)), 0)
    elif scaling == "standard":
        factors = 1 / used.std(0)
    scaled = (scaled - scaled.mean(0) * center) * factors
    values = np.linalg.svd(scaled, compute_uv=False)[:3]
    model = PCA(3, solver=solver, scaling=scaling, center=center, oversampling=27, tol=1e-6, max_sweeps=30).fit(rows)
    np.testing.assert_allclose(model.singular_values_, values, rtol=1e-6)
    np.testing.assert_allclose(model.explained_variance_ratio_, values**2 / np.sum(scaled**2), rtol=1e-6)
    np.testing.assert_allclose(model.transform(used), scaled @ model.components_.T, atol=1e-7 * values[0])


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("scaling", [None, "standard", "poisson"])
def test_inverse_undoes_scaling(scaling: str | None, center: bool) -> None:
    rng = np.random.default_rng(2)
    rows = rng.poisson(5.0, (40, 12)).astype(float)
    model = PCA(12, scaling=scaling, center=center).fit(rows)
    np.testing.assert_allclose(model.inverse_transform(model.transform(rows)), rows, atol=1e-9)


def test_denoising_poisson_counts_keeps_row_sums() -> None:
    rng = np.random.default_rng(3)
    truth = rng.gamma(2, 3, (400, 3)) @ rng.gamma(0.5, 8, (3, 40)) + 0.5
    counts = rng.poisson(truth).astype(float)
    for center in (True, False):
        model = PCA(4, scaling="poisson", center=center).fit(counts)
        restored = model.inverse_transform(model.transform(counts))
        assert np.mean((restored - truth) ** 2) < 0.3 * np.mean((counts - truth) ** 2)
        np.testing.assert_allclose(restored.sum(1), counts.sum(1), rtol=0.05 if center else 1e-9)


def scene(folder: Path, name: str) -> np.ndarray:
    """A recorded scene: (row, column, band)."""
    path = folder / "hyperspectral" / name
    if not path.exists():
        pytest.skip(f"no recorded scene {name} in {folder}")
    if path.suffix == ".npy":
        return np.load(path)
    return scipy.io.loadmat(path)["V"].T.reshape(95, 95, 156)


@pytest.mark.parametrize("name", ["indian_pines/Indian_pines_corrected.npy", "samson/samson_1.mat"])
@pytest.mark.parametrize("share", [0.99, 0.999, 0.9999])
def test_share_of_variance_equals_spectral_python(shared_data: Path, name: str, share: float) -> None:
    spectral = pytest.importorskip("spectral", reason="spectral is not installed")
    image = scene(shared_data, name)
    judge = spectral.principal_components(image.astype(np.float64)).reduce(fraction=share)
    model = PCA(share).fit(as_cube(image, signal="wavelength"))
    assert model.n_components_ == len(judge.eigenvalues)
    # Products of counts are formed in float32: what is 1e-5 of the first eigenvalue is good to 1e-4.
    np.testing.assert_allclose(model.explained_variance_, judge.eigenvalues, rtol=1e-4)
    np.testing.assert_allclose(model.explained_variance_[:20], judge.eigenvalues[:20], rtol=1e-5)
    basis = model.components_.T
    rest = judge.eigenvectors - basis @ (basis.T @ judge.eigenvectors)
    assert np.linalg.norm(rest, 2) < 1e-3  # sine of the largest angle
    np.testing.assert_allclose(
        model.model(image.reshape(-1, image.shape[-1])).reshape(image.shape),
        judge.denoise(image.astype(np.float64), num=model.n_components_),
        atol=2e-3 * image.std(),
    )
