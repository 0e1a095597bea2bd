"""Landmarks: everything while it fits; else a draw that keeps what is rare and does not depend on chunks."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from refold.cube import as_cube
from refold.embed import Landmarks, draw_together
from refold.embed.landmarks import share_out
from refold.engine import sweep
from refold.errors import DataError, ParameterError
from tests.strategies import chunkings

SHAPE = (40, 50)


def scene(shape=(128, 128), rare=40, apart=10.0, features=10, seed=0):
    """Blobs of unequal size in noise of all features, and a few pixels of one more."""
    rng = np.random.default_rng(seed)
    n = int(np.prod(shape))
    centres = rng.normal(size=(7, features))
    centres *= apart / np.sqrt(2) / np.linalg.norm(centres, axis=1, keepdims=True)
    truth = rng.choice(6, n, p=[0.4, 0.3, 0.15, 0.1, 0.04, 0.01])
    truth[rng.choice(n, rare, replace=False)] = 6
    rows = (centres[truth] + rng.normal(size=(n, features))).astype(np.float32)
    return rows.reshape(*shape, features), truth


def cube_of(rows, chunks=None):
    return as_cube(rows if chunks is None else da.from_array(rows, chunks=chunks), signal="component")


@pytest.mark.parametrize("n", [None, 20_000, 24, 1.0])
def test_all_valid_pixels_while_they_fit(n):
    rows = np.random.default_rng(0).normal(size=(4, 6, 3)).astype(np.float32)
    marks = Landmarks(n).fit(cube_of(rows))
    np.testing.assert_array_equal(marks.pixels_, np.arange(24))
    np.testing.assert_array_equal(marks.rows_, rows.reshape(24, 3))
    np.testing.assert_array_equal(marks.weights_, 1.0)


def test_invalid_pixels_are_no_landmarks():
    rows, _ = scene(SHAPE)
    rows[3, :, 1], rows[7, 7, 0] = np.nan, np.inf
    for n in (3000, 200, 0.1):
        marks = Landmarks(n).fit(cube_of(rows))
        assert np.isfinite(marks.rows_).all()
        assert marks.n_valid_ == rows.shape[0] * rows.shape[1] - 51
        assert marks.weights_.sum() == pytest.approx(marks.n_valid_)
    assert len(marks.pixels_) == -(-marks.n_valid_ // 10)


@settings(max_examples=6)
@given(chunkings(SHAPE), st.integers(1, 3))
def test_the_draw_does_not_depend_on_chunks_or_threads(chunks, seed):
    rows, _ = scene(SHAPE, seed=seed)
    rows[::9, ::7, 2] = np.nan
    always = [3, 1999, 700, 1, 3]
    one = Landmarks(150, always=always, random_state=seed).fit(cube_of(rows))
    other = Landmarks(150, always=always, random_state=seed).fit(cube_of(rows, (*chunks, 4)))
    for name in ("pixels_", "rows_", "weights_"):
        assert getattr(one, name).tobytes() == getattr(other, name).tobytes()


def test_a_draw():
    rows, _ = scene()
    marks = Landmarks(1000).fit(cube_of(rows))
    assert marks.rows_.dtype == np.float32
    assert (np.diff(marks.pixels_) > 0).all()
    assert len(marks.pixels_) == len(marks.weights_) == 1000
    np.testing.assert_array_equal(marks.rows_, rows.reshape(-1, 10)[marks.pixels_])
    assert (marks.weights_ >= 1).all()
    assert marks.weights_.sum() == pytest.approx(128 * 128)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_rare_phase_keeps_most_of_its_pixels(seed):
    rows, truth = scene(seed=seed)
    marks = Landmarks(0.1, random_state=seed).fit(cube_of(rows))
    assert (truth[marks.pixels_] == 6).sum() > 30


def test_weights_estimate_the_share_of_each_phase():
    rows, truth = scene()
    marks = Landmarks(0.1).fit(cube_of(rows))
    estimated = np.bincount(truth[marks.pixels_], marks.weights_)
    np.testing.assert_allclose(estimated, np.bincount(truth), rtol=0.1, atol=20)


def test_another_seed_another_draw_and_cloning():
    rows, _ = scene(SHAPE)
    marks = Landmarks(100, random_state=1).fit(cube_of(rows))
    assert not np.array_equal(marks.pixels_, Landmarks(100, random_state=2).fit(cube_of(rows)).pixels_)
    np.testing.assert_array_equal(marks.pixels_, clone(marks).fit(cube_of(rows)).pixels_)


def test_equal_pixels_and_a_handful_of_landmarks():
    rows = np.zeros((30, 30, 2), np.float32)
    rows[4, 4] = 5
    marks = Landmarks(10).fit(cube_of(rows))
    assert len(marks.pixels_) == 10
    assert 4 * 30 + 4 in marks.pixels_
    assert marks.weights_.sum() == pytest.approx(900)
    assert len(Landmarks(1).fit(cube_of(rows)).pixels_) == 1


@given(st.integers(1, 300))
def test_weights_add_up_to_the_pixels(n):
    rows = np.random.default_rng(n).normal(size=(20, 15, 3)).astype(np.float32)
    marks = Landmarks(n).fit(cube_of(rows))
    assert len(marks.pixels_) == n
    assert marks.weights_.sum() == pytest.approx(300)


@settings(max_examples=20)
@given(st.lists(st.integers(0, 299), max_size=60), st.integers(1, 320))
def test_some_pixels_are_landmarks_always(always, n):
    rows = np.random.default_rng(n).normal(size=(20, 15, 3)).astype(np.float32)
    rows[4] = np.nan
    valid = np.unique([pixel for pixel in always if pixel // 15 != 4]).astype(int)
    marks = Landmarks(n, always=always).fit(cube_of(rows))
    assert np.isin(valid, marks.pixels_).all()
    assert len(marks.pixels_) == min(285, max(n, valid.size + 1))
    np.testing.assert_array_equal(marks.rows_, rows.reshape(300, 3)[marks.pixels_])
    np.testing.assert_array_equal(marks.weights_[np.isin(marks.pixels_, valid)], 1)
    assert marks.weights_.sum() == pytest.approx(285)


def test_pixels_that_there_are_not_cannot_be_landmarks_always():
    for always in ([-1], [9]):
        with pytest.raises(ParameterError, match="always"):
            Landmarks(2, always=always).fit(cube_of(np.zeros((3, 3, 2))))


def test_line_scans():
    rows = np.random.default_rng(0).normal(size=(300, 2)).astype(np.float32)
    assert len(Landmarks(30).fit(cube_of(rows)).pixels_) == 30


@pytest.mark.parametrize("n", [0, -3, 0.0, 1.5, True, "all"])
def test_numbers_that_are_none(n):
    with pytest.raises(ParameterError, match="n="):
        Landmarks(n).fit(cube_of(np.zeros((3, 3, 2))))


def test_nothing_valid():
    with pytest.raises(DataError):
        Landmarks().fit(cube_of(np.full((3, 3, 2), np.nan)))


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=40), st.integers(1, 2000), st.integers(1, 300))
def test_sharing_out(sizes, n, limit):
    sizes = np.array(sizes)
    kept = np.minimum(sizes, np.maximum(limit, n * sizes // max(1, sizes.sum())))
    n = min(n, int(kept.sum()))
    quotas = share_out(n, sizes, kept)
    assert quotas.sum() == n
    assert (quotas <= kept).all()
    assert (quotas >= np.minimum((n // 2) * sizes // max(1, sizes.sum()), kept)).all()
    if n >= np.count_nonzero(kept) * 2:
        assert (quotas[kept > 0] > 0).all()


def test_draws_share_their_sweeps_and_are_the_same_as_alone():
    """Also where one of them is done sooner: with all pixels after the first sweep."""
    cube, sweeps = cube_of(scene(SHAPE)[0], (7, 50, 10)), []
    together = [Landmarks(n, random_state=seed) for n, seed in ((100, 1), (5000, 2), (150, 3))]

    def traverse(wanted):
        sweeps.append(len(wanted))
        results = iter(sweep(cube, *(visitor for visitors in wanted for visitor in visitors)))
        return [tuple(next(results) for _ in visitors) for visitors in wanted]

    draw_together([marks.steps(cube) for marks in together], traverse)
    assert len(sweeps) == 3
    for marks in together:
        alone = clone(marks).fit(cube)
        for name in ("pixels_", "rows_", "weights_"):
            np.testing.assert_array_equal(getattr(marks, name), getattr(alone, name))
