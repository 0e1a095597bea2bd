"""K-means that is taken up again from given centres, against Spectral Python's."""

from __future__ import annotations

import numpy as np
import pytest

import refold

spectral = pytest.importorskip("spectral")


@pytest.fixture(scope="module")
def scene():
    return refold.synthetic.reflectance((30, 40), bands=60, phases=5, mixing=2.0, noise=0.01, seed=3).cube.compute()


@pytest.fixture(scope="module")
def start(scene):
    rows = scene.values.reshape(-1, 60).astype(np.float64)
    return rows[np.random.default_rng(0).choice(len(rows), 5, replace=False)]


@pytest.mark.parametrize("steps", [1, 3])
def test_steps_taken_in_two_parts_are_those_of_spectral_python(scene, start, steps):
    first = refold.KMeans(5, init=start, max_iter=steps, tol=0).fit(scene)
    again = refold.KMeans(5, init=first.cluster_centers_, max_iter=steps, tol=0).fit(scene)
    _, centres = spectral.kmeans(scene.values.astype(np.float64), 5, 2 * steps, start_clusters=start)
    assert np.abs(first.cluster_centers_.values - start).max() > 1e-3
    np.testing.assert_allclose(again.cluster_centers_, centres, rtol=1e-9)


def test_classes_that_stand_are_those_of_spectral_python(scene, start):
    ours = refold.KMeans(5, init=start, tol=0).fit(scene)
    labels, centres = spectral.kmeans(scene.values.astype(np.float64), 5, 300, start_clusters=start)
    np.testing.assert_array_equal(ours.labels_, labels)
    np.testing.assert_allclose(ours.cluster_centers_, centres, rtol=1e-9)
