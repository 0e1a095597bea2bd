"""One clustering of many: judged by SciPy's average linkage, and by what was planted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from sklearn.metrics import adjusted_rand_score

from refold.trust import consensus
from refold.trust.consensus import agree, average_linkage, co_association


def similarities(rng, n):
    """Symmetric, and no two the same: ties may be broken either way, also with where to stop."""
    near = np.triu(rng.permutation(n * n).reshape(n, n) / (n * n), 1).astype(np.float32)
    return near + near.T


@given(st.integers(0, 10**6), st.integers(1, 25), st.sampled_from([0.2013, 0.5017, 0.7011]))
def test_linkage_is_that_of_scipy_with_every_row_as_often_as_it_weighs(seed, n, least):
    rng = np.random.default_rng(seed)
    near, weights = similarities(rng, n), rng.integers(1, 4, n)
    rows = np.repeat(np.arange(n), weights)
    if rows.size == 1:
        return
    apart = 1 - near[np.ix_(rows, rows)].astype(float)
    apart[rows[:, None] == rows] = 0
    judged = fcluster(linkage(squareform(apart), "average"), 1 - least, criterion="distance")
    assert adjusted_rand_score(judged, average_linkage(near, weights, least)[rows]) == 1


@given(st.integers(0, 10**6))
def test_co_association_is_counted_as_it_is_said(seed):
    votes = np.random.default_rng(seed).integers(-1, 3, (5, 6))
    near = co_association(votes[:, :4].T, votes[:, 2:].T)
    for i, one in enumerate(votes[:, :4].T):
        for j, other in enumerate(votes[:, 2:].T):
            both = (one >= 0) & (other >= 0)
            wanted = np.mean(one[both] == other[both]) if both.any() else 0
            assert near[i, j] == pytest.approx(wanted)


def blurred(rng, n=3000, clusters=6, votes=9, share=0.2):
    """Clusterings that are each wrong about a fifth of the rows, under names of their own, and the truth."""
    truth = rng.integers(0, clusters, n)
    wrong = rng.random((votes, n)) < share
    said = np.where(wrong, rng.integers(-1, clusters, (votes, n)), truth)
    names = [np.append(rng.permutation(clusters), -1) for _ in range(votes)]
    return np.stack([own[labels] for own, labels in zip(names, said, strict=True)]), truth


@pytest.mark.parametrize("most", [4096, 200])
def test_many_that_err_are_right_together(monkeypatch, most):
    """Also where there are more profiles than the matrix may have rows."""
    monkeypatch.setattr(consensus, "_MOST_PROFILES", most)
    votes, truth = blurred(np.random.default_rng(0))
    found = agree(votes, np.ones(truth.size), named_as=truth)
    assert np.mean(found.labels == truth) > 0.97
    assert max(np.mean(names == truth) for names in votes) < 0.85
    sure = found.probability[found.labels >= 0]
    assert 0 < sure.min() < sure.max() <= 1


def test_what_all_agree_on_is_kept_with_its_names_and_noise():
    labels = np.array([3, 3, 0, 0, 0, -1, 1, 1])
    found = agree(np.stack([labels] * 4), np.ones(8), named_as=labels)
    np.testing.assert_array_equal(found.labels, labels)
    np.testing.assert_array_equal(found.probability, labels >= 0)


def test_names_go_by_weight_where_none_are_given():
    assert agree([[0, 0, 1]], [1, 1, 5]).labels.tolist() == [1, 1, 0]


def test_noise_only():
    found = agree(np.full((3, 4), -1), np.ones(4))
    assert found.labels.tolist() == [-1] * 4
    assert not found.probability.any()


def test_crumbs_are_noise():
    """A row that goes now with one cluster, now with another, is no cluster of its own."""
    votes = [[0] * 5 + [1] * 5 + [at] for at in (0, 1, 0, 1)]
    assert agree(votes, np.ones(11)).labels.tolist() == [0] * 5 + [1] * 5 + [-1]
    assert agree(votes, [*np.ones(10), 9.0]).labels[-1] == 0  # as heavy as a cluster
