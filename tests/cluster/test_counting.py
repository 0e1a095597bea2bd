"""How many clusters: the true number on phantoms, scikit-learn's values, bounded and the same each time."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from sklearn.datasets import make_blobs
from sklearn.metrics import silhouette_score

from refold.cluster import criteria, estimate_clusters
from refold.cluster.criteria import elbow, first_within_error
from refold.cube import as_cube
from refold.errors import DataError, ParameterError
from refold.reduce import PCA
from refold.source import synthetic


def scores_of(phantom):
    """Scores that k-means is at home in: of counts, weighted so that their noise is even."""
    return PCA(20, scaling="poisson", solver="scatter").fit(phantom.cube).transform(phantom.cube)


@pytest.mark.parametrize(
    ("make", "phases"), [(synthetic.four_d_stem, 3), (synthetic.eds, 5), (synthetic.four_d_stem, 8)]
)
def test_all_name_the_true_number_of_phases(make, phases):
    size = (32, 32) if make is synthetic.four_d_stem else 512
    phantom = make((64, 64), size, phases=phases - 1, amorphous=1, seed=1)
    found = estimate_clusters(scores_of(phantom), range(2, 11), sample=1000, n_references=3)
    assert found.suggested == {"elbow": phases, "silhouette": phases, "gap": phases}
    assert found.k == phases


def test_curves_are_those_of_scikit_learn():
    rows = make_blobs(300, 4, centers=4, random_state=0)[0]
    curves = estimate_clusters(rows, [2, 3, 4, 7], method=("elbow", "silhouette")).curves
    assert set(curves) == {"inertia", "silhouette"}
    for k in (2, 3, 4, 7):
        judge = KMeans(k, n_init=5, random_state=0).fit(rows)
        np.testing.assert_allclose(curves.inertia.sel(k=k), judge.inertia_, rtol=1e-6)
        np.testing.assert_allclose(curves.silhouette.sel(k=k), silhouette_score(rows, judge.labels_), atol=1e-6)


def test_the_gap_and_its_error_are_those_of_the_paper():
    """One feature, two clusters: references are uniform between the extremes."""
    rows = np.concatenate([np.linspace(0, 1, 40), np.linspace(9, 10, 40)])[:, None]
    found = estimate_clusters(rows, [1, 2, 3], method="gap", n_references=30)
    expected = np.log(80 * 10**2 / 12) - np.log(((rows - rows.mean()) ** 2).sum())
    assert abs(float(found.curves.gap.sel(k=1)) - expected) < 0.05
    assert found.suggested == {"gap": 2}
    few = estimate_clusters(rows, [1, 2, 3], method="gap", n_references=2)
    assert (few.curves.gap_error > 0).all()
    assert float(found.curves.gap_error.sel(k=1)) < 0.2


def test_uniform_rows_are_one_cluster():
    rows = np.random.default_rng(0).uniform(size=(400, 2))
    assert estimate_clusters(rows, range(1, 6), method="gap").k == 1


def test_a_large_first_step_is_no_elbow():
    specimen = make_blobs(400, 5, centers=np.eye(4, 5) * 12, random_state=0)[0]
    vacuum = np.random.default_rng(0).normal(200, 1, (100, 5))
    found = estimate_clusters(np.concatenate([specimen, vacuum]), range(2, 10), method="elbow")
    assert found.k == 5


@given(st.lists(st.floats(0.0, 0.03), min_size=3, max_size=8), st.integers(0, 4))
def test_the_elbow_is_where_steps_become_small(tail, before):
    steps = [0.4] * before + [0.5, *tail]
    logs = dict(enumerate(10 - np.cumsum([0.0, *steps]), start=1))
    assert elbow(logs, range(2, len(logs))) == before + 2


@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(0, 0.5)), min_size=2, max_size=9))
def test_the_rule_of_one_standard_error(curve):
    gaps, errors = ({k: pair[at] for k, pair in enumerate(curve, start=2)} for at in (0, 1))
    counts = list(gaps)[:-1]
    named = first_within_error(gaps, errors, counts)
    assert all(gaps[k] < gaps[k + 1] - errors[k + 1] for k in counts if k < named)
    assert named == counts[-1] or gaps[named] >= gaps[named + 1] - errors[named + 1]


def test_the_same_for_any_chunking_and_bounded_by_the_sample(monkeypatch):
    values = make_blobs(900, 3, centers=3, random_state=2)[0].reshape(30, 30, 3).astype(np.float32)
    values[4, 5, 0] = np.nan
    looked_at = []

    class Spy(criteria.Fits):
        def __init__(self, rows, *rest):
            looked_at.append(len(rows))
            super().__init__(rows, *rest)

    monkeypatch.setattr("refold.cluster.counting.Fits", Spy)
    options = {"sample": 200, "n_references": 3}
    found = [
        estimate_clusters(as_cube(da.from_array(values, chunks=chunks), signal="component"), range(2, 6), **options)
        for chunks in ((30, 30, 3), (7, 11, 2))
    ]
    xr.testing.assert_identical(found[0].curves, found[1].curves)
    assert looked_at == [200, 200]
    assert found[0].k == 3


def test_silhouettes_of_many_rows_are_of_some(monkeypatch):
    monkeypatch.setattr(criteria, "_SILHOUETTE_ROWS", 150)
    rows = make_blobs(2000, 3, centers=[[0, 0, 0], [9, 0, 0], [0, 9, 0]], random_state=2)[0]
    found = estimate_clusters(rows, range(2, 6), method="silhouette")
    judge = silhouette_score(rows, KMeans(3, n_init=5, random_state=0).fit_predict(rows))
    assert abs(float(found.curves.silhouette.sel(k=3)) - judge) < 0.05
    assert found.k == 3


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"k": []}, "k="),
        ({"k": [0, 2]}, "k="),
        ({"method": "knee"}, "knee"),
        ({"method": ()}, "method"),
        ({"sample": 1}, "sample"),
        ({"n_references": 1}, "n_references"),
    ],
)
def test_options_that_cannot_be(options, named):
    with pytest.raises(ParameterError, match=named):
        estimate_clusters(np.arange(20.0).reshape(10, 2), **options)


def test_rows_that_cannot_be():
    with pytest.raises(DataError, match="3 different pixels"):
        estimate_clusters(np.repeat(np.arange(3.0), 10)[:, None])
    with pytest.raises(DataError, match="finite"):
        estimate_clusters(np.full((30, 2), np.nan))
    with pytest.raises(ParameterError, match="shape"):
        estimate_clusters(np.zeros(30))
    with pytest.raises(DataError, match="no pixel"):
        estimate_clusters(as_cube(np.full((4, 4, 2), np.nan), signal="component"))
