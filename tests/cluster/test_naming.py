"""Names of clusters: by size, and the same however they came."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from refold.cluster import order_by_size


@given(st.lists(st.integers(-1, 6), min_size=1, max_size=60), st.permutations(range(7)))
def test_sizes_descend_and_old_names_do_not_matter(labels, names):
    labels = np.array(labels)
    renamed, order = order_by_size(labels)
    sizes = np.bincount(renamed[renamed >= 0], minlength=order.size)
    assert (np.diff(sizes) <= 0).all()
    assert (sizes > 0).all()
    assert ((renamed < 0) == (labels < 0)).all()
    assert adjusted_rand_score(labels, renamed) == 1.0
    np.testing.assert_array_equal(order[renamed[renamed >= 0]], labels[labels >= 0])
    other = np.where(labels < 0, -1, np.array(names)[labels])
    np.testing.assert_array_equal(order_by_size(other)[0], renamed)


def test_weights_decide_which_is_larger():
    assert order_by_size([0, 0, 0, 1], [1, 1, 1, 9])[0].tolist() == [1, 1, 1, 0]


def test_nothing_but_noise():
    renamed, order = order_by_size([-1, -1])
    assert renamed.tolist() == [-1, -1]
    assert order.size == 0
