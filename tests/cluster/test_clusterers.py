"""Gaussian mixture, agglomerative and any other clusterer: one protocol, the libraries' answers, clear errors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.csgraph import connected_components
from sklearn import cluster as theirs
from sklearn.base import BaseEstimator, clone
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture as TheirMixture
from sklearn.utils.estimator_checks import parametrize_with_checks

import refold
from refold.cluster import HDBSCAN, Agglomerative, Clusterer, GaussianMixture, LandmarkClusterer, as_clusterer
from refold.cluster.connectivity import grid_graph, neighbour_graph
from refold.errors import ParameterError


@pytest.fixture(scope="module")
def blobs():
    rows, truth = make_blobs([200, 90, 40], 3, cluster_std=0.8, random_state=3)
    return rows.astype(np.float32), truth


CLUSTERERS = {
    "mixture": GaussianMixture(3),
    "ward": Agglomerative(3),
    "near": Agglomerative(3, connectivity="neighbours"),
    "kmeans": LandmarkClusterer(theirs.KMeans(3, n_init=3, random_state=0)),
    "spectral": LandmarkClusterer(theirs.SpectralClustering(3, random_state=0)),
    "their mixture": LandmarkClusterer(TheirMixture(3, random_state=0)),
    "dbscan": LandmarkClusterer(theirs.DBSCAN(eps=2)),
    "hdbscan": HDBSCAN(20),
}


@parametrize_with_checks(
    [GaussianMixture(2), Agglomerative(2), LandmarkClusterer(theirs.KMeans(2, n_init=1, random_state=0))]
)
def test_scikit_learns_estimator_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("name", CLUSTERERS)
def test_every_clusterer_keeps_the_protocol(blobs, name):
    rows, truth = blobs
    model = clone(CLUSTERERS[name]).fit(rows)
    assert isinstance(model, Clusterer)
    assert model.n_clusters_ == 3
    assert adjusted_rand_score(truth, model.labels_) > 0.98
    assert model.labels_.dtype == np.int32
    assert model.probabilities_.dtype == model.membership_.dtype == np.float32
    assert model.membership_.shape == (len(rows), 3)
    assert (np.diff(np.bincount(model.labels_[model.labels_ >= 0])) <= 0).all()
    total, noise = model.membership_.sum(axis=1), model.labels_ < 0
    assert (model.membership_ >= 0).all()
    assert (total <= 1 + 1e-6).all()
    assert (model.probabilities_[noise] == 0).all()
    assert (model.membership_[~noise].argmax(axis=1) == model.labels_[~noise]).mean() > 0.98
    heavy = clone(CLUSTERERS[name]).fit(rows, weights=np.where(truth == 2, 6.0, 1.0))
    assert adjusted_rand_score(truth, heavy.labels_) > 0.98
    assert (heavy.labels_[truth == 2] == 0).mean() > 0.9


@settings(max_examples=8)
@given(st.integers(0, 10_000), st.sampled_from(["full", "tied", "diag", "spherical"]))
def test_a_weight_of_three_is_three_rows(seed, kind):
    rng = np.random.default_rng(seed)
    rows = np.concatenate([rng.normal(0, 1, (40, 2)), rng.normal(30, 2, (50, 2))])
    counts = rng.integers(1, 4, len(rows))
    options = {"covariance_type": kind, "tol": 1e-10, "random_state": 0}
    weighted = GaussianMixture(2, **options).fit(rows, weights=counts)
    repeated = GaussianMixture(2, **options).fit(np.repeat(rows, counts, axis=0))
    np.testing.assert_allclose(weighted.means_, repeated.means_, rtol=1e-6)
    np.testing.assert_allclose(weighted.covariances_, repeated.covariances_, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(weighted.weights_, repeated.weights_, rtol=1e-6)
    np.testing.assert_array_equal(np.repeat(weighted.labels_, counts), repeated.labels_)
    np.testing.assert_allclose(np.repeat(weighted.membership_, counts, axis=0), repeated.membership_, atol=1e-6)


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
def test_a_mixture_is_scikit_learns_where_all_weigh_the_same(blobs, kind):
    rows = blobs[0].astype(np.float64)
    judge = TheirMixture(3, n_init=3, random_state=0, tol=1e-9, covariance_type=kind).fit(rows)
    model = GaussianMixture(3, tol=1e-9, covariance_type=kind).fit(rows)
    assert adjusted_rand_score(judge.predict(rows), model.labels_) == 1.0
    order = np.argsort(-judge.weights_)
    np.testing.assert_allclose(model.means_, judge.means_[order], atol=1e-3)
    np.testing.assert_allclose(model.membership_, judge.predict_proba(rows)[:, order], atol=1e-3)
    as_kept = {
        "full": judge.covariances_, "tied": np.stack([judge.covariances_] * 3),
        "diag": np.array([np.diag(np.atleast_1d(one)) for one in judge.covariances_]) if kind == "diag" else None,
        "spherical": np.array([one * np.eye(rows.shape[1]) for one in judge.covariances_]),
    }[kind]  # fmt: skip
    np.testing.assert_allclose(model.covariances_, as_kept[order], rtol=1e-3, atol=1e-3)


def test_a_mixture_may_start_otherwise(blobs):
    rows, truth = blobs[0].astype(np.float64), blobs[1]
    assert adjusted_rand_score(truth, GaussianMixture(3, init="k-means++").fit(rows).labels_) > 0.98


@pytest.mark.parametrize(("scale", "shift"), [(1e-12, 100.0), (1e9, -3.0)])
def test_a_mixture_does_not_mind_units(blobs, scale, shift):
    rows = blobs[0].astype(np.float64)
    there = GaussianMixture(3).fit((rows + shift) * scale)
    np.testing.assert_array_equal(there.labels_, GaussianMixture(3).fit(rows).labels_)


def test_equal_rows_are_one_cluster_of_a_mixture():
    with pytest.warns(UserWarning, match="distinct clusters"):
        model = GaussianMixture(3).fit(np.full((30, 2), 7.0))
    assert model.n_clusters_ == 1
    np.testing.assert_array_equal(model.membership_, np.ones((30, 1), np.float32))


@pytest.mark.parametrize("linkage", ["ward", "average", "complete", "single"])
def test_agglomerative_is_scikit_learns(blobs, linkage):
    rows = blobs[0]
    judge = theirs.AgglomerativeClustering(4, linkage=linkage).fit(rows)
    assert adjusted_rand_score(judge.labels_, Agglomerative(4, linkage=linkage).fit(rows).labels_) == 1.0


def test_a_distance_says_how_many():
    rows = np.array([[0.0], [0.1], [5.0], [5.2], [9.0]])
    assert Agglomerative(distance_threshold=1.0, linkage="single").fit(rows).n_clusters_ == 3


@given(st.sampled_from([(7,), (1, 6), (4, 5), (2, 3, 4)]), st.data())
def test_clusters_on_the_grid_are_connected(shape, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    size = int(np.prod(shape))
    kept = np.sort(rng.choice(size, data.draw(st.integers(4, size)), replace=False))
    rows = rng.normal(size=(kept.size, 3))
    graph = grid_graph(kept, shape, rows)
    assert (graph != graph.T).nnz == 0
    assert graph.diagonal().sum() == 0
    assert connected_components(graph)[0] == 1
    model = Agglomerative(3, connectivity="grid").fit(rows, pixels=kept, grid=shape)
    for cluster in range(model.n_clusters_):
        mine = np.flatnonzero(model.labels_ == cluster)
        assert connected_components(graph[mine][:, mine])[0] == 1


def test_all_pixels_are_linked_as_scikit_learn_links_them():
    from sklearn.feature_extraction.image import grid_to_graph

    for shape in ((3, 4), (2, 3, 4)):
        judge = grid_to_graph(*shape).tolil()
        judge.setdiag(0)
        size = int(np.prod(shape))
        np.testing.assert_array_equal(
            grid_graph(np.arange(size), shape, np.zeros((size, 1))).toarray(), judge.toarray()
        )


def test_near_landmarks_are_linked_and_far_ones_not():
    places = np.array([[0, 0], [0, 9], [9, 0], [9, 9], [4, 5]])
    graph = grid_graph(places @ [10, 1], (10, 10), np.zeros((5, 1))).toarray()
    assert graph[4, :4].tolist() == [1, 1, 1, 1]
    assert graph[0, 3] == graph[1, 2] == 0


def test_the_grid_tells_apart_what_features_do_not():
    image = np.zeros((6, 9), int)
    image[:, 3:6] = 1
    rows = image.reshape(-1, 1) + np.random.default_rng(0).normal(0, 0.01, (54, 1))
    model = Agglomerative(3, connectivity="grid").fit(rows, pixels=np.arange(54), grid=(6, 9))
    assert adjusted_rand_score(np.repeat([[0] * 3 + [1] * 3 + [2] * 3], 6, axis=0).ravel(), model.labels_) == 1.0
    assert adjusted_rand_score(image.ravel(), Agglomerative(2).fit(rows).labels_) == 1.0


def test_pieces_apart_and_equal_rows_become_one_graph():
    rows = np.repeat([[0.0, 0.0], [1.0, 0.0], [50.0, 0.0]], 20, axis=0)
    assert connected_components(neighbour_graph(rows, 5))[0] == 1
    assert Agglomerative(3, connectivity="neighbours").fit(rows).n_clusters_ == 3


def test_an_estimator_is_told_the_weights_it_takes():
    rows = np.array([[0.0], [1.0], [10.0]])
    model = LandmarkClusterer(theirs.KMeans(2, n_init=1, random_state=0)).fit(rows, weights=[9, 1, 5])
    np.testing.assert_allclose(np.sort(model.estimator_.cluster_centers_.ravel()), [0.1, 10.0])


def test_what_is_ours_is_not_wrapped():
    ours = HDBSCAN(5)
    assert as_clusterer(ours) is ours
    assert isinstance(as_clusterer(theirs.MeanShift()), LandmarkClusterer)
    assert refold.as_clusterer is as_clusterer


class Says(BaseEstimator):
    """Gives any labels, and any probabilities."""

    def __init__(self, labels, shape=None):
        self.labels = labels
        self.shape = shape

    def fit_predict(self, X):
        return np.asarray(self.labels)

    def predict_proba(self, X):
        return np.ones(self.shape)


@pytest.mark.parametrize(
    ("estimator", "named"),
    [
        (theirs.KMeans, "the class KMeans"),
        ("kmeans", "fit_predict"),
        (Says([0, 1]), r"shape \(2,\)"),
        (Says([0.5, 1.5, 2.0]), "float"),
        (Says([0, 1, 2], (3, 2)), "predict_proba"),
    ],
)
def test_what_is_no_clusterer_is_told_so(estimator, named):
    with pytest.raises(ParameterError, match=named):
        as_clusterer(estimator).fit(np.zeros((3, 1)))


@pytest.mark.parametrize(
    ("model", "named"),
    [
        (GaussianMixture(9), "n_clusters=9"),
        (GaussianMixture(2, covariance_type="banded"), "covariance_type"),
        (GaussianMixture(2, init="k-means"), "init"),
        (GaussianMixture(2, n_init=0), "n_init"),
        (Agglomerative(9), "n_clusters=9"),
        (Agglomerative(2, linkage="wards"), "linkage"),
        (Agglomerative(2, metric="cosine"), "metric"),
        (Agglomerative(2, connectivity="touching"), "connectivity"),
        (Agglomerative(2, connectivity="grid"), "where the rows lie|grid"),
    ],
)
def test_options_that_cannot_be(model, named):
    with pytest.raises(ParameterError, match=named):
        model.fit(np.arange(6.0)[:, None])


@pytest.mark.parametrize("pixels", [[0, 1, 2, 3, 4], [0, 1, 2, 3, 4, 4], [0, 1, 2, 3, 4, 99]])
def test_pixels_that_are_not_the_rows(pixels):
    with pytest.raises(ParameterError, match="pixels"):
        Agglomerative(2, connectivity="grid").fit(np.arange(6.0)[:, None], pixels=pixels, grid=(2, 4))
