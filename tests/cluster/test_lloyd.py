"""The steps of k-means: scikit-learn's, however a cube is cut; each chunk read once an iteration, or once."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import sklearn.cluster
import zarr
from hypothesis import given
from hypothesis import strategies as st

from refold.cluster import KMeans
from refold.cluster.lloyd import Lloyd
from refold.cube import as_cube, unfold
from refold.engine import settings
from refold.engine.progress import Progress
from refold.source import open
from tests.cluster.blobs import BUDGETS, blobs, judged, on_grid
from tests.guards import count_reads, limit_memory
from tests.strategies import cubes


@given(
    cubes(min_pixels=8, max_side=9, dtypes=["float32", "float64"]),
    st.integers(1, 6),
    st.sampled_from([0, 1e-4]),
    st.data(),
)
def test_equals_scikit_learn_for_any_chunking(cube, k: int, tol: float, data) -> None:
    rows = unfold(cube).values
    order = np.random.default_rng(data.draw(st.integers(0, 99))).permutation(len(rows))
    first = rows[order[:k]].astype(float)
    judge = judged(rows, first, tol=tol, max_iter=20)
    with settings(memory=data.draw(st.sampled_from([*BUDGETS, "1MB"]))):
        model = KMeans(k, init=first, tol=tol, max_iter=20).fit(cube)
    np.testing.assert_array_equal(model.labels_.values.ravel(), judge.labels_)
    assert model.inertia_ == pytest.approx(judge.inertia_, rel=1e-6, abs=1e-9)
    assert model.n_iter_ == judge.n_iter_
    np.testing.assert_allclose(model.cluster_centers_.values.reshape(k, -1), judge.cluster_centers_, atol=1e-6)


@pytest.mark.parametrize("memory", BUDGETS)
@pytest.mark.parametrize("dtype", ["int16", "int32", "float32", "float64"])
@pytest.mark.parametrize("k", [1, 4, 13])
def test_steps_are_those_of_scikit_learn(memory, dtype: str, k: int) -> None:
    rows = blobs(dtype=dtype)
    judge = judged(rows, rows[:k].astype(float), tol=0)
    with settings(memory=memory):
        model = KMeans(k, init=rows[:k], tol=0).fit(on_grid(rows, chunks={"y": 7, "x": 11, "energy": 3}))
    np.testing.assert_array_equal(model.labels_.values.ravel(), judge.labels_)
    assert model.inertia_ == pytest.approx(judge.inertia_, rel=1e-9)
    assert model.n_iter_ == judge.n_iter_
    assert model.converged_
    assert model.reassigned_[0] == len(rows)
    assert model.reassigned_[-1] == 0


@pytest.mark.parametrize("memory", BUDGETS)
def test_weights_as_in_scikit_learn(memory) -> None:
    rows = blobs()
    weights = np.random.default_rng(1).integers(0, 4, len(rows)).astype(float)
    judge = sklearn.cluster.KMeans(5, init=rows[:5], n_init=1).fit(rows.astype(float), sample_weight=weights)
    with settings(memory=memory):
        model = KMeans(5, init=rows[:5]).fit(on_grid(rows, chunks={"y": 6}), weights=weights.reshape(20, 30))
    np.testing.assert_array_equal(model.labels_.values.ravel(), judge.labels_)
    assert model.inertia_ == pytest.approx(judge.inertia_, rel=1e-6)
    assert model.n_iter_ == judge.n_iter_


@pytest.mark.parametrize("memory", BUDGETS)
def test_empty_clusters_go_to_the_farthest_pixels(memory) -> None:
    rows = blobs(dtype="float64")
    first = np.concatenate([rows[:3], [rows[0] + 1e4]])
    judge = judged(rows, first)
    with settings(memory=memory):
        model = KMeans(4, init=first).fit(on_grid(rows, chunks={"y": 3, "x": 8}))
    assert (np.bincount(model.labels_.values.ravel()) > 0).all()
    np.testing.assert_array_equal(model.labels_.values.ravel(), judge.labels_)
    assert model.inertia_ == pytest.approx(judge.inertia_, rel=1e-9)


@given(st.integers(0, 50), st.sampled_from(["float32", "int16"]), st.floats(0, 1e5))
def test_labels_are_those_of_double_precision(seed: int, dtype: str, offset: float) -> None:
    """Also far from the origin, and for centres that lie close together."""
    rng = np.random.default_rng(seed)
    rows = (rng.normal(0, 20, (300, 12)) + np.floor(offset) * (dtype == "float32")).astype(dtype)
    centres = rows[:4] + rng.normal(0, 1e-3, (4, 12))
    centres[3] = centres[2] + 1e-7
    model = KMeans(4, init=centres, max_iter=1).fit(rows)
    model._centres = centres
    exact = ((rows.astype(float) - centres[:, None]) ** 2).sum(axis=2)
    found = model.predict(rows)
    best = np.take_along_axis(exact, found[None], axis=0)[0]
    assert (best <= exact.min(axis=0) * (1 + 1e-13)).all()
    np.testing.assert_allclose(model.transform(rows), np.sqrt(exact).T, rtol=1e-6)


def as_bytes(model: KMeans) -> tuple[bytes, bytes, float, int]:
    centres, labels = np.asarray(model.cluster_centers_), np.asarray(model.labels_)
    return centres.tobytes(), labels.tobytes(), model.inertia_, model.n_iter_


@pytest.mark.parametrize("init", ["k-means||", "k-means++"])
def test_the_same_bytes_on_any_threads_kept_or_not(init: str) -> None:
    cube = on_grid(blobs(), chunks={"y": 4, "x": 9})
    found = set()
    for workers in (1, 3):
        for keep in (True, False):
            with settings(memory="50MB", workers=workers):
                model = KMeans(6, init=init, n_init=2)
                starts = model._starts(_entered(model, cube), None)
                run = Lloyd(cube, 6, 2, 300, 1e-4, keep=keep).run(starts)
            found.add((run.start.centres.tobytes(), run.start.labels.tobytes(), run.inertia, run.moved))
    assert len(found) == 1


def _entered(model: KMeans, cube):
    return model._enter(cube, reset=True)


@pytest.mark.slow
def test_the_same_bytes_on_processes(tmp_path, two_processes) -> None:
    path = tmp_path / "scan.zarr"
    array = zarr.create_array(path, shape=(20, 30, 7), chunks=(5, 10, 7), dtype="f4")
    array[:] = blobs().reshape(20, 30, 7)
    cube = as_cube(da.from_zarr(str(path)), signal="energy")
    weights = np.random.default_rng(0).random((20, 30))
    with settings(workers=2, memory="100MB"):
        here = KMeans(5, n_init=2, max_iter=6).fit(cube, weights=weights)
    with settings(client=two_processes, workers=2, memory="100MB"):
        there = KMeans(5, n_init=2, max_iter=6).fit(cube, weights=weights)
    assert as_bytes(here) == as_bytes(there)


@pytest.mark.parametrize(("keep", "settled"), [(False, True), (False, False), (True, True)])
def test_chunks_are_read_once_an_iteration_or_once(tmp_path, keep: bool, settled: bool) -> None:
    path = tmp_path / "scan.zarr"
    array = zarr.create_array(
        path, shape=(20, 30, 7), chunks=(5, 10, 7), dtype="f4", dimension_names=["y", "x", "energy"]
    )
    array[:] = blobs().reshape(20, 30, 7)
    cube, first = open(path), blobs()[:5].astype(float)
    with count_reads() as reads:
        lloyd = Lloyd(cube, 5, 2, 300 if settled else 3, 0.0, keep=keep)
        run = lloyd.run([first, first + 1])
    iterations = len(run.moved)
    assert (run.moved[-1] == 0) is settled
    assert set(reads.of_chunks.values()) == ({1} if keep else {iterations} if settled else {iterations + 1})


def test_several_starts_share_their_sweeps() -> None:
    cube, sweeps = on_grid(blobs(), chunks={"y": 5}), {}
    for n_init in (1, 4):
        progress = Progress()
        with settings(progress=progress, memory="50MB"):
            model = KMeans(5, n_init=n_init, tol=0, max_iter=5).fit(cube)
        sweeps[n_init] = progress.tally.sweeps
        assert model.n_iter_ == 5
    assert sweeps[4] == sweeps[1] == 4 + 5 + 1  # to start, to iterate, and for the labels of the last centres


def test_the_best_of_several_starts_is_kept() -> None:
    cube = on_grid(blobs(), chunks={"y": 5})
    several = [blobs(seed=seed)[:5].astype(float) for seed in range(4)]
    alone = [KMeans(5, init=first).fit(cube).inertia_ for first in several]
    assert Lloyd(cube, 5, 4, 300, 1e-4).run(several).inertia == pytest.approx(min(alone), rel=1e-12)
    assert min(alone) < max(alone)


MEASURED = """
import sys, numpy as np, dask.array as da, refold
from refold.engine import settings
values = da.random.default_rng(0).random((400, 500, 100), chunks=(50, 50, 100), dtype="f4")
cube = refold.as_cube(values, signal="energy")
first = np.random.default_rng(0).random((4, 100))
with settings(memory=sys.argv[1], workers=2):
    refold.KMeans(4, init=first, max_iter=2).fit(refold.as_cube(np.ones((4, 4, 100), "f4") * first[0], signal="energy"))
    if sys.argv[2] == "fit":
        refold.KMeans(4, init=first, max_iter=3).fit(cube)
"""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_memory_stays_within_the_budget() -> None:
    """80 MB, of which blocks are kept as far as the budget goes."""
    base = limit_memory(2**30, MEASURED, "60MB", "import", timeout=100).peak
    limit_memory(base + 60_000_000, MEASURED, "60MB", "fit", timeout=100)
