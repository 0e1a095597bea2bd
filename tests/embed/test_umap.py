"""UMAP as an estimator: deterministic, its parameters passed on, degenerate inputs. Few fits: they compile."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import make_blobs
from sklearn.neighbors import KNeighborsClassifier

from refold.embed import UMAP
from refold.errors import ParameterError


class Recorder:
    """A backend that writes down what it is asked."""

    name, reason = "fake", "a test"

    def umap(self, rows, parameters):
        self.rows, self.parameters = rows, dict(parameters)
        return np.zeros((len(rows), parameters["n_components"]), np.float32)


@pytest.fixture(scope="module")
def blobs():
    rows, truth = make_blobs(150, 8, centers=3, random_state=0)
    return rows.astype(np.float32), truth


@pytest.fixture(scope="module")
def model(blobs):
    return UMAP(n_neighbors=10, n_epochs=60).fit(blobs[0])


def test_keeps_neighbourhoods(model, blobs):
    assert model.embedding_.shape == (150, 2)
    assert model.embedding_.dtype == np.float32
    assert KNeighborsClassifier(3).fit(model.embedding_, blobs[1]).score(model.embedding_, blobs[1]) > 0.98


def test_the_same_bytes_again(model, blobs):
    assert clone(model).fit_transform(blobs[0]).tobytes() == model.embedding_.tobytes()


def test_densmap_in_three_dimensions(blobs):
    embedding = UMAP(3, n_neighbors=10, n_epochs=20, densmap=True).fit_transform(blobs[0])
    assert embedding.shape == (150, 3)
    assert np.isfinite(embedding).all()


@pytest.mark.slow
@pytest.mark.parametrize("init", ["spectral", "random"])
def test_other_starts_and_metrics_go_to_the_library(blobs, init):
    assert np.isfinite(UMAP(n_neighbors=5, n_epochs=5, init=init, metric="cosine").fit_transform(blobs[0][:60])).all()


def test_piles_of_equal_rows():
    rows = np.repeat(np.eye(3, dtype=np.float32), 20, axis=0)
    assert np.isfinite(UMAP(n_neighbors=5, n_epochs=5).fit_transform(rows)).all()


def test_all_parameters_pass(blobs):
    backend = Recorder()
    UMAP(3, n_neighbors=7, min_dist=0.2, densmap=True, random_state=5, repulsion_strength=2.0, backend=backend).fit(
        blobs[0]
    )
    told = backend.parameters
    init = told.pop("init")
    assert told == {
        "n_components": 3,
        "n_neighbors": 7,
        "n_epochs": 100,
        "min_dist": 0.2,
        "densmap": True,
        "random_state": 5,
        "repulsion_strength": 2.0,
    }
    assert init.shape == (150, 3)
    assert np.abs(init).max() == pytest.approx(10, abs=0.01)


def test_parameters_are_seen_by_clone_and_set():
    model = UMAP(n_epochs=11).set_params(n_epochs=12, min_dist=0.3, spread=2.0)
    params = clone(model).get_params()
    assert (params["n_epochs"], params["min_dist"], params["spread"]) == (12, 0.3, 2.0)


@pytest.mark.parametrize("n_rows", [1, 2, 3])
def test_fewer_rows_than_neighbours_is_said(n_rows, blobs):
    model = UMAP(n_neighbors=15, backend=Recorder())
    with pytest.warns(UserWarning, match=f"{n_rows} rows"):
        embedding = model.fit_transform(blobs[0][:n_rows])
    assert embedding.shape == (n_rows, 2)
    assert np.isfinite(embedding).all()
    assert model.n_neighbors_ == max(1, n_rows - 1)


def test_rows_that_are_all_equal():
    assert (UMAP(3).fit_transform(np.full((40, 2), 7.0)) == 0).all()


def test_fewer_features_than_latent_dims(blobs):
    backend = Recorder()
    UMAP(3, backend=backend).fit(blobs[0][:, :1])
    assert backend.parameters["init"].shape == (150, 3)


@pytest.mark.parametrize("options", [{"n_components": 0}, {"n_neighbors": 1}, {"n_neighbours": 9}])
def test_options_that_cannot_be(options, blobs):
    with pytest.raises(ParameterError, match=next(iter(options))):
        UMAP(**options).fit(blobs[0])
