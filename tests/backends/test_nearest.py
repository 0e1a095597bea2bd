"""The exact index: equal to measuring every distance, and the same bits however the question is put."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refold.backends.nearest import TILE, TiledIndex


def brute_force(landmarks, rows, k):
    """Every distance in double precision, ties by index."""
    apart = rows[:, None].astype(float) - landmarks[None].astype(float)
    squares = np.zeros(apart.shape[:2])
    for feature in range(apart.shape[2]):  # the order of the kernel's sum
        squares += apart[:, :, feature] ** 2
    order = np.argsort(squares, axis=1, kind="stable")[:, :k]
    return order, np.sqrt(np.take_along_axis(squares, order, axis=1))


@st.composite
def questions(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, features = draw(st.sampled_from([1, 2, TILE, TILE + 1, 300])), draw(st.sampled_from([1, 3, 4, 9, 64, 300]))
    landmarks = rng.normal(size=(n, features))
    if draw(st.booleans()):  # many ties
        landmarks = rng.integers(0, 3, (n, features)).astype(float)
    landmarks = (landmarks + draw(st.sampled_from([0.0, 1e5]))).astype(np.float32)
    rows = landmarks[rng.integers(0, n, 40)] + rng.choice([0.0, 0.5], (40, 1)).astype(np.float32)
    return landmarks, rows.astype(np.float32), draw(st.sampled_from([1, 5, 20]))


@given(questions())
def test_equals_measuring_every_distance(question):
    landmarks, rows, k = question
    indices, distances = TiledIndex(landmarks).query(rows, k)
    wanted_indices, wanted_distances = brute_force(landmarks, rows, min(k, len(landmarks)))
    np.testing.assert_array_equal(indices, wanted_indices)
    np.testing.assert_array_equal(distances, wanted_distances)


@given(questions(), st.integers(0, 2**32 - 1))
def test_a_row_gets_the_same_bits_in_any_company(question, seed):
    landmarks, rows, k = question
    index = TiledIndex(landmarks)
    indices, distances = index.query(rows, k)
    order = np.random.default_rng(seed).permutation(len(rows))
    for part in np.array_split(order, 5):
        some_indices, some_distances = index.query(rows[part], k)
        assert some_indices.tobytes() == indices[part].tobytes()
        assert some_distances.tobytes() == distances[part].tobytes()


def test_threads_and_pickling_change_nothing():
    rng = np.random.default_rng(0)
    index, rows = TiledIndex(rng.normal(size=(500, 6)).astype(np.float32)), rng.normal(size=(3000, 6))
    alone = index.query(rows, 4)
    for other in (index.query(rows, 4, workers=3), pickle.loads(pickle.dumps(index)).query(rows, 4)):
        np.testing.assert_array_equal(alone[0], other[0])
        np.testing.assert_array_equal(alone[1], other[1])


@pytest.mark.parametrize("scale", [1e-25, 1e-12, 1e12, 1e25])
def test_very_small_and_very_large_numbers(scale):
    rng = np.random.default_rng(0)
    landmarks = (rng.normal(size=(200, 5)) * scale).astype(np.float32)
    rows = (rng.normal(size=(50, 5)) * scale).astype(np.float32)
    np.testing.assert_array_equal(TiledIndex(landmarks).query(rows, 3)[0], brute_force(landmarks, rows, 3)[0])


def test_no_rows_no_answers():
    indices, distances = TiledIndex(np.ones((3, 2), np.float32)).query(np.empty((0, 2), np.float32), 2)
    assert indices.shape == distances.shape == (0, 2)


def test_more_equal_landmarks_than_are_held_at_once():
    rng = np.random.default_rng(0)
    landmarks = rng.integers(0, 2, (5000, 2)).astype(np.float32)
    rows = np.concatenate([landmarks[:20], landmarks[:20] + np.float32(0.25)])
    indices, distances = TiledIndex(landmarks).query(rows, 7)
    np.testing.assert_array_equal(indices, brute_force(landmarks, rows, 7)[0])
    assert (distances[:20] == 0).all()


def test_one_far_landmark_spoils_no_precision():
    rng = np.random.default_rng(0)
    landmarks = rng.normal(size=(700, 12)).astype(np.float32)
    landmarks[13] = 3e7
    rows = np.concatenate([rng.normal(size=(90, 12)), rng.normal(size=(9, 12)) + 3e7]).astype(np.float32)
    indices, distances = TiledIndex(landmarks).query(rows, 5)
    wanted_indices, wanted_distances = brute_force(landmarks, rows, 5)
    np.testing.assert_array_equal(indices, wanted_indices)
    np.testing.assert_array_equal(distances, wanted_distances)
