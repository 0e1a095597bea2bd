"""Laws that hold for any cube: row-pure, lazy, coordinates kept, invalid pixels out, saved and loaded the same."""

from __future__ import annotations

import pickle
from itertools import pairwise

import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from refold.cube import as_cube
from refold.engine import Block, Moments, Where, settings, sweep
from refold.errors import CubeError, DataError, ParameterError, StoreError, StoreExistsError
from refold.reduce import PCA
from refold.reduce.exact_product import ExactProduct
from refold.reduce.principal.image import Image
from tests.guards import no_compute


def phantom(seed: int = 0, pixels: tuple[int, ...] = (9, 11), signal: tuple[int, ...] = (4, 6)) -> xr.DataArray:
    rng = np.random.default_rng(seed)
    features = int(np.prod(signal))
    rates = rng.gamma(2, 3, (*pixels, 3)) @ rng.gamma(0.5, 8, (3, features)) + 0.5
    return as_cube(
        rng.poisson(rates).reshape(*pixels, *signal).astype(np.uint16),
        signal=("ky", "kx"),
        coords={"x": (np.arange(pixels[1]) * 0.5, {"units": "nm"}), "kx": (np.arange(6) - 3.0, {"units": "1/nm"})},
        name="diffraction",
    )


# --- row-pure ---------------------------------------------------------------------------------------------------------


@given(st.integers(1, 300), st.integers(1, 70), st.sampled_from(["float32", "float64"]), st.integers(0, 999), st.data())
def test_exact_product_is_row_pure(features: int, columns: int, dtype: str, seed: int, data: st.DataObject) -> None:
    rng = np.random.default_rng(seed)
    scale = 10.0 ** data.draw(st.integers(-12, 12))
    rows = (rng.normal(size=(64, features)) * 10.0 ** rng.uniform(-6, 6, (64, 1)) * scale).astype(dtype)
    rows[3] = 0
    matrix = rng.normal(size=(features, columns)) * 10.0 ** rng.uniform(-3, 3, columns)
    product = ExactProduct(matrix)
    whole, squares = product(rows)
    picked = rng.permutation(64)[: data.draw(st.integers(1, 64))]
    with threadpool_limits(data.draw(st.integers(1, 2))):
        some, some_squares = product(rows[picked])
        alone = np.vstack([product(rows[row : row + 1])[0] for row in picked[:5]])
    np.testing.assert_array_equal(some, whole[picked])
    np.testing.assert_array_equal(some_squares, squares[picked])
    np.testing.assert_array_equal(alone, whole[picked[:5]])
    lengths = np.linalg.norm(rows.astype(float), axis=1)[:, None] * np.linalg.norm(matrix, axis=0)
    precision = 6e-8 if dtype == "float32" else 1e-13  # half a unit in the last place of float32
    assert np.all(np.abs(whole - rows.astype(float) @ matrix) <= precision * lengths)


@given(st.integers(0, 99), st.sampled_from([None, "standard", "poisson"]), st.data())
def test_scores_do_not_depend_on_chunks(seed: int, scaling: str | None, data: st.DataObject) -> None:
    cube = phantom(seed)
    model = PCA(3, scaling=scaling).fit(cube)
    whole = model.project(Block(cube.values, 2))
    sides = {"y": data.draw(st.integers(1, 9)), "x": data.draw(st.integers(1, 11)), "ky": data.draw(st.integers(1, 4))}
    cut = cube.chunk(sides)
    np.testing.assert_array_equal(model.transform(cut).values, whole["scores"])
    np.testing.assert_array_equal(model.residual(cut).values, whole["residual"])
    denoised = model.inverse_transform(model.transform(cut)).values
    np.testing.assert_array_equal(denoised, model.inverse_transform(model.transform(cube)).values)


@given(
    st.integers(0, 99),
    st.sampled_from([None, "standard", "poisson"]),
    st.sets(st.integers(0, 4), min_size=1, max_size=4),
    st.data(),
)
def test_models_do_not_depend_on_chunks(seed: int, scaling: str | None, kept: set[int], data: st.DataObject) -> None:
    cube, chosen = phantom(seed), sorted(kept)
    model = PCA(5, scaling=scaling).fit(cube)
    sides = {"y": data.draw(st.integers(1, 9)), "x": data.draw(st.integers(1, 11)), "ky": data.draw(st.integers(1, 4))}
    with no_compute():
        cut, left = model.model(cube.chunk(sides), chosen), model.residuals(cube.chunk(sides), chosen)
    xr.testing.assert_identical(cut.compute(), model.model(cube, chosen).compute())
    np.testing.assert_array_equal(left.values, cube.values - cut.values)
    rows = cube.values.reshape(99, 24).astype(np.float32)
    np.testing.assert_array_equal(model.model(rows, chosen).reshape(cube.shape), cut.values)
    assert (cut.dims, cut.name, cut.attrs, cut.dtype) == (cube.dims, cube.name, cube.attrs, np.float32)


@pytest.mark.parametrize("scaling", [None, "standard", "poisson"])
@pytest.mark.parametrize("center", [True, False])
def test_models_of_some_components(scaling: str | None, center: bool) -> None:
    rows = phantom().values.reshape(99, 24).astype(np.float64)
    rows[4] = 0
    model = PCA(24, scaling=scaling, center=center).fit(rows)
    scores = model.transform(rows)
    np.testing.assert_allclose(model.model(rows), rows, atol=1e-9)
    nothing = model.model(rows, 1) - model.inverse_transform(scores, 1)
    np.testing.assert_allclose(nothing, 0, atol=1e-9)
    np.testing.assert_array_equal(model.model(rows, 3), model.model(rows, [2, 0, 1]))
    # What a component adds does not depend on the others.
    alone = model.model(rows, [0, 5]) - model.model(rows, [0])
    np.testing.assert_allclose(alone, model.model(rows, 6) - model.model(rows, 5), atol=1e-9)
    if scaling is None:
        left = model.residuals(as_cube(rows, signal="feature"), None)
        small = PCA(3, center=center).fit(rows)
        cube = as_cube(rows, signal="feature")
        rms = np.sqrt((small.residuals(cube).values ** 2).mean(axis=-1))
        np.testing.assert_allclose(small.residual(cube).values, rms, rtol=1e-4)
        np.testing.assert_allclose(left.values, 0, atol=1e-9)


def test_models_of_pixels_that_are_not_valid() -> None:
    cube = phantom().astype(np.float32)
    cube[2, 3, 1, 1] = np.nan
    model = PCA(3).fit(cube)
    for made in (model.model(cube, 2), model.residuals(cube, 2), model.inverse_transform(model.transform(cube), [1])):
        assert np.isnan(made.values[2, 3]).all()
        assert np.isfinite(made.values).sum() == cube.size - 24


def test_scores_of_a_table_and_of_a_row() -> None:
    rows = phantom().values.reshape(99, 24).astype(np.float32)
    model = PCA(3).fit(rows)
    scores = model.transform(rows)
    np.testing.assert_array_equal(np.vstack([model.transform(rows[i : i + 1]) for i in range(99)]), scores)
    assert scores.dtype == np.float32


# --- split law --------------------------------------------------------------------------------------------------------


@given(st.integers(0, 99), st.integers(1, 97), st.integers(1, 97), st.booleans(), st.booleans())
def test_images_of_parts_merge_to_the_image(seed: int, first: int, second: int, weighted: bool, far: bool) -> None:
    rows = phantom(seed).values.reshape(99, 24).astype(np.float64)
    rows[5] = 0
    basis = np.linalg.qr(np.random.default_rng(seed).normal(size=(24, 5)))[0]
    visitor = Image(basis, rows.mean(0) / 10, weighted=weighted, far=far)  # the mean need not be right
    edges = [0, *sorted({first, second}), 99]
    states = []
    for start, stop in pairwise(edges):
        states.append(visitor.start())
        visitor.visit(states[-1], Block(rows[start:stop], 1), Where((slice(start, stop),), (99,)))
    merged = states[0]
    for state in states[1:]:
        merged = visitor.merge(merged, pickle.loads(pickle.dumps(state)))
    result = visitor.finish(merged)
    used = rows
    if weighted:
        used = np.delete(rows, 5, axis=0)
        used = used / np.sqrt(used.sum(1, keepdims=True))
    centred = used - used.mean(0)
    assert result.count == len(used)
    np.testing.assert_allclose(result.mean, used.mean(0), rtol=1e-12)
    np.testing.assert_allclose(result.image, centred.T @ (centred @ basis), rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize("solver", ["scatter", "subspace", "incremental"])
def test_fit_does_not_depend_on_chunks(solver: str) -> None:
    cube = phantom(pixels=(20, 30))
    whole = PCA(3, solver=solver, oversampling=21).fit(cube)
    with settings(workers=2, memory="200kB" if solver == "scatter" else "1MB"):
        parts = PCA(3, solver=solver, oversampling=21).fit(cube.chunk({"y": 3, "x": 7, "kx": 4}))
    np.testing.assert_allclose(parts.explained_variance_, whole.explained_variance_, rtol=1e-5)
    np.testing.assert_allclose(np.sum(parts.components_ * whole.components_, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("solver", ["scatter", "subspace", "incremental"])
def test_a_mean_far_from_zero_does_not_cancel(solver: str) -> None:
    cube = phantom(pixels=(20, 30)).astype(np.float32)
    near = PCA(3, solver=solver, oversampling=21).fit(cube)
    far = PCA(3, solver=solver, oversampling=21).fit(cube + 50_000)
    np.testing.assert_allclose(far.explained_variance_, near.explained_variance_, rtol=1e-4)
    np.testing.assert_allclose(np.sum(far.components_ * near.components_, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("scaling", [None, "standard", "poisson"])
def test_a_block_of_thousands_of_pixels(scaling: str | None) -> None:
    cube = phantom(pixels=(50, 60))
    exact = PCA(3, solver="scatter", scaling=scaling).fit(cube)
    for solver in ("subspace", "incremental"):
        model = PCA(3, solver=solver, scaling=scaling, oversampling=21).fit(cube)
        np.testing.assert_allclose(model.explained_variance_, exact.explained_variance_, rtol=1e-4)
        np.testing.assert_allclose(np.sum(model.components_ * exact.components_, axis=1), 1, atol=1e-4)


# --- sweeps shared with others ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("scaling", [None, "standard", "poisson"])
@pytest.mark.parametrize("solver", ["scatter", "subspace", "incremental"])
def test_first_sweep_may_be_made_elsewhere(solver: str, scaling: str | None) -> None:
    cube = phantom().chunk({"y": 4})
    model = PCA(3, solver=solver, scaling=scaling, oversampling=9)
    first, _ = sweep(cube, model.first_visitor(cube), Moments())
    given_first = PCA(3, solver=solver, scaling=scaling, oversampling=9).fit(cube, moments=first)
    alone = model.fit(cube)
    assert given_first.n_sweeps_ == alone.n_sweeps_ - 1
    np.testing.assert_array_equal(given_first.components_, alone.components_)


def test_moments_with_scatter_need_no_sweep() -> None:
    cube = phantom().chunk({"y": 4})
    (moments,) = sweep(cube, Moments(scatter=True))
    with no_compute():
        model = PCA(3).fit(cube, moments=moments)
    assert model.n_sweeps_ == 0
    (bare,) = sweep(cube, Moments())
    assert PCA(3).fit(cube, moments=bare).n_sweeps_ == 1
    np.testing.assert_allclose(
        PCA(3, solver="subspace").fit(cube, moments=bare).components_, model.components_, atol=1e-3
    )


def test_moments_must_fit() -> None:
    cube = phantom()
    (moments,) = sweep(cube, Moments(scatter=True))
    with pytest.raises(ParameterError, match="weighting"):
        PCA(3, scaling="poisson").fit(cube, moments=moments)
    with pytest.raises(ParameterError, match="moments"):
        PCA(3).fit(cube, moments=3)


# --- cubes ------------------------------------------------------------------------------------------------------------


def test_lazy_with_coordinates() -> None:
    cube = phantom().chunk({"y": 4, "kx": 5}).assign_attrs(voltage=300)
    model = PCA(3).fit(cube)
    with no_compute():
        scores, residual = model.transform(cube), model.residual(cube)
        denoised = model.inverse_transform(scores)
    assert scores.dims == ("y", "x", "component")
    assert residual.dims == ("y", "x")
    assert scores.x.attrs == cube.x.attrs
    assert denoised.dims == cube.dims
    assert denoised.attrs == cube.attrs
    assert denoised.name == cube.name
    for dim in cube.dims:
        xr.testing.assert_identical(denoised[dim], cube[dim])
    with dask.config.set(scheduler="synchronous"):
        rest = (cube.astype(float) - denoised).compute()
    np.testing.assert_allclose(np.sqrt((rest**2).mean(("ky", "kx"))), residual, rtol=1e-3)


def test_residual_counts_what_is_left_in_scaled_units() -> None:
    cube = phantom().astype(np.float64)
    rows = cube.values.reshape(99, 24)
    model = PCA(2, scaling="poisson").fit(cube)
    scaled = (rows / np.sqrt(rows.sum(1, keepdims=True)) - model.mean_) * model.scale_
    left = scaled - scaled @ model.components_.T @ model.components_
    np.testing.assert_allclose(model.residual(cube).values.ravel(), np.sqrt((left**2).mean(1)), rtol=1e-5)


@pytest.mark.parametrize("shape", [(1, 11), (9, 1)])
def test_one_row_scans(shape: tuple[int, int]) -> None:
    cube = phantom(pixels=shape)
    assert PCA(2).fit(cube).transform(cube).shape == (*shape, 2)


def test_line_scan_and_stack() -> None:
    line = as_cube(phantom().values[0].reshape(11, 24), signal="energy")
    assert PCA(2).fit(line).transform(line).dims == ("x", "component")
    stack = as_cube(phantom().values.reshape(3, 3, 11, 24), signal="energy")
    model = PCA(2).fit(stack)
    assert model.inverse_transform(model.transform(stack)).dims == ("z", "y", "x", "energy")


@pytest.mark.parametrize("solver", ["scatter", "subspace", "incremental"])
def test_pixels_that_are_not_finite_are_left_out(solver: str) -> None:
    cube = phantom().astype(np.float32)
    broken = cube.copy(deep=True)
    broken[2, 3, 0, 1], broken[5], broken[8, 8, 3, 3] = np.nan, np.nan, np.inf
    valid = np.isfinite(broken.values).all(axis=(2, 3))
    model = PCA(3, solver=solver, oversampling=21).fit(broken.chunk({"y": 5}))
    judge = PCA(3).fit(cube.values[valid].reshape(-1, 24))
    assert model.n_samples_ == valid.sum()
    np.testing.assert_allclose(model.explained_variance_, judge.explained_variance_, rtol=1e-5)
    scores, residual = model.transform(broken).values, model.residual(broken).values
    assert np.array_equal(np.isnan(scores).all(-1), ~valid)
    assert np.array_equal(np.isnan(residual), ~valid)
    np.testing.assert_array_equal(scores[valid], model.transform(cube).values[valid])


def test_signs_and_repeats() -> None:
    cube = phantom()
    model, again = PCA(5).fit(cube), PCA(5).fit(cube)
    largest = np.argmax(np.abs(model.components_), axis=1)
    assert np.all(model.components_[np.arange(5), largest] > 0)
    np.testing.assert_array_equal(model.components_, again.components_)


def test_share_of_variance() -> None:
    cube = phantom(pixels=(20, 30))
    for solver in ("scatter", "subspace", "incremental"):
        model = PCA(0.9, solver=solver, max_sweeps=30, oversampling=21).fit(cube)
        ratio = np.cumsum(PCA(24).fit(cube).explained_variance_ratio_)
        assert model.n_components_ == np.argmax(ratio >= 0.9) + 1
        assert model.explained_variance_ratio_.sum() >= 0.9
    assert PCA(None).fit(cube).n_components_ == 24


def test_learning_part_by_part() -> None:
    cube = phantom(pixels=(20, 30))
    rows = cube.values.reshape(-1, 24)
    model = PCA(3)
    for start in range(0, 600, 57):
        model.partial_fit(rows[start : start + 57])
    judge = PCA(3).fit(rows)
    assert model.n_samples_ == 600
    np.testing.assert_allclose(model.explained_variance_, judge.explained_variance_, rtol=1e-6)
    np.testing.assert_allclose(model.components_, judge.components_, atol=1e-5)
    with pytest.raises(ValueError, match="features"):
        model.partial_fit(rows[:, :5])


def test_saved_and_loaded(tmp_path) -> None:
    cube = phantom()
    for number, scaling in enumerate((None, "standard", "poisson")):
        model = PCA(3, scaling=scaling).fit(cube)
        model.save(tmp_path / f"{number}.zarr")
        loaded = PCA.load(tmp_path / f"{number}.zarr")
        assert loaded.get_params() == model.get_params()
        np.testing.assert_array_equal(loaded.transform(cube).values, model.transform(cube).values)
        xr.testing.assert_identical(
            loaded.inverse_transform(loaded.transform(cube)), model.inverse_transform(model.transform(cube))
        )
        xr.testing.assert_identical(loaded.to_dataset(), model.to_dataset())
    with pytest.raises(StoreExistsError):
        model.save(tmp_path / "0.zarr")
    with pytest.raises(StoreError):
        PCA.load(tmp_path / "none.zarr")
    table = PCA(3).fit(cube.values.reshape(-1, 24).astype(float))
    again = PCA.from_dataset(table.to_dataset())
    np.testing.assert_array_equal(again.transform(np.ones((2, 24))), table.transform(np.ones((2, 24))))


def test_declared_variables() -> None:
    variables = PCA(3).fit(phantom()).variables()
    assert variables["components"].dims == ("component", "ky", "kx")
    assert variables["components"].kx.attrs["units"] == "1/nm"
    assert variables["explained_variance_ratio"].dims == ("component",)


# --- errors -----------------------------------------------------------------------------------------------------------


def test_too_many_components() -> None:
    with pytest.raises(ParameterError, match="at most 24"):
        PCA(25).fit(phantom())
    broken = phantom().astype(np.float32)
    broken[1:] = np.nan
    with pytest.raises(ParameterError, match="11 valid pixels"):
        PCA(20).fit(broken)


def test_constant_channels() -> None:
    cube = phantom()
    cube[..., 1, 2] = 7
    with pytest.raises(DataError, match="channel 8 constant"):
        PCA(3, scaling="standard").fit(cube)
    assert PCA(3).fit(cube).n_components_ == 3


def test_nothing_finite() -> None:
    cube = phantom().astype(np.float32)
    channel = cube.copy(deep=True)
    channel[..., 1, 2] = np.nan
    with pytest.raises(DataError, match="channel 8 not finite"):
        PCA(3).fit(channel)
    scattered = cube.copy(deep=True)
    scattered[..., 0, 0][:5], scattered[..., 0, 1][5:] = np.nan, np.nan
    with pytest.raises(DataError, match="in each of the 99 pixels"):
        PCA(3, solver="subspace").fit(scattered)


def test_nothing_varies() -> None:
    with pytest.raises(DataError, match="same values"):
        PCA(3).fit(phantom() * 0 + 3)
    with pytest.raises(DataError, match="zeros"):
        PCA(3, center=False).fit(phantom() * 0)
    with pytest.raises(DataError, match="no counts"):
        PCA(3, scaling="poisson").fit(phantom() * 0)


def test_negative_counts() -> None:
    cube = phantom().astype(np.float32)
    cube[2, 3, 1, 2] = -1
    with pytest.raises(DataError, match="below 0 in channel 8"):
        PCA(3, scaling="poisson").fit(cube)


def test_other_signal() -> None:
    model = PCA(3).fit(phantom())
    with pytest.raises(CubeError, match="fitted"):
        model.transform(phantom()[..., :3])


@pytest.mark.parametrize("wrong", [{"solver": "magic"}, {"scaling": "minmax"}, {"tol": -1}, {"max_sweeps": 0}])
def test_options_are_checked(wrong: dict) -> None:
    with pytest.raises(ParameterError):
        PCA(3, **wrong).fit(phantom())


def test_components_among_the_noise_are_named() -> None:
    from sklearn.exceptions import ConvergenceWarning

    rng = np.random.default_rng(0)
    rows = rng.normal(size=(3000, 2)) @ rng.normal(size=(2, 300)) * 5 + rng.normal(size=(3000, 300))
    with pytest.warns(ConvergenceWarning, match="8 of 10 components, from number 3 on"):
        model = PCA(10, solver="subspace", oversampling=5, max_sweeps=4).fit(rows)
    assert model.converged_.tolist() == [True] * 2 + [False] * 8


def test_components_in_a_plateau_do_not_cost_more_sweeps() -> None:
    from sklearn.exceptions import ConvergenceWarning

    rng = np.random.default_rng(0)
    rows = (rng.normal(size=(6000, 3)) @ rng.normal(size=(3, 100)) * 3 + rng.normal(size=(6000, 100))).astype("f4")
    with pytest.warns(ConvergenceWarning, match="of 10 components, from number"):
        model = PCA(10, solver="subspace", oversampling=10, tol=1e-3).fit(rows)
    assert model.n_sweeps_ < model.max_sweeps
    exact = PCA(10, solver="scatter").fit(rows)
    captured = model.explained_variance_.sum() / exact.explained_variance_.sum()
    assert 1 - 1e-5 < captured < 1 + 1e-6


def test_a_share_that_is_not_reached() -> None:
    rows = np.random.default_rng(0).normal(size=(2000, 300))
    with pytest.raises(ParameterError, match="of the variance explained by"):
        PCA(0.9, solver="subspace", max_sweeps=2).fit(rows)
