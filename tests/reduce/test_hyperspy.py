"""Components against HyperSpy's, and estimators that plug into it. Decompositions: see `test_decomposition`."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from refold.cluster import KMeans
from refold.cube import as_cube
from refold.reduce import PCA

hyperspy = pytest.importorskip("hyperspy.api", reason="hyperspy is not installed: pip install 'refold[hyperspy]'")


def spectrum_image(*, empty: bool) -> np.ndarray:
    rng = np.random.default_rng(0)
    rates = rng.gamma(2, 3, (8, 9, 3)) @ rng.gamma(0.5, 8, (3, 40)) + 0.5
    counts = rng.poisson(rates).astype(float)
    if empty:
        counts[2, 3], counts[..., 7] = 0, 0
    return counts


@pytest.mark.parametrize("empty", [False, True])
@pytest.mark.parametrize("solver", ["scatter", "subspace"])
def test_poisson_scaling_equals_hyperspy(solver: str, empty: bool) -> None:
    counts = spectrum_image(empty=empty)
    signal = hyperspy.signals.Signal1D(counts.copy())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own deprecated calls
        signal.decomposition(normalize_poissonian_noise=True, centre=None, print_info=False)
        restored = signal.get_decomposition_model(5).data
    cube = as_cube(counts, signal="energy")
    model = PCA(5, scaling="poisson", center=False, solver=solver, tol=1e-6, max_sweeps=40).fit(cube)

    theirs = signal.learning_results.explained_variance_ratio[:5]
    np.testing.assert_allclose(model.explained_variance_ratio_, theirs, rtol=1e-6)
    column_roots = np.sqrt(counts.sum((0, 1)))
    loadings = model.components_.T * column_roots[:, None]
    factors = signal.learning_results.factors[:, :5]
    cosines = np.sum(loadings * factors, 0) / np.linalg.norm(loadings, axis=0) / np.linalg.norm(factors, axis=0)
    np.testing.assert_allclose(np.abs(cosines), 1, atol=1e-6)
    denoised = model.inverse_transform(model.transform(cube)).values
    np.testing.assert_allclose(denoised, restored, atol=1e-4 * counts.max())


@pytest.mark.parametrize("centre", [None, "navigation"])
def test_plain_components_equal_hyperspy(centre: str | None) -> None:
    counts = spectrum_image(empty=False)
    signal = hyperspy.signals.Signal1D(counts.copy())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        signal.decomposition(centre=centre, print_info=False)
    model = PCA(4, center=centre is not None).fit(as_cube(counts, signal="energy"))
    theirs = signal.learning_results.explained_variance_ratio[:4]
    np.testing.assert_allclose(model.explained_variance_ratio_, theirs, rtol=1e-6)


@pytest.mark.parametrize("normalised", [False, True])
def test_plugs_into_hyperspys_decomposition(normalised: bool) -> None:
    counts = spectrum_image(empty=False)
    signal = hyperspy.signals.Signal1D(counts.copy())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        signal.decomposition(normalised, algorithm=PCA(3), print_info=False)
        results = signal.learning_results
        restored = results.loadings @ results.factors.T
    assert results.factors.shape == (40, 3)
    assert results.loadings.shape == (72, 3)
    assert results.number_significant_components >= 1
    if not normalised:  # HyperSpy adds the mean of normalised data to data that are not
        model = PCA(3).fit(counts.reshape(72, 40))
        np.testing.assert_allclose(restored + results.mean, model.model(counts.reshape(72, 40)), atol=1e-6)


def test_plugs_into_hyperspys_cluster_analysis() -> None:
    counts = spectrum_image(empty=False)
    signal = hyperspy.signals.Signal1D(counts.copy())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        signal.decomposition(algorithm=PCA(3), print_info=False)
        signal.cluster_analysis(cluster_source="decomposition", algorithm=KMeans(n_clusters=3), preprocessing=None)
    labels = signal.get_cluster_labels()
    assert labels.data.shape == (3, 8, 9)
    np.testing.assert_array_equal(labels.data.sum(axis=0), 1)  # each pixel is in one cluster
    results = signal.learning_results
    scores = results.loadings[:, : results.number_significant_components]  # HyperSpy clusters these
    expected = KMeans(n_clusters=3).fit_predict(scores).reshape(8, 9)
    np.testing.assert_array_equal(labels.data.argmax(axis=0), expected)
