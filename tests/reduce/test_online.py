"""Any estimator with partial_fit through one door: one sweep, all pixels once, its own scores."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import sklearn.decomposition
import xarray as xr
from sklearn.utils.estimator_checks import parametrize_with_checks

from refold.cube import as_cube
from refold.errors import DataError, ParameterError, StoreError
from refold.reduce import PCA, Online
from refold.source import synthetic
from tests.guards import count_reads, no_compute


class Watching:
    """Notes what it is shown; no estimator of scikit-learn's, as HyperSpy's are none."""

    def __init__(self) -> None:
        self.seen: list[np.ndarray] = []

    def partial_fit(self, rows: np.ndarray) -> None:
        self.seen.append(rows.copy())

    @property
    def components_(self) -> np.ndarray:
        return np.eye(self.seen[0].shape[1])[:2]

    def transform(self, rows: np.ndarray) -> np.ndarray:
        return rows[:, :2]


@parametrize_with_checks([Online(sklearn.decomposition.IncrementalPCA(1))])
def test_scikit_learns_own_checks(estimator, check) -> None:
    check(estimator)


@pytest.mark.parametrize("seed", [None, 0])
@pytest.mark.parametrize("pixels", [(7, 30), (1, 5), (9, 51)])
def test_every_valid_pixel_is_shown_once(pixels: tuple[int, int], seed: int | None) -> None:
    array = np.arange(np.prod(pixels) * 3, dtype=float).reshape(*pixels, 3)
    array[0, 2, 1] = np.nan
    cube = as_cube(array, signal="energy").chunk({"y": 2})
    estimator = Watching()
    model = Online(estimator, batch_size=10, random_state=seed).fit(cube)
    assert not estimator.seen
    shown = np.concatenate(model.estimator_.seen)
    valid = np.delete(array.reshape(-1, 3), 2, axis=0)
    np.testing.assert_array_equal(shown if seed is None else np.unique(shown, axis=0), valid)
    assert min(map(len, model.estimator_.seen)) >= min(10, len(valid))
    assert model.n_batches_ == len(model.estimator_.seen)
    again = Online(Watching(), batch_size=10, random_state=seed).fit(as_cube(array, signal="energy").chunk({"y": 3}))
    np.testing.assert_array_equal(np.concatenate(again.estimator_.seen), shown)
    scores = model.transform(cube)
    np.testing.assert_array_equal(scores.values, np.where(np.isnan(array).any(-1)[..., None], np.nan, array[..., :2]))
    np.testing.assert_allclose(model.model(cube).values[0, 1], [*array[0, 1, :2], 0])
    np.testing.assert_allclose(model.residual(cube).values[0, 1], array[0, 1, 2] / np.sqrt(3))


def test_one_sweep_then_lazy(tmp_path: Path) -> None:
    phantom = synthetic.eds((40, 40), 64, phases=3, counts=300, chunks=(10, 20))
    phantom.cube.to_dataset(name="scan").to_zarr(tmp_path / "scan.zarr")
    with count_reads() as reads:
        cube = xr.open_zarr(tmp_path / "scan.zarr").scan
        reads.reset()
        model = Online(sklearn.decomposition.IncrementalPCA(3)).fit(cube)
        assert set(reads.under("/scan/").values()) == {1}
        with no_compute():
            scores, denoised = model.transform(cube), model.model(cube, 2)
    assert scores.dims == ("y", "x", "component")
    assert denoised.dims == cube.dims
    exact = PCA(3).fit(cube)
    assert np.all(np.abs(np.sum(exact.components_ * model.components_, axis=1)) > 0.999)
    np.testing.assert_allclose(model.residual(cube).mean(), exact.residual(cube).mean(), rtol=1e-3)
    assert model.variables().components.dims == ("component", "energy")


def test_mini_batch_nmf_finds_sources() -> None:
    phantom = synthetic.eds((48, 48), 64, phases=3, amorphous=0, counts=1000, background=0, grid=0, mixing=1.0)
    model = Online(sklearn.decomposition.MiniBatchNMF(3, random_state=0)).fit(phantom.cube)
    assert (model.components_ >= 0).all()
    assert np.corrcoef(np.vstack([phantom.sources[2:], model.components_]))[:3, 3:].max(axis=1).min() > 0.95


def test_hyperspys_robust_pca() -> None:
    rpca = pytest.importorskip("hyperspy.learn._rpca")
    hyperspy = pytest.importorskip("hyperspy.api")
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(60, 2)) @ rng.normal(size=(2, 12))
    rows[rng.random(rows.shape) < 0.02] += 30
    with mock.patch.object(hyperspy.preferences.General, "show_progressbar", new=False):
        judge = rpca.ORPCA(2, random_state=0)
        for start in (0, 20, 40):
            judge.partial_fit(rows[start : start + 20])
        model = Online(rpca.ORPCA(2, random_state=0), batch_size=20, random_state=None).fit(
            as_cube(rows.reshape(6, 10, 12), signal="energy")
        )
        np.testing.assert_array_equal(model.components_, judge.components_)
        np.testing.assert_array_equal(model.transform(rows), judge.transform(rows))


def test_refusals() -> None:
    cube = as_cube(np.ones((3, 4, 2)), signal="energy")
    with pytest.raises(ParameterError, match="PCA without partial_fit"):
        Online(sklearn.decomposition.PCA(1)).fit(cube)
    with pytest.raises(ParameterError, match="batch_size=0"):
        Online(Watching(), batch_size=0).fit(cube)
    with pytest.raises(DataError, match="no valid pixel"):
        Online(Watching()).fit(cube * np.nan)
    with pytest.raises(StoreError, match="made of Watching"):
        Online(Watching()).fit(cube).save("nowhere")
