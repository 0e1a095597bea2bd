"""Thinned counts: binomial, and a function of pixel, channel and seed alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from refold.engine import Block, Where
from refold.errors import DataError
from refold.reduce import PCA
from refold.trust.thinning import ThinnedScores, thin


@given(st.integers(0, 2**32), st.permutations(range(12)), st.sampled_from(["uint8", "int32", "float64"]))
def test_what_is_left_does_not_depend_on_the_company(seed, order, dtype):
    counts = np.random.default_rng(seed).integers(0, 90, (12, 5)).astype(dtype)
    pixels = np.arange(100, 112)
    whole = thin(counts, pixels, 0.4, seed)
    order = np.array(order)
    np.testing.assert_array_equal(thin(counts[order], pixels[order], 0.4, seed), whole[order])
    assert (whole >= 0).all()
    assert (whole <= counts).all()


@pytest.mark.parametrize("dose", [0.1, 0.5, 0.93])
@pytest.mark.parametrize("n", [1, 7, 64, 65, 300, 4096, 4097, 100_000])
def test_it_is_binomial(n, dose):
    """Judged by SciPy: Kolmogorov and Smirnov against the distribution, blurred by less than one count."""
    draws = 4000
    left = thin(np.full((draws // 8, 8), n), np.arange(draws // 8), dose, seed=5).ravel()
    blur = np.random.default_rng(0).random(draws)
    exact = stats.binom(n, dose).rvs(draws, random_state=1)
    assert stats.ks_2samp(left + blur, exact + blur[::-1]).pvalue > 1e-3
    assert abs(np.corrcoef(left[:-1], left[1:])[0, 1]) < 0.08


def test_seeds_differ_and_zeros_and_nan_stay():
    counts = np.array([[0.0, np.nan, 40.0, 40.0]] * 50)
    one, other = (thin(counts, np.arange(50), 0.5, seed) for seed in (1, 2))
    assert not one[:, 0].any()
    assert np.isnan(one[:, 1]).all()
    assert (one[:, 2:] != other[:, 2:]).any()


@pytest.mark.parametrize("value", [-1.0, 2.5])
def test_what_is_no_count_is_refused(value):
    with pytest.raises(DataError, match="whole numbers"):
        thin(np.array([[3.0, value]]), np.array([0]), 0.5, 0)


def test_scores_of_copies_come_after_the_runs_own():
    counts = np.random.default_rng(0).poisson(50, (6, 7, 9)).astype(np.uint16)
    model = PCA(n_components=3).fit(counts.reshape(-1, 9))
    block, where = Block(counts, 2), Where((slice(0, 6), slice(0, 7)), (6, 7))
    scores = ThinnedScores(model, 0.5, (3, 4))(block, where)
    assert scores.shape == (6, 7, 3, 3)
    np.testing.assert_array_equal(scores[:, :, 0], model.project(block)["scores"])
    left = thin(counts.reshape(-1, 9), where.pixels, 0.5, 4) / np.float32(0.5)
    np.testing.assert_allclose(scores[:, :, 2].reshape(-1, 3), model.transform(left), rtol=1e-4, atol=1e-3)
