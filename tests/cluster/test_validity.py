"""Density-based validity: hdbscan's, in any units, bounded, and defined where hdbscan's is not."""

from __future__ import annotations

import numpy as np
import pytest
from hdbscan.validity import validity_index
from sklearn.datasets import make_moons

from refold.cluster import HDBSCAN, validity
from refold.errors import ParameterError


@pytest.fixture(scope="module")
def moons():
    return make_moons(160, noise=0.05, random_state=0)


def test_equals_hdbscans(moons):
    rows, truth = (values[np.lexsort(moons[0].T[::-1])] for values in moons)
    noisy = np.where(np.arange(160) % 7 == 0, -1, truth)
    judge, of_each = validity_index(rows, noisy, per_cluster_scores=True)
    found = validity(rows, noisy)
    np.testing.assert_allclose(found.cluster_validity, of_each, rtol=1e-6)
    np.testing.assert_allclose(found.validity, judge, rtol=1e-6)


def test_shapes_that_are_right_beat_round_ones(moons):
    rows, truth = moons
    round_ones = (rows[:, 0] > 0.5).astype(int)
    assert float(validity(rows, truth).validity) > float(validity(rows, round_ones).validity) + 0.3
    model = HDBSCAN(15, min_samples=5).fit(rows)
    assert float(validity(rows, model.labels_).validity) > 0.3


@pytest.mark.parametrize(("scale", "seed"), [(1e-9, 0), (1.0, 1), (1e9, 2)])
def test_units_and_order_do_not_matter(moons, scale, seed):
    rows, truth = moons
    order = np.random.default_rng(seed).permutation(len(rows))
    found = validity((rows[order] + 3) * scale, truth[order])
    np.testing.assert_allclose(found.cluster_validity, validity(rows, truth).cluster_validity, rtol=1e-4)


def test_many_rows_are_judged_by_some(monkeypatch):
    rows, truth = make_moons(900, noise=0.03, random_state=0)
    seen = []

    def spy(points, labels, **options):
        seen.append(np.bincount(labels).tolist())
        return validity_index(points, labels, **options)

    monkeypatch.setattr("hdbscan.validity.validity_index", spy)
    whole, part = (float(validity(rows, truth, sample=sample).validity) for sample in (900, 300))
    assert seen == [[450, 450], [150, 150]]
    assert abs(whole - part) < 0.25
    assert float(validity(rows, truth, sample=300).validity) == part


def test_rows_on_top_of_each_other_count_once(moons):
    rows, truth = moons
    twice = validity(np.repeat(rows, 2, axis=0), np.repeat(truth, 2))
    np.testing.assert_allclose(twice.cluster_validity, validity(rows, truth).cluster_validity)


def test_what_cannot_be_judged_is_not_a_number():
    rows = np.concatenate([np.zeros((9, 2)), np.random.default_rng(0).normal(9, 1, (20, 2)), np.ones((1, 2))])
    one_place = validity(rows, np.repeat([0, 1, 2], [9, 20, 1]))
    assert one_place.cluster_validity.isnull().all()
    assert float(one_place.validity) == 0
    assert validity(rows, np.full(30, -1)).sizes["cluster"] == 0
    assert float(validity(rows, np.full(30, -1)).validity) == 0


def test_many_features_do_not_overflow():
    rng = np.random.default_rng(0)
    rows = np.concatenate([rng.normal(0, 1e-3, (40, 60)), rng.normal(1, 1e-3, (40, 60))]) * 1e6
    assert float(validity(rows, np.repeat([0, 1], 40)).validity) > 0.5


@pytest.mark.parametrize(
    ("rows", "labels", "sample"),
    [
        (np.zeros((5, 2)), np.zeros(4, int), 5),
        (np.zeros(5), np.zeros(5, int), 5),
        (np.zeros((5, 2)), np.zeros(5), 5),
        (np.zeros((5, 2)), np.zeros(5, int), 1),
        (np.zeros((0, 2)), np.zeros(0, int), 5),
    ],
)
def test_arguments_that_cannot_be(rows, labels, sample):
    with pytest.raises(ParameterError):
        validity(rows, labels, sample=sample)
