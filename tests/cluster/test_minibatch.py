"""Mini-batch k-means: one read to fit and one for the labels, the same for any chunking, nearly as good as all."""

from __future__ import annotations

import numpy as np
import pytest
import zarr
from sklearn.metrics import adjusted_rand_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from refold.cluster import KMeans, MiniBatchKMeans
from refold.cube import as_cube
from refold.engine import sweep
from refold.errors import DataError, ParameterError
from refold.source import open
from tests.guards import count_reads, no_compute


@pytest.fixture(scope="module")
def scan():
    rng = np.random.default_rng(0)
    truth = rng.choice(5, 2000, p=[0.4, 0.3, 0.15, 0.1, 0.05])
    rows = rng.normal(0, 100, (5, 6))[truth] + rng.normal(0, 1, (2000, 6))
    return as_cube(rows.reshape(40, 50, 6).astype("f4"), signal="energy"), truth.reshape(40, 50)


@parametrize_with_checks([MiniBatchKMeans(3)])
def test_scikit_learns_estimator_checks(estimator, check):
    check(estimator)


def test_finds_what_is_apart_whatever_the_chunks(scan):
    cube, truth = scan
    whole = MiniBatchKMeans(5, sample_size=500).fit(cube)
    cut = MiniBatchKMeans(5, sample_size=500).fit(cube.chunk({"y": 7, "x": 9}))
    assert adjusted_rand_score(truth.ravel(), whole.labels_.values.ravel()) == 1
    np.testing.assert_array_equal(whole.labels_, truth)  # the largest first
    np.testing.assert_array_equal(cut.labels_, truth)
    np.testing.assert_array_equal(cut.cluster_centers_, whole.cluster_centers_)
    assert whole.inertia_ < 1.05 * KMeans(5).fit(cube).inertia_


def test_reads(scan, tmp_path):
    cube, _ = scan
    array = zarr.create_array(
        tmp_path / "a", shape=cube.shape, chunks=(10, 10, 6), dtype="f4", dimension_names=cube.dims
    )
    array[:] = cube.values
    stored = open(tmp_path / "a")
    with count_reads() as reads:
        model = MiniBatchKMeans(5, compute_labels=False).fit(stored)
    assert set(reads.of_chunks.values()) == {1}
    assert model.labels_ is None
    assert not hasattr(model, "membership_")
    with count_reads() as reads:
        MiniBatchKMeans(5).fit(stored)
    assert set(reads.of_chunks.values()) == {2}


def test_fitted_from_a_sweep_that_others_share(scan):
    cube, truth = scan
    model = MiniBatchKMeans(5)
    with no_compute():
        visitors = model.visitors(cube)
    model.settle(cube, sweep(cube, *visitors))
    np.testing.assert_array_equal(model.cluster_centers_, MiniBatchKMeans(5).fit(cube).cluster_centers_)
    np.testing.assert_array_equal(model.predict(cube), truth)


def test_weights_decide_what_is_drawn(scan):
    cube, truth = scan
    model = MiniBatchKMeans(2).fit(cube, weights=np.where(truth < 2, 1.0, 0.0))
    means = [cube.values[truth == phase].mean(axis=0) for phase in (0, 1)]
    np.testing.assert_allclose(model.cluster_centers_, means, atol=1)


def test_given_centres_keep_their_order(scan):
    cube, truth = scan
    first = np.stack([cube.values[truth == phase][0] for phase in (3, 1, 4, 0, 2)])
    model = MiniBatchKMeans(5, init=first).fit(cube)
    np.testing.assert_array_equal(np.array([3, 1, 4, 0, 2])[model.labels_.values], truth)


def test_what_cannot_be(scan):
    cube, _ = scan
    with pytest.raises(ParameterError, match="sample_size=3"):
        MiniBatchKMeans(5, sample_size=3).fit(cube)
    with pytest.raises(ParameterError, match="n_samples=2000"):
        MiniBatchKMeans(3000).fit(cube)
    with pytest.raises(DataError, match="0 valid pixels"):
        MiniBatchKMeans(5).fit(cube * np.nan)
