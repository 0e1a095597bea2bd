"""Contingency tables of maps of any size, and what follows from them: judged by scikit-learn."""

from __future__ import annotations

from itertools import permutations

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score, confusion_matrix, jaccard_score

from refold.errors import CubeError
from refold.trust.matching import INVALID, adjusted_rand_index, contingency, jaccard, match, tabulate
from tests.strategies import chunkings

labellings = st.integers(1, 60).flatmap(
    lambda n: st.tuples(*[st.lists(st.integers(-1, 4), min_size=n, max_size=n)] * 2)
)


@given(labellings)
def test_the_index_is_that_of_scikit_learn(pair):
    one, other = pair
    assert adjusted_rand_index(tabulate(one, other, 5, 5)) == adjusted_rand_score(one, other)


def test_the_index_of_more_pixels_than_pairs_fit_into_64_bits():
    big = 10**12 * np.array([[3, 1], [1, 3]])
    assert adjusted_rand_index(big) == pytest.approx(0.25)


@given(labellings)
def test_a_table_counts_noise_last(pair):
    one, other = pair
    np.testing.assert_array_equal(tabulate(one, other, 5, 5), confusion_matrix(one, other, labels=[0, 1, 2, 3, 4, -1]))


@given(labellings, st.permutations(range(5)))
def test_new_names_of_the_same_clusters_are_found_out(pair, order):
    labels = np.array(pair[0])
    renamed = np.array([*order, -1])[labels]
    names = match(tabulate(labels, renamed, 5, 5))
    np.testing.assert_array_equal(names[renamed], labels)


@given(labellings)
def test_no_other_names_agree_on_more(pair):
    one, other = (np.array(labels) for labels in pair)
    names = match(tabulate(one, other, 5, 5))
    best = max(np.sum((np.array([*order, -1])[other] == one) & (one >= 0)) for order in permutations(range(5)))
    assert np.sum((names[other] == one) & (one >= 0)) == best
    assert names[-1] == -1
    assert len(set(names[:-1])) == 5


@given(labellings)
def test_jaccard_is_that_of_scikit_learn(pair):
    one, other = (np.array(labels) for labels in pair)
    table = tabulate(one, other, 5, 5)
    names = match(table)
    found = jaccard(table, names)
    for cluster in range(5):
        if (one == cluster).any():
            assert found[cluster] == pytest.approx(jaccard_score(one == cluster, names[other] == cluster))
        else:
            assert np.isnan(found[cluster])


@settings(max_examples=8)
@given(chunkings((6, 7)), chunkings((7, 6)), st.integers(0, 99))
def test_tables_of_lazy_maps_do_not_depend_on_chunks(chunks, others, seed):
    rng = np.random.default_rng(seed)
    one, other = rng.integers(INVALID, 3, (6, 7)), rng.integers(-1, 2, (7, 6))
    valid = one != INVALID
    table = contingency(
        xr.DataArray(da.from_array(one, chunks=chunks), dims=("y", "x")),
        xr.DataArray(da.from_array(other, chunks=others), dims=("x", "y")),
        3,
        2,
    )
    np.testing.assert_array_equal(table, tabulate(one[valid], other.T[valid], 3, 2))


def test_maps_of_other_grids_are_refused():
    maps = [xr.DataArray(np.zeros(shape, int), dims=("y", "x")) for shape in ((3, 4), (4, 3))]
    with pytest.raises(CubeError, match="one grid"):
        contingency(*maps, 1, 1)
