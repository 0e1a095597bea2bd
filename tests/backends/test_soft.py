"""Soft membership: hdbscan's own where that works, and sound where it does not."""

from __future__ import annotations

import hdbscan
import numpy as np
import pytest
from sklearn.datasets import make_blobs

from refold.backends import CpuBackend, soft
from refold.backends.soft import CondensedTree, soft_membership


def fitted(points, **options):
    model = hdbscan.HDBSCAN(core_dist_n_jobs=1, prediction_data=True, **options).fit(points)
    tree = CondensedTree(model.condensed_tree_.to_numpy(), len(points))
    return model, tree, int(model.labels_.max()) + 1


@pytest.mark.parametrize("method", ["eom", "leaf"])
@pytest.mark.parametrize("min_samples", [1, 5])
def test_equals_hdbscans_all_points_membership_vectors(method, min_samples):
    points, _ = make_blobs(700, 3, centers=9, cluster_std=1.6, random_state=min_samples)
    model, tree, n = fitted(points, min_cluster_size=12, min_samples=min_samples, cluster_selection_method=method)
    assert n > 2
    ours = soft_membership(points, tree, model.labels_, n)
    np.testing.assert_allclose(ours, hdbscan.all_points_membership_vectors(model), atol=1e-6)


def test_batches_change_nothing(monkeypatch):
    points, _ = make_blobs(400, 2, centers=5, random_state=0)
    model, tree, n = fitted(points, min_cluster_size=10, min_samples=3)
    whole = soft_membership(points, tree, model.labels_, n)
    monkeypatch.setattr(soft, "_BATCH", 50)
    np.testing.assert_array_equal(soft_membership(points, tree, model.labels_, n), whole)


def test_follows_clusters_that_an_epsilon_merged():
    rng = np.random.default_rng(0)
    centres = np.array([[0, 0], [3, 0], [60, 0], [63, 0], [200, 0]])
    points = np.concatenate([rng.normal(c, 0.4, (60, 2)) for c in centres])
    leaves = {"min_cluster_size": 25, "min_samples": 5, "cluster_selection_method": "leaf"}
    assert CpuBackend().hdbscan(points, leaves).labels.max() > 2
    found = CpuBackend().hdbscan(points, {**leaves, "cluster_selection_epsilon": 8.0})
    assert found.labels.max() == 2
    clustered = found.labels >= 0
    assert found.membership.shape == (300, 3)
    np.testing.assert_array_equal(found.membership.argmax(axis=1)[clustered], found.labels[clustered])


@pytest.mark.parametrize(
    "points",
    [
        np.ones((50, 4)),
        np.repeat(np.eye(3), 30, axis=0),
        np.concatenate([np.zeros((40, 2)), np.random.default_rng(0).normal(9, 1, (80, 2))]),
        np.random.default_rng(1).uniform(size=(60, 1)),
    ],
    ids=["one point", "three points", "a pile beside a cloud", "a line"],
)
@pytest.mark.parametrize("single", [False, True])
def test_sound_whatever_the_tree(points, single):
    found = CpuBackend().hdbscan(points, {"min_cluster_size": 20, "min_samples": 3, "allow_single_cluster": single})
    assert found.membership.shape == (len(points), found.labels.max() + 1)
    assert (found.membership >= 0).all()
    assert (found.membership.sum(axis=1) <= 1 + 1e-6).all()
