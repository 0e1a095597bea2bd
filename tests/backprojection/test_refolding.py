"""Refolding: row-pure, the identity on landmarks, lazy, with coordinates."""

from __future__ import annotations

import pickle
from types import SimpleNamespace

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from refold.backprojection import Refolder, backproject, refolding
from refold.cube import as_cube
from refold.embed import Landmarks
from refold.engine import ZarrWriter, sweep
from refold.errors import CubeError, ParameterError
from tests.guards import no_compute
from tests.strategies import chunkings, positions

SHAPE = (13, 17)
N_CLUSTERS = 4


def answers_of(n, seed=0):
    """Any answers: those of three clusters and noise, and a fourth cluster that no landmark is labelled with."""
    rng = np.random.default_rng(seed)
    return {
        "labels": rng.integers(-1, N_CLUSTERS - 1, n).astype(np.int32),
        "probability": rng.random(n).astype(np.float32),
        "membership": rng.dirichlet(np.ones(N_CLUSTERS + 1), n)[:, 1:].astype(np.float32),
        "embedding": rng.normal(size=(n, 2)).astype(np.float32),
    }


@pytest.fixture(scope="module")
def scores():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(*SHAPE, 5)).astype(np.float32)
    values[3, 4, 2], values[12, 0, 0] = np.nan, np.inf
    return values


@pytest.fixture(scope="module")
def marks(scores):
    return Landmarks(60).fit(as_cube(scores, signal="component"))


@pytest.fixture(scope="module")
def whole(scores, marks):
    return backproject(as_cube(scores, signal="component"), marks, **answers_of(60))


@given(chunkings(SHAPE), chunkings((5,)))
def test_the_same_bytes_for_any_chunking(scores, marks, whole, chunks, component):
    cube = as_cube(da.from_array(scores, chunks=(*chunks, *component)), signal="component")
    with no_compute():
        lazy = backproject(cube, marks, **answers_of(60))
    assert all(variable.chunks for variable in lazy.values())
    found = lazy.compute()
    for name in whole:
        assert found[name].values.tobytes() == whole[name].values.tobytes(), name


@given(st.integers(0, 2**32 - 1))
def test_the_same_bytes_for_any_batch(scores, marks, whole, seed):
    refolder = pickle.loads(pickle.dumps(Refolder(marks, **answers_of(60))))
    rows, pixels = scores.reshape(-1, 5), np.arange(scores.size // 5)
    order = np.random.default_rng(seed).permutation(pixels.size)
    for part in np.array_split(order, 6):
        found = refolder.answer(rows[part], pixels[part])
        for name in whole:
            flat = whole[name].values.reshape(pixels.size, -1)
            assert found[name].reshape(part.size, -1).tobytes() == flat[part].tobytes()


def test_small_batches_give_the_same(scores, marks, whole, monkeypatch):
    monkeypatch.setattr(refolding, "_BATCH_BYTES", 1)
    again = backproject(as_cube(scores, signal="component"), marks, **answers_of(60))
    xr.testing.assert_identical(again, whole)


def test_a_sweep_writes_the_same(scores, marks, whole):
    import zarr

    refolder = Refolder(marks, **answers_of(60))
    targets = {
        name: zarr.create_array(
            {}, shape=whole[name].shape, chunks=(4, 5, *whole[name].shape[2:]), dtype=whole[name].dtype
        )
        for name in whole
    }
    sweep(as_cube(da.from_array(scores, chunks=(4, 5, 5)), signal="component"), ZarrWriter(targets, refolder))
    for name in whole:
        assert targets[name][:].tobytes() == whole[name].values.tobytes()


def test_landmarks_keep_their_answers(whole, marks):
    for name, answer in answers_of(60).items():
        flat = whole[name].values.reshape(np.prod(SHAPE), *answer.shape[1:])
        np.testing.assert_array_equal(flat[marks.pixels_], answer)


def test_the_identity_where_all_pixels_are_landmarks(scores):
    cube = as_cube(scores, signal="component")
    marks = Landmarks(1.0).fit(cube)
    answers = answers_of(len(marks.pixels_))
    found = backproject(cube, marks, **answers)
    for name, answer in answers.items():
        flat = found[name].values.reshape(np.prod(SHAPE), *answer.shape[1:])
        np.testing.assert_array_equal(flat[marks.pixels_], answer)


def test_equal_rows_with_unequal_answers_stay_apart():
    cube = as_cube(np.zeros((1, 4, 2), np.float32), signal="component")
    marks = Landmarks(1.0).fit(cube)
    assert backproject(cube, marks, labels=[0, 1, -1, 1]).labels.values.tolist() == [[0, 1, -1, 1]]


def test_invalid_pixels(whole):
    for spot in ((3, 4), (12, 0)):
        here = whole.isel(y=spot[0], x=spot[1])
        assert here.labels == -1
        assert here.probability == 0
        assert (here.membership == 0).all()
        assert here.embedding.isnull().all()
    assert int(whole.embedding.isnull().all("latent").sum()) == 2


def test_shares_stay_shares(whole):
    assert whole.membership.dtype == whole.probability.dtype == np.float32
    assert float(whole.membership.sum("cluster").max()) <= 1 + 1e-6
    assert float(whole.membership.min()) >= 0
    assert 0 <= float(whole.probability.min()) <= float(whole.probability.max()) <= 1
    assert (whole.probability.values[whole.labels.values < 0] == 0).sum() > 0


def test_one_neighbour_is_the_nearest_landmark(scores, marks):
    answers = answers_of(60)
    found = backproject(as_cube(scores, signal="component"), marks, neighbours=1, **answers)
    rows = scores.reshape(-1, 5)
    valid = np.isfinite(rows).all(axis=1)
    nearest = ((rows[valid, None] - marks.rows_) ** 2).sum(axis=2).argmin(axis=1)
    np.testing.assert_array_equal(found.labels.values.ravel()[valid], answers["labels"][nearest])
    np.testing.assert_allclose(found.embedding.values.reshape(-1, 2)[valid], answers["embedding"][nearest], rtol=1e-6)


def test_more_neighbours_than_landmarks():
    marks = SimpleNamespace(pixels_=np.array([0, 2]), rows_=np.array([[0.0], [4.0]], np.float32))
    cube = as_cube(np.array([[0.0], [1.0], [4.0], [3.0]]), signal="component")
    assert backproject(cube, marks, labels=[0, 1]).labels.values.tolist() == [0, 0, 1, 1]


def test_noise_votes_and_loses_ties():
    marks = SimpleNamespace(pixels_=np.array([0, 1, 2]), rows_=np.array([[0.0], [2.0], [8.0]], np.float32))
    cube = as_cube(np.array([[0.0], [2.0], [8.0], [1.0], [1.5], [0.5]]), signal="component")
    found = backproject(cube, marks, labels=[-1, 0, 0], probability=[0, 1, 1], neighbours=2).compute()
    assert found.labels.values.tolist() == [-1, 0, 0, 0, 0, -1]
    assert found.probability.values.tolist() == [0.0, 1.0, 1.0, 0.5, 0.75, 0.0]


@given(st.data())
def test_coordinates_come_along(data):
    y, x = data.draw(positions(4)), data.draw(positions(3))
    cube = as_cube(
        da.from_array(np.random.default_rng(0).normal(size=(4, 3, 2)), chunks=(2, 2, 1)),
        signal="component",
        coords={"y": (y, {"units": "nm", "long_name": "slow"}), "x": x},
    )
    marks = Landmarks(1.0).fit(cube)
    found = backproject(cube, marks, **answers_of(12))
    for dim in ("y", "x"):
        xr.testing.assert_identical(found[dim], cube[dim])
        assert found[dim].attrs == cube[dim].attrs


@pytest.mark.parametrize("shape", [(20,), (1, 20), (2, 3, 4)])
def test_any_number_of_navigation_dims(shape):
    cube = as_cube(np.random.default_rng(0).normal(size=(*shape, 3)), signal="component")
    marks = Landmarks(10).fit(cube)
    assert backproject(cube, marks, **answers_of(10)).labels.shape == shape


def test_a_clustering_of_nothing_but_noise(scores, marks):
    cube = as_cube(da.from_array(scores, chunks=(5, 5, 5)), signal="component")
    found = backproject(cube, marks, labels=np.full(60, -1), membership=np.zeros((60, 0))).compute()
    assert (found.labels == -1).all()
    assert found.membership.shape == (*SHAPE, 0)


@pytest.mark.parametrize(
    ("answers", "named"),
    [
        ({"labels": np.zeros(59, int)}, "labels"),
        ({"labels": np.zeros((60, 1), int)}, "labels"),
        ({"labels": np.zeros(60, int), "probability": np.zeros(6)}, "probability"),
        ({"labels": np.full(60, 3), "membership": np.zeros((60, 2))}, "membership"),
        ({"labels": np.zeros(60, int), "neighbours": 0}, "neighbours"),
    ],
)
def test_answers_that_are_not_the_landmarks(answers, named, marks):
    with pytest.raises(ParameterError, match=named):
        Refolder(marks, **answers)


def test_scores_that_are_not_the_landmarks(scores, marks):
    with pytest.raises(CubeError, match="4 components"):
        backproject(as_cube(scores[..., :4], signal="component"), marks, labels=np.zeros(60, int)).compute()
    with pytest.raises(CubeError, match="signal"):
        backproject(
            as_cube(scores[None], signal=("ky", "kx"), dims=("z", "y", "ky", "kx")), marks, labels=np.zeros(60, int)
        )
