"""Rare phases: what a few outliers share becomes a component; what they do not share never does."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from refold.backprojection import backproject
from refold.cluster import HDBSCAN
from refold.cube import as_cube
from refold.embed import Landmarks
from refold.engine import settings, sweep
from refold.errors import ParameterError
from refold.reduce import PCA, Outliers, promote_outliers
from refold.reduce.rare.unexpected import left_of
from tests.strategies import chunkings

SHAPE = (40, 50)


def scene(
    shape: tuple[int, int] = SHAPE, features: int = 24, *, shift: float = 12, rare: int = 15, seed: int = 0
) -> tuple[xr.DataArray, np.ndarray]:
    """Three phases in unit noise, and so many pixels of a fourth, away from the first at right angles to all."""
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.normal(size=(features, 4)))[0].T
    labels = rng.integers(0, 3, shape)
    truth = np.zeros(shape, bool)
    truth.flat[rng.choice(truth.size, rare, replace=False)] = True
    labels[truth] = 0
    rows = rng.normal(size=(*shape, features)) + 20 * axes[labels]
    rows[truth] += shift * axes[3]
    return as_cube(rows.astype(np.float32), signal="energy"), truth


def counts(kind: str, seed: int) -> tuple[xr.DataArray, PCA]:
    """Scans without any rare phase, with noise of every sort."""
    rng = np.random.default_rng(seed)
    rates = rng.gamma(0.5, 8, (4, 48)) + 2
    labels, dose = rng.integers(0, 4, (80, 100)), rng.uniform(0.5, 1.5, (80, 100, 1))
    if kind == "gaussian":
        return as_cube(rng.normal(size=(80, 100, 48)) + rates[labels], signal="energy"), PCA(5)
    if kind == "blurred":
        noise = rng.normal(size=(80, 100, 50))
        smooth = noise[..., :-2] + 2 * noise[..., 1:-1] + noise[..., 2:]
        return as_cube(smooth + rates[labels], signal="energy"), PCA(5)
    if kind == "spikes":
        rows = rng.normal(size=(80, 100, 48)) + rates[labels]
        rows.reshape(-1)[rng.choice(rows.size, 40, replace=False)] += 300
        return as_cube(rows, signal="energy"), PCA(5)
    cube = as_cube(rng.poisson(rates[labels] * dose).astype(np.uint16), signal="energy")
    return cube, PCA(6, scaling="poisson" if kind == "weighted counts" else None)


KINDS = ("gaussian", "blurred", "spikes", "counts", "weighted counts")


# --- a phase is found -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_20_pixels_in_262_144_that_no_component_carries() -> None:
    cube, truth = scene((512, 512), 64, shift=11, rare=20)
    plain = PCA(6).fit(cube)
    model = promote_outliers(plain, cube)
    assert model.n_promoted_ == 1
    assert truth.ravel()[model.outliers_].all()
    found = {}
    for name, pca in (("plain", plain), ("promoted", model)):
        scores = pca.transform(cube).compute()
        marks = Landmarks(5000, always=pca.outliers_).fit(scores)
        clusters = HDBSCAN(min_cluster_size=10).fit(marks.rows_, weights=marks.weights_)
        answers = {
            "labels": clusters.labels_,
            "probability": clusters.probabilities_,
            "membership": clusters.membership_,
        }
        labels = backproject(scores, marks, **answers)["labels"].values
        inside = labels[truth][labels[truth] >= 0]
        caught = labels == (np.bincount(inside).argmax() if inside.size else -2)
        hits = (caught & truth).sum()
        found[name] = hits / 20, hits / max(1, caught.sum())
    assert found["promoted"][0] >= 0.9
    assert found["promoted"][1] >= 0.9
    assert found["plain"][1] < 0.1


def test_two_phases_become_two_components() -> None:
    cube, first = scene(seed=3)
    rng = np.random.default_rng(5)
    away = left_of(PCA(2).fit(cube), rng.normal(size=(1, 24)))[0]
    second = np.zeros(SHAPE, bool)
    second.flat[rng.choice(2000, 12, replace=False)] = True
    rows = cube.values.copy()
    rows[second & ~first] += 14 * away / np.linalg.norm(away)
    whole = as_cube(rows, signal="energy")
    model = promote_outliers(PCA(2).fit(whole), whole, 120)
    assert model.n_promoted_ == 2
    assert (first | second).ravel()[model.outliers_].mean() > 0.9


# --- the grown model --------------------------------------------------------------------------------------------------


def test_a_grown_model_is_a_model_like_any_other(tmp_path) -> None:
    cube, truth = scene()
    plain = PCA(2).fit(cube)
    model = promote_outliers(plain, cube)
    assert (plain.n_promoted_, model.n_promoted_, model.n_components_) == (0, 1, 3)
    np.testing.assert_array_equal(model.components_[:2], plain.components_)
    np.testing.assert_allclose(model.components_ @ model.components_.T, np.eye(3), atol=1e-12)
    np.testing.assert_array_equal(model.mean_, plain.mean_)
    scores = model.transform(cube).values
    np.testing.assert_array_equal(scores[..., :2], plain.transform(cube).values)
    assert np.abs(scores[truth][:, 2]).min() > np.quantile(np.abs(scores[~truth][:, 2]), 0.99)
    np.testing.assert_allclose(model.explained_variance_[2], (scores[..., 2] ** 2).mean(), rtol=0.2)
    model.save(tmp_path / "model")
    again = PCA.load(tmp_path / "model")
    assert again.n_promoted_ == 1
    np.testing.assert_array_equal(again.outliers_, model.outliers_)
    np.testing.assert_array_equal(again.transform(cube).values, scores)


# --- nothing is found where nothing is --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_noise_is_no_phase(kind: str) -> None:
    promoted = []
    for seed in range(3):
        cube, model = counts(kind, seed)
        promoted.append(promote_outliers(model.fit(cube), cube).n_promoted_)
    assert promoted == [0, 0, 0]


def test_nothing_to_promote_leaves_the_model_as_it_is() -> None:
    cube, _ = scene(rare=0)
    model = PCA(2).fit(cube)
    assert promote_outliers(model, cube) is model


# --- laws -------------------------------------------------------------------------------------------------------------


@hypothesis_settings(max_examples=8)
@given(chunkings(SHAPE), st.integers(1, 3), st.booleans())
def test_outliers_do_not_depend_on_chunks_or_threads(
    chunks: tuple[tuple[int, ...], ...], workers: int, weighted: bool
) -> None:
    cube, _ = scene(rare=9, seed=1)
    rows = np.round(np.maximum(cube.values + 30, 0)) if weighted else cube.values.copy()
    rows[3, 4] = 0 if weighted else np.nan
    rows[7, 7:9] = 999  # two equals
    whole = as_cube(rows, signal="energy")
    outliers = Outliers(PCA(2, scaling="poisson" if weighted else None).fit(whole), 20)
    (typical,) = sweep(whole, outliers.typical(whole))
    watch = outliers.watch(typical)
    (one,) = sweep(whole, watch)
    with settings(workers=workers):
        (other,) = sweep(as_cube(da.from_array(rows, chunks=(*chunks, 24)), signal="energy"), watch)
    assert one.pixels.tobytes() == other.pixels.tobytes()
    assert one.rows.tobytes() == other.rows.tobytes()
    assert 3 * 50 + 4 not in one.pixels


def test_the_most_unexpected_are_kept() -> None:
    cube, _ = scene()
    outliers = Outliers(PCA(2).fit(cube), 30)
    (typical,) = sweep(cube, outliers.typical(cube))
    (found,) = sweep(cube, outliers.watch(typical))
    rows = cube.values.reshape(2000, 24)
    unexpected = outliers.measure(rows, outliers.measure.bounds(rows)[1])
    np.testing.assert_array_equal(found.pixels, np.sort(np.argsort(-unexpected, kind="stable")[:30]))


@pytest.mark.parametrize("options", [{"n": 3}, {"least": 1}, {"most": 0}])
def test_numbers_that_make_no_sense(options: dict[str, int]) -> None:
    cube, _ = scene()
    with pytest.raises(ParameterError, match=next(iter(options))):
        promote_outliers(PCA(2).fit(cube), cube, **options)
