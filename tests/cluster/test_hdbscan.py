"""HDBSCAN as an estimator: scikit-learn's laws, stable names, sound membership, clear errors."""

from __future__ import annotations

import hdbscan
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from refold.cluster import HDBSCAN
from refold.errors import ParameterError


@pytest.fixture(scope="module")
def latent():
    points, truth = make_blobs([300, 150, 80], 3, cluster_std=0.7, random_state=3)
    stray = np.random.default_rng(0).uniform(-40, 40, (12, 3))
    return np.concatenate([points, stray]).astype(np.float32), np.concatenate([truth, [-1] * 12])


@pytest.fixture(scope="module")
def model(latent):
    return HDBSCAN(20).fit(latent[0])


@parametrize_with_checks([HDBSCAN(min_cluster_size=3, min_samples=2)])
def test_scikit_learns_estimator_checks(estimator, check):
    check(estimator)


def test_finds_the_blobs_and_names_the_largest_first(model, latent):
    assert model.n_clusters_ == 3
    assert adjusted_rand_score(latent[1], model.labels_) > 0.99
    assert (np.diff(np.bincount(model.labels_[model.labels_ >= 0])) <= 0).all()


def test_same_clusters_as_the_library(model, latent):
    judge = hdbscan.HDBSCAN(min_cluster_size=20, min_samples=10, core_dist_n_jobs=1).fit(latent[0].astype(float))
    assert adjusted_rand_score(judge.labels_, model.labels_) == 1.0
    np.testing.assert_allclose(model.probabilities_, judge.probabilities_, rtol=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        {"alpha": 1.5},
        {"metric": "manhattan"},
        {"metric": "minkowski", "p": 3.0},
        {"metric": "canberra"},
        {"metric": "cosine"},
        {"cluster_selection_method": "leaf", "cluster_selection_persistence": 0.2},
        {"cluster_selection_epsilon": 0.5, "cluster_selection_epsilon_max": 30.0},
        {"algorithm": "prims_kdtree", "leaf_size": 11, "approx_min_span_tree": False},
        {"match_reference_implementation": True},
    ],
    ids=str,
)
def test_every_option_is_the_library_s(latent, options):
    rows = latent[0].astype(float) + 100  # away from 0, round which a cosine turns
    theirs = {"algorithm": "generic", **options} if options.get("metric") == "cosine" else options
    judge = hdbscan.HDBSCAN(min_cluster_size=20, min_samples=10, core_dist_n_jobs=1, **theirs).fit(rows)
    assert judge.labels_.max() > 0
    model = HDBSCAN(20, **options).fit(rows)
    assert adjusted_rand_score(judge.labels_, model.labels_) == 1.0
    np.testing.assert_allclose(model.probabilities_, judge.probabilities_, rtol=1e-6, atol=1e-6)
    clustered = model.labels_ >= 0
    assert (model.membership_[clustered].argmax(axis=1) == model.labels_[clustered]).mean() > 0.98


def test_all_pairs_only_of_few_rows():
    with pytest.raises(ParameterError, match="all pairs"):
        HDBSCAN(metric="cosine").fit(np.zeros((8193, 2)))


def test_dtypes_and_membership(model, latent):
    assert model.labels_.dtype == np.int32
    assert model.probabilities_.dtype == model.membership_.dtype == np.float32
    assert model.membership_.shape == (len(latent[0]), 3)
    assert (model.membership_.sum(axis=1) <= 1 + 1e-6).all()
    clustered = model.labels_ >= 0
    assert (model.membership_[clustered].argmax(axis=1) == model.labels_[clustered]).mean() > 0.99
    assert (model.probabilities_[~clustered] == 0).all()


def test_names_do_not_depend_on_the_order_of_rows(model, latent):
    order = np.random.default_rng(1).permutation(len(latent[0]))
    np.testing.assert_array_equal(HDBSCAN(20).fit(latent[0][order]).labels_, model.labels_[order])


def test_the_same_bytes_again(model, latent):
    again = clone(model).fit(latent[0])
    assert again.labels_.tobytes() == model.labels_.tobytes()
    assert again.membership_.tobytes() == model.membership_.tobytes()


def test_weights_name_the_clusters(model, latent):
    smallest = model.labels_ == 2
    weighted = HDBSCAN(20).fit(latent[0], weights=np.where(smallest, 100.0, 1.0))
    assert (weighted.labels_[smallest] == 0).all()
    np.testing.assert_array_equal(weighted.membership_[:, 0], model.membership_[:, 2])


def test_nothing_but_noise():
    lonely = np.random.default_rng(0).uniform(size=(40, 8))
    model = HDBSCAN(20, min_samples=20).fit(lonely)
    assert model.n_clusters_ == 0
    assert model.membership_.shape == (40, 0)
    assert (model.labels_ == -1).all()


def test_one_cluster():
    model = HDBSCAN(20, allow_single_cluster=True).fit(np.random.default_rng(0).normal(size=(200, 2)))
    assert model.n_clusters_ == 1
    assert model.membership_.shape == (200, 1)


@pytest.mark.parametrize(
    "options",
    [
        {"min_cluster_size": 1},
        {"min_samples": 0},
        {"cluster_selection_method": "best"},
        {"cluster_selection_epsilon": -1.0},
        {"max_cluster_size": 1},
        {"alpha": 0.0},
        {"leaf_size": 0},
        {"cluster_selection_persistence": -0.1},
        {"cluster_selection_epsilon_max": -1.0},
        {"metric": "haversine"},
        {"metric": "minkowski"},
        {"algorithm": "fastest"},
    ],
)
def test_options_that_cannot_be(options, latent):
    with pytest.raises(ParameterError, match=next(iter(options))):
        HDBSCAN(**options).fit(latent[0])


@pytest.mark.parametrize(("rows", "size"), [(5, 5), (40, 5), (100, 12), (200, 25), (5000, 25)])
def test_a_cluster_of_a_small_scan_may_be_small(rows: int, size: int):
    assert HDBSCAN()._parameters(rows)["min_cluster_size"] == size


def test_fewer_rows_than_a_cluster_needs():
    with pytest.raises(ParameterError, match="min_cluster_size=25") as caught:
        HDBSCAN(25).fit(np.zeros((7, 2)))
    assert "7" in caught.value.found
