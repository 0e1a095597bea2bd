"""K-means: the steps of scikit-learn's, on any cube, however it is cut; each chunk read once an iteration, or once."""

from __future__ import annotations

import os
import signal

import dask.array as da
import numpy as np
import pytest
import scipy.io
import sklearn.cluster
import zarr
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from refold.cluster import KMeans
from refold.cluster.lloyd import Lloyd
from refold.cluster.protocol import Clusterer
from refold.cube import as_cube, unfold
from refold.engine import settings
from refold.engine.progress import Progress
from refold.errors import CubeError, DataError, ParameterError, RefoldWarning
from refold.source import open
from tests.guards import count_reads, limit_memory, no_compute
from tests.strategies import cubes

BUDGETS = [None, "40kB"]  # that all blocks are kept in, and that hardly any are


def blobs(n: int = 600, features: int = 7, clusters: int = 5, seed: int = 0, dtype: str = "float32") -> np.ndarray:
    """Rows around some points, near enough for a few doubts."""
    rng = np.random.default_rng(seed)
    return (
        rng.normal(50, 9, (clusters, features))[rng.integers(clusters, size=n)] + rng.normal(0, 6, (n, features))
    ).astype(dtype)


def on_grid(rows: np.ndarray, grid=(20, 30), chunks=None):
    cube = as_cube(rows.reshape(*grid, -1), signal="energy")
    return cube if chunks is None else cube.chunk(chunks)


def judged(rows, first, **options):
    """What scikit-learn finds, in double precision."""
    return sklearn.cluster.KMeans(len(first), init=first, n_init=1, **options).fit(rows.astype(float))


@parametrize_with_checks([KMeans(3), KMeans(3, init="k-means++", n_init=2)])
def test_scikit_learns_estimator_checks(estimator, check):
    check(estimator)


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


def test_more_clusters_than_pixels_that_differ() -> None:
    rows = np.repeat(np.arange(3.0)[:, None], 4, axis=0)
    with pytest.warns(RefoldWarning, match="3 of 5 clusters"):
        model = KMeans(5).fit(rows)
    assert model.inertia_ == 0
    assert np.isfinite(model.cluster_centers_).all()
    assert adjusted_rand_score(rows[:, 0], model.labels_) == 1


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


def test_the_same_bytes_on_processes(tmp_path) -> None:
    distributed = pytest.importorskip("distributed")
    path = tmp_path / "scan.zarr"
    array = zarr.create_array(path, shape=(20, 30, 7), chunks=(5, 10, 7), dtype="f4")
    array[:] = blobs().reshape(20, 30, 7)
    cube = as_cube(da.from_zarr(str(path)), signal="energy")
    weights = np.random.default_rng(0).random((20, 30))
    options = {"threads_per_worker": 1, "processes": True, "dashboard_address": None, "protocol": "tcp://"}
    with settings(workers=2, memory="100MB"):
        here = KMeans(5, n_init=2, max_iter=6).fit(cube, weights=weights)
    with (
        distributed.LocalCluster(2, **options) as cluster,
        distributed.Client(cluster) as client,
        settings(client=client, workers=2, memory="100MB"),
    ):
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


@pytest.mark.parametrize("init", ["k-means||", "k-means++"])
def test_starts_do_not_depend_on_chunks_and_find_what_is_apart(init: str) -> None:
    rng = np.random.default_rng(0)
    truth = rng.choice(6, 600, p=[0.4, 0.3, 0.2, 0.05, 0.04, 0.01])
    rows = rng.normal(0, 100, (6, 7))[truth] + rng.normal(0, 1, (600, 7))
    found = [
        KMeans(6, init=init).fit(on_grid(rows, chunks=chunks)).labels_.values
        for chunks in ({"y": 20}, {"y": 3, "x": 7})
    ]
    np.testing.assert_array_equal(*found)
    assert adjusted_rand_score(truth, found[0].ravel()) == 1
    assert (np.diff(np.bincount(found[0].ravel())) <= 0).all()


def test_starting_again_from_found_centres() -> None:
    cube = on_grid(blobs())
    once = KMeans(5, tol=0).fit(cube)
    again = KMeans(5, init=once.cluster_centers_, tol=0).fit(cube)
    assert again.n_iter_ <= 2
    np.testing.assert_array_equal(again.labels_, once.labels_)


def test_pixels_that_are_not_finite() -> None:
    rows = blobs()
    rows[7, 2], rows[100, 0], rows[101] = np.nan, np.inf, -np.inf
    bad = [7, 100, 101]
    good = np.setdiff1d(np.arange(600), bad)
    cube = on_grid(rows, chunks={"y": 6, "x": 10})
    model = KMeans(5, init=rows[:5]).fit(cube)
    judge = judged(rows[good], rows[:5].astype(float))
    labels = model.labels_.values.ravel()
    assert (labels[bad] == -1).all()
    np.testing.assert_array_equal(labels[good], judge.labels_)
    np.testing.assert_array_equal(model.predict(cube), model.labels_)
    assert np.isnan(model.transform(cube).values.reshape(600, -1)[bad]).all()
    assert (model.probabilities_.values.ravel()[bad] == 0).all()
    assert np.isfinite(KMeans(5).fit(cube).inertia_)


def test_nothing_finite() -> None:
    cube = on_grid(np.full((600, 7), np.nan, np.float32))
    for init in ("k-means||", "k-means++", np.eye(5, 7)):
        with pytest.raises(DataError):
            KMeans(5, init=init).fit(cube)


def test_prediction_is_lazy_and_row_pure() -> None:
    cube = on_grid(blobs(), chunks={"y": 7, "x": 11, "energy": 4}).assign_attrs(units="counts")
    cube = cube.assign_coords(y=("y", np.arange(20)[::-1] * 0.5, {"units": "nm", "role": "navigation"}))
    model = KMeans(5).fit(cube)
    with no_compute():
        labels, distances, membership = model.predict(cube), model.transform(cube), model.membership_
    assert labels.dims == ("y", "x")
    assert distances.dims == membership.dims == ("y", "x", "cluster")
    assert distances.attrs["units"] == "counts"
    assert labels.y.identical(cube.y)
    np.testing.assert_array_equal(labels, model.labels_)
    np.testing.assert_array_equal(distances.argmin("cluster"), labels)
    np.testing.assert_array_equal(membership.argmax("cluster"), labels)
    np.testing.assert_array_equal(model.predict(cube.chunk({"y": 1, "x": 2})), labels)
    np.testing.assert_array_equal(model.predict(cube[3:4, 5:6]), labels[3:4, 5:6])


def test_centres_have_the_coordinates_of_the_signal() -> None:
    rows = blobs(features=12)
    cube = as_cube(
        rows.reshape(20, 30, 3, 4), signal=("ky", "kx"), coords={"ky": (np.arange(3) - 1.0, {"units": "1/nm"})}
    )
    model = KMeans(4).fit(cube)
    assert model.cluster_centers_.dims == ("cluster", "ky", "kx")
    assert model.cluster_centers_.ky.identical(cube.ky)
    for cluster in range(4):
        mean = cube.where(model.labels_ == cluster).mean(["y", "x"])
        np.testing.assert_allclose(model.cluster_centers_[cluster], mean, rtol=1e-5)
    again = KMeans(4, init=model.cluster_centers_).fit(cube)
    np.testing.assert_array_equal(again.labels_, model.labels_)


@pytest.mark.parametrize("memory", BUDGETS)
def test_control_c_gives_the_last_whole_iteration(memory) -> None:
    rows = blobs(clusters=30, n=3000)
    cube = on_grid(rows, (50, 60), chunks={"y": 5, "x": 10})
    whole = KMeans(8, init=rows[:8], tol=0, max_iter=4).fit(cube)

    class Stopping(Progress):
        def start(self, label, n_blocks, n_bytes):
            super().start(label, n_blocks, n_bytes)
            if label.startswith("k-means 5"):
                os.kill(os.getpid(), signal.SIGINT)

    with settings(memory=memory, progress=Stopping()), pytest.warns(RefoldWarning, match="after 4 whole iterations"):
        model = KMeans(8, init=rows[:8], tol=0).fit(cube)
    assert not model.converged_
    assert model.n_iter_ == 4
    np.testing.assert_array_equal(model.reassigned_, whole.reassigned_)
    np.testing.assert_array_equal(model.predict(cube), model.labels_)
    exact = ((rows - model.cluster_centers_.values[model.labels_.values.ravel()]) ** 2).sum()
    assert model.inertia_ == pytest.approx(exact, rel=1e-5)


def test_progress_tells_what_was_reassigned() -> None:
    told = []

    class Telling(Progress):
        def start(self, label, n_blocks, n_bytes):
            told.append(label)

    with settings(progress=Telling()):
        model = KMeans(5, init=blobs()[:5], tol=0).fit(on_grid(blobs()))
    assert told[:3] == ["k-means 1", "k-means 2, 600 moved", f"k-means 3, {model.reassigned_[1]} moved"]


def test_rows_of_landmarks_as_other_clusterers_take_them() -> None:
    rows, weights = blobs(), np.ones(600)
    plain = KMeans(5).fit(rows)
    weights[plain.labels_ == 4] = 1000
    model = KMeans(5, init="k-means++", n_init=5).fit(rows, weights=weights)
    assert isinstance(model, Clusterer)
    assert (np.diff(np.bincount(model.labels_, weights)) <= 0).all()
    assert model.membership_.dtype == model.probabilities_.dtype == np.float32
    np.testing.assert_array_equal(model.membership_.argmax(axis=1), model.labels_)


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


@pytest.mark.filterwarnings("ignore")
def test_memory_stays_within_the_budget() -> None:
    """80 MB, of which blocks are kept as far as the budget goes."""
    base = limit_memory(2**30, MEASURED, "60MB", "import", timeout=100).peak
    limit_memory(base + 60_000_000, MEASURED, "60MB", "fit", timeout=100)


@pytest.mark.parametrize(
    "options",
    [
        {"n_clusters": 0},
        {"n_clusters": 2.5},
        {"n_init": 0},
        {"max_iter": 0},
        {"tol": -1.0},
        {"init": "best"},
        {"init": np.zeros((3, 2))},
        {"init": np.full((5, 7), np.nan), "n_clusters": 5},
    ],
)
def test_options_that_cannot_be(options) -> None:
    with pytest.raises(ParameterError, match=next(iter(options))):
        KMeans(**options).fit(blobs())


def test_data_that_cannot_be() -> None:
    with pytest.raises(ParameterError, match="n_samples=5"):
        KMeans(6).fit(blobs(5))
    for weights in (np.ones(3), np.full(600, -1.0), np.full(600, np.nan)):
        with pytest.raises(ParameterError, match="weights"):
            KMeans(2).fit(blobs(), weights=weights)
    with pytest.raises(DataError):
        KMeans(2).fit(blobs(), weights=np.zeros(600))
    with pytest.raises(CubeError, match="those fitted"):
        KMeans(2).fit(on_grid(blobs())).predict(on_grid(blobs())[..., :3])


def test_recorded_scenes_as_well_as_in_memory(shared_data) -> None:
    """Adjusted Rand index with what is known of the ground, and what scikit-learn reaches: 0.59 and 0.22."""
    samson = scipy.io.loadmat(shared_data / "hyperspectral/samson/samson_1.mat")["V"].T
    cover = scipy.io.loadmat(shared_data / "hyperspectral/samson/end3.mat")["A"].argmax(axis=0)
    standard = (samson - samson.mean(axis=0)) / samson.std(axis=0)
    model = KMeans(3).fit(on_grid(standard, (95, 95), {"y": 20, "x": 30}))
    assert adjusted_rand_score(cover, model.labels_.values.ravel()) > 0.585
    pines = np.load(shared_data / "hyperspectral/indian_pines/Indian_pines_corrected.npy")
    classes = np.load(shared_data / "hyperspectral/indian_pines/Indian_pines_gt.npy")
    labels = KMeans(17).fit(as_cube(pines, signal="wavelength")).labels_.values
    assert adjusted_rand_score(classes[classes > 0], labels[classes > 0]) > 0.21
