"""Scaling out of core is scikit-learn's in memory, for any chunking, and takes any transformer of its kind."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA, IncrementalPCA
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import MinMaxScaler, Normalizer, PowerTransformer, RobustScaler, StandardScaler

from refold.cube import as_cube, n_pixels, signal_dims
from refold.engine import Block, Moments, Where, sweep
from refold.errors import DataError, ParameterError
from refold.features.fitting import Batches
from refold.features.scaling import Scaler
from tests.guards import no_compute
from tests.strategies import cubes

JUDGES = {"standard": StandardScaler, "robust": RobustScaler, "minmax": MinMaxScaler, "unit": Normalizer}


def rows_of(cube: xr.DataArray) -> np.ndarray:
    return cube.values.reshape(n_pixels(cube), -1).astype(np.float64)


def spectra(lazy: bool = True) -> xr.DataArray:
    rng = np.random.default_rng(0)
    values = rng.poisson(3.0, (9, 8, 6)) * np.array([1, 10, 0, 1, 100, 1])
    cube = as_cube(values.astype("uint16"), signal="energy", name="eds", coords={"x": (np.arange(8), {"units": "nm"})})
    cube = cube.assign_attrs(units="counts", source="somewhere")
    return cube.chunk(y=4, x=3) if lazy else cube


@given(st.data())
@pytest.mark.parametrize("kind", JUDGES)
def test_as_scikit_learn(kind, data):
    cube = data.draw(cubes(dtypes=("uint8", "uint16", "int32", "float32"), invalid=True))
    logged = data.draw(st.booleans())
    rows = rows_of(cube)
    rows = np.log1p(np.maximum(rows, 0).astype("f4")).astype(float) if logged else rows
    valid = np.isfinite(rows).all(axis=1)
    scaler = Scaler(kind, log1p=logged)
    if not valid.any() and kind != "unit":
        with pytest.raises(DataError):
            scaler.fit(cube)
        return
    scaled = scaler.fit(cube).transform(cube)
    assert scaled.dims == cube.dims
    assert scaled.dtype == np.float32
    if not valid.any():
        return
    rows = rows[valid]
    wanted = JUDGES[kind]().fit(rows)
    scale = np.abs(rows).max(axis=0) / getattr(scaler, "scale_", 1.0)  # what rounding of the values themselves costs
    error = np.abs(rows_of(scaled)[valid] - wanted.transform(rows))
    assert (error <= 1e-6 * (1 + scale)).all()


@pytest.mark.parametrize("kind", [*JUDGES, "none"])
def test_features_that_do_not_vary_and_coordinates(kind):
    cube = spectra()
    with no_compute():
        lazy = Scaler("unit").fit(cube).transform(cube)
    assert lazy.chunks[:2] == cube.chunks[:2]
    scaled = Scaler(kind).fit(cube).transform(cube)
    assert "units" not in scaled.attrs
    assert scaled.attrs["source"] == "somewhere"
    assert scaled.name == "eds"
    xr.testing.assert_identical(scaled.x, cube.x)
    assert (scaled.isel(energy=2) == 0).all()
    if kind in JUDGES:
        np.testing.assert_allclose(rows_of(scaled), JUDGES[kind]().fit_transform(rows_of(cube)), atol=2e-6)


@pytest.mark.parametrize("kind", ["standard", "minmax", "unit", "none", PowerTransformer()])
def test_one_sweep_may_be_shared(kind):
    cube = spectra()
    scaler, alone = Scaler(kind, log1p=True), Scaler(kind, log1p=True).fit(cube)
    visitors = scaler.visitors(cube)
    *found, moments = sweep(cube, *visitors, Moments())
    together = scaler.settle(cube, found)
    assert moments.count == 72
    xr.testing.assert_identical(together.transform(cube).compute(), alone.transform(cube).compute())


@pytest.mark.parametrize("kind", ["robust", StandardScaler()])
def test_what_takes_more_than_a_shared_sweep_says_so(kind):
    with pytest.raises(ParameterError, match="with fit"):
        Scaler(kind).visitors(spectra())


@pytest.mark.parametrize("kind", [*JUDGES, "none", StandardScaler(), PCA(2)])
def test_what_is_not_finite_stays_so_and_spoils_nothing_else(kind):
    cube = spectra(lazy=False).astype("f4")
    values = cube.values.copy()
    values[0, 0, 0], values[1, 1, 1], values[2, 2, 2] = np.inf, -np.inf, np.nan
    scaled = Scaler(kind).fit(cube.copy(data=values)).transform(cube.copy(data=values))
    lost = ~np.isfinite(scaled).all(scaled.dims[-1]).values
    assert np.argwhere(lost).tolist() == [[0, 0], [1, 1], [2, 2]]


def test_pixels_do_not_depend_on_their_block():
    cube = spectra()
    scaler = Scaler("robust", log1p=True).fit(cube)
    again = scaler.transform(spectra(lazy=False).chunk(y=1, x=8))
    np.testing.assert_array_equal(scaler.transform(cube), again)


def test_small_deviations_from_a_large_mean_keep_their_figures():
    rows = 1e7 + np.arange(16.0)[:, None] * [1, 2]
    scaled = Scaler().fit(as_cube(rows.astype("f4"), signal="energy")).transform(as_cube(rows, signal="energy"))
    np.testing.assert_allclose(scaled, StandardScaler().fit_transform(rows), atol=1e-6)


# --- transformers -----------------------------------------------------------------------------------------------------


def test_a_transformer_with_partial_fit_sees_every_pixel_once():
    cube = spectra().astype("f4")
    values = cube.values.copy()
    values[0, 0, 0] = np.nan
    broken = cube.copy(data=values).chunk(y=2)
    given_model = StandardScaler()
    scaler = Scaler(given_model).fit(broken)
    assert not hasattr(given_model, "mean_")  # a copy is fitted
    np.testing.assert_array_equal(scaler.transformer_.n_samples_seen_, 71)
    scaled = scaler.transform(broken)
    assert scaled.dims == cube.dims
    wanted = StandardScaler().fit_transform(rows_of(broken)[1:])
    np.testing.assert_allclose(rows_of(scaled)[1:], wanted, atol=1e-5)
    assert np.isnan(scaled[0, 0]).all()


def test_a_model_may_be_fitted_elsewhere():
    batches = Batches(StandardScaler(), 6, rows=5)
    there = pickle.loads(pickle.dumps(batches))
    state, rows = there.start(), np.random.default_rng(0).normal(size=(23, 6))
    for start, stop in ((0, 3), (3, 4), (4, 20), (20, 23)):
        there.visit(state, Block(rows[start:stop], 1), Where((slice(start, stop),), (23,)))
        assert len(state.waiting) < 10
    model, seen = batches.finish(pickle.loads(pickle.dumps(state)))
    assert seen == 23
    np.testing.assert_allclose(model.transform(rows), StandardScaler().fit_transform(rows))
    assert not hasattr(batches.model, "mean_")


def test_batches_are_long_enough_for_those_that_need_it():
    rng = np.random.default_rng(0)
    cube = as_cube(rng.normal(size=(100, 110, 8)) * np.arange(1, 9), signal="energy").chunk(y=1, x=1000)
    scaled = Scaler(IncrementalPCA(3)).fit(cube, memory="16MB").transform(cube)
    assert scaled.dims == ("y", "x", "feature")
    assert signal_dims(scaled) == ("feature",)
    wanted = PCA(3).fit_transform(rows_of(cube))
    match = np.abs([np.corrcoef(a, b)[0, 1] for a, b in zip(rows_of(scaled).T, wanted.T, strict=True)])
    assert (match > 0.99).all()


def test_a_transformer_without_partial_fit_is_fitted_on_a_sample():
    cube = spectra()
    scaler = Scaler(PCA(2), sample=40, random_state=1).fit(cube)
    assert scaler.transformer_.n_samples_ == 40
    assert scaler.transform(cube).shape == (9, 8, 2)


def test_fitted_anew_as_another_kind():
    cube, scaler = spectra(), Scaler(PCA(2))
    scaler.fit(cube).set_params(kind="minmax").fit(cube)
    xr.testing.assert_identical(scaler.transform(cube).compute(), Scaler("minmax").fit(cube).transform(cube).compute())


# --- errors -----------------------------------------------------------------------------------------------------------


def test_errors():
    cube = spectra()
    with pytest.raises(ParameterError, match="robust"):
        Scaler("robots").fit(cube)
    with pytest.raises(NotFittedError):
        Scaler().transform(cube)
    with pytest.raises(ParameterError, match="5 features"):
        Scaler().fit(cube).transform(cube.isel(energy=slice(5)))
    for model in ("standard", "robust", StandardScaler(), PCA(1)):
        with pytest.raises(DataError):
            Scaler(model).fit(cube.astype("f4") * np.nan)
