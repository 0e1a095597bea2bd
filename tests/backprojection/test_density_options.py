"""What HDBSCAN was told about sizes and distances of clusters still holds on every pixel."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from refold.backprojection import backproject
from refold.cluster import HDBSCAN
from refold.cube import as_cube
from refold.embed import Landmarks

SHAPE = (40, 50)
CENTRES = np.array([[0.0, 0.0], [4.0, 0.0], [20.0, 0.0], [0.0, 20.0]])  # the first two are a pair, 4 apart
NEAR = {"min_cluster_size": 15, "min_samples": 5}


@pytest.fixture(scope="module")
def scan():
    """A cube of scores of four phases, its truth, and landmarks: a quarter of the pixels."""
    rng = np.random.default_rng(0)
    truth = rng.choice(4, SHAPE, p=[0.35, 0.35, 0.2, 0.1])
    scores = (CENTRES[truth] + rng.normal(0, 0.6, (*SHAPE, 2))).astype(np.float32)
    cube = as_cube(da.from_array(scores, chunks=(11, 13, 2)), signal="component")
    return cube, truth, Landmarks(500).fit(cube)


def refolded(scan, **options):
    """Labels of every pixel, and the model that they come from."""
    cube, _, marks = scan
    model = HDBSCAN(**NEAR, **options).fit(marks.rows_, weights=marks.weights_)
    found = backproject(cube, marks, labels=model.labels_, membership=model.membership_).compute()
    return found, model


def agreement(truth, labels):
    """Adjusted Rand index of what is no noise; that is nearly all."""
    clustered = labels >= 0
    assert clustered.mean() > 0.9
    return adjusted_rand_score(truth[clustered], labels[clustered])


def test_without_either_the_pair_is_two_clusters(scan):
    found, model = refolded(scan)
    assert model.n_clusters_ == 4
    assert agreement(scan[1], found.labels.values) > 0.98


def test_what_an_epsilon_merged_stays_merged(scan):
    found, model = refolded(scan, cluster_selection_epsilon=3.0)
    labels, pair = found.labels.values, scan[1] <= 1
    assert model.n_clusters_ == found.sizes["cluster"] == 3
    assert np.unique(labels[pair & (labels >= 0)]).tolist() == [0]
    assert ((labels == 0) == pair).mean() > 0.99
    # Membership tells of the merged cluster as a whole, and not of the half that a pixel is in.
    assert (found.membership.values[pair].argmax(axis=1) == 0).mean() > 0.99


def test_what_a_largest_size_split_stays_split(scan):
    merged, whole = refolded(scan, cluster_selection_epsilon=3.0)
    largest = int(np.bincount(whole.labels_[whole.labels_ >= 0]).max())
    found, model = refolded(scan, cluster_selection_epsilon=3.0, max_cluster_size=largest - 1)
    assert np.bincount(model.labels_[model.labels_ >= 0]).max() < largest
    assert model.n_clusters_ == found.sizes["cluster"] == 4
    truth, labels = scan[1], found.labels.values
    assert agreement(truth, labels) > 0.98
    # Pixels follow their landmarks: no cluster of pixels is larger than its share of the landmarks says.
    assert np.bincount(labels[labels >= 0]).max() / labels.size < 0.4 < (merged.labels == 0).values.mean()
    clustered = labels >= 0
    assert (found.membership.values.argmax(axis=-1)[clustered] == labels[clustered]).mean() > 0.98


def test_a_limit_that_nothing_passes_changes_nothing(scan):
    with_limit = refolded(scan, cluster_selection_epsilon=3.0, max_cluster_size=500)[0]
    np.testing.assert_array_equal(with_limit.labels, refolded(scan, cluster_selection_epsilon=3.0)[0].labels)
