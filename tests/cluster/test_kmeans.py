"""K-means as an estimator: scikit-learn's laws, lazy labels, starts, names, and what cannot be."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
import scipy.io
from sklearn.metrics import adjusted_rand_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from refold.cluster import KMeans
from refold.cluster.protocol import Clusterer
from refold.cube import as_cube
from refold.engine import settings
from refold.engine.progress import Progress
from refold.errors import CubeError, DataError, ParameterError, RefoldWarning
from tests.cluster.blobs import BUDGETS, blobs, judged, on_grid
from tests.guards import no_compute


@parametrize_with_checks([KMeans(3, n_init=2)])
def test_scikit_learns_estimator_checks(estimator, check):
    check(estimator)


def test_more_clusters_than_pixels_that_differ() -> None:
    rows = np.repeat(np.arange(3.0)[:, None], 4, axis=0)
    with pytest.warns(RefoldWarning, match="3 of 5 clusters"):
        model = KMeans(5).fit(rows)
    assert model.inertia_ == 0
    assert np.isfinite(model.cluster_centers_).all()
    assert adjusted_rand_score(rows[:, 0], model.labels_) == 1


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


@pytest.fixture
def control_c():
    """Control-C as at a terminal: processes that pytest-xdist starts ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("control_c")
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
