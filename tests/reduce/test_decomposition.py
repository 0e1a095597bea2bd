"""`decompose` against HyperSpy's own decomposition in memory; and what holds for any size."""

from __future__ import annotations

import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given
from hypothesis import strategies as st

import refold
from refold.cube import as_cube
from refold.errors import CubeError, DataError, ParameterError
from refold.reduce import ICA, NMF, PCA, Decomposition, decompose
from tests.guards import count_reads, limit_memory, no_compute

VARIANTS = {
    "plain": {},
    "poisson": {"normalize_poissonian_noise": True},
    "over pixels": {"centre": "navigation"},
    "over channels": {"centre": "signal"},
}


@pytest.fixture(scope="module")
def hyperspy() -> ModuleType:
    return pytest.importorskip("hyperspy.api", reason="hyperspy is not installed: pip install 'refold[hyperspy]'")


def counts(shape: tuple[int, ...] = (9, 11), channels: int = 30, seed: int = 0) -> np.ndarray:
    """Four sources well apart, so that components are."""
    rng = np.random.default_rng(seed)
    rates = (rng.gamma(2, 3, (*shape, 4)) * [27, 9, 3, 1]) @ rng.gamma(0.5, 8, (4, channels)) + 0.5
    drawn = rng.poisson(rates).astype(np.uint16)
    drawn[(0,) * len(shape)], drawn[..., 7] = 0, 0
    return drawn


def masks(shape: tuple[int, ...], channels: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {"navigation_mask": rng.random(shape) < 0.2, "signal_mask": rng.random(channels) < 0.2}


def sine(one: np.ndarray, other: np.ndarray) -> float:
    """Sine of the largest angle between the spaces that columns span."""
    first, second = (np.linalg.qr(columns)[0] for columns in (one, other))
    return float(np.linalg.norm(second - first @ (first.T @ second), 2))


def theirs(hyperspy: ModuleType, values: np.ndarray, options: dict[str, Any]) -> Any:
    """HyperSpy's results. It takes masks as (x, y), and floats only."""
    signal = hyperspy.signals.Signal1D(values.astype(np.float64))
    turned = {name: mask.T if name == "navigation_mask" else mask for name, mask in options.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own deprecated calls
        signal.decomposition(algorithm="SVD", svd_solver="full", print_info=False, **turned)
    return signal.learning_results


def check_equal(found: Decomposition, judge: Any, count: int, close: float = 1e-5) -> None:
    """Eigenvalues, subspaces, products of loadings and factors, models, and what is masked."""
    np.testing.assert_allclose(found.explained_variance[:count], judge.explained_variance[:count], rtol=close)
    np.testing.assert_allclose(
        found.explained_variance_ratio[:count], judge.explained_variance_ratio[:count], rtol=close
    )
    assert found.number_significant_components == judge.number_significant_components
    factors = found.factors.values.reshape(found.output_dimension, -1).T[:, :count]
    loadings = found.loadings.values.reshape(-1, found.output_dimension)[:, :count]
    channels, pixels = (np.isfinite(array).all(axis=1) for array in (judge.factors, judge.loadings))
    np.testing.assert_array_equal(np.isfinite(factors).all(axis=1), channels)
    np.testing.assert_array_equal(np.isfinite(loadings).all(axis=1), pixels)
    assert sine(factors[channels], judge.factors[channels, :count]) < 1e-3
    assert sine(loadings[pixels], judge.loadings[pixels, :count]) < 1e-3
    expected = judge.loadings[:, :count] @ judge.factors[:, :count].T
    np.testing.assert_allclose(loadings @ factors.T, expected, atol=1e-5 * np.nanmax(np.abs(expected)))
    if judge.mean is not None:
        where = np.ix_(pixels, channels)
        expected[where] = expected[where] + judge.mean
    model, left = (array.values.reshape(expected.shape) for array in (found.model(count), found.residuals(count)))
    np.testing.assert_allclose(model, expected, atol=1e-5 * np.nanmax(np.abs(expected)))
    kept = np.where(np.isnan(model), np.nan, found.cube.values.reshape(model.shape))
    np.testing.assert_allclose(model + left, kept, atol=1e-6 * np.nanmax(kept))


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("shape", [(9, 11), (60,)])
def test_equals_hyperspy(hyperspy: ModuleType, shape: tuple[int, ...], variant: str, masked: bool) -> None:
    values = counts(shape)
    options = VARIANTS[variant] | (masks(shape, 30) if masked else {})
    cube = as_cube(values, signal="energy").chunk({"x": 4})
    check_equal(decompose(cube, **options), theirs(hyperspy, values, options), 4)


def test_more_channels_than_pixels_and_two_signal_dims(hyperspy: ModuleType) -> None:
    values = counts((20,), 48)
    found = decompose(as_cube(values.reshape(20, 6, 8), signal=("ky", "kx")), "SVD")
    assert found.factors.dims == ("component", "ky", "kx")
    check_equal(found, theirs(hyperspy, values, {}), 4)


def recorded(folder: Path, name: str) -> xr.DataArray:
    path = folder / name
    if not path.exists():
        pytest.skip(f"no recorded scan {name} in {folder}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of readers
        return refold.open(path)


@pytest.mark.parametrize(("variant", "masked"), [*((variant, False) for variant in VARIANTS), ("poisson", True)])
def test_recorded_eels_equals_hyperspy(hyperspy: ModuleType, shared_data: Path, variant: str, masked: bool) -> None:
    cube = recorded(shared_data, "eels/CuZn_EELS_mapping_tutorial.hspy").clip(0).load()
    options = VARIANTS[variant] | (masks(cube.shape[:2], cube.shape[2]) if masked else {})
    check_equal(decompose(cube, **options), theirs(hyperspy, cube.values, options), 4)


@pytest.mark.parametrize("variant", ["plain", "poisson", "over pixels"])
def test_recorded_line_equals_hyperspy(hyperspy: ModuleType, shared_data: Path, variant: str) -> None:
    cube = recorded(shared_data, "eels/LSMO_linescan.hspy").load()
    check_equal(decompose(cube, **VARIANTS[variant]), theirs(hyperspy, cube.values, VARIANTS[variant]), 3)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["eds/core_shell.hspy", "eds/dust_particle_256x256.bcf"])
@pytest.mark.parametrize("variant", ["plain", "poisson"])
def test_recorded_eds_equals_hyperspy(hyperspy: ModuleType, shared_data: Path, name: str, variant: str) -> None:
    cube = recorded(shared_data, name)
    cube = cube.isel(y=slice(0, 64), x=slice(0, 64)).coarsen(energy=cube.sizes["energy"] // 496, boundary="trim").sum()
    cube = cube.assign_coords(energy=cube.energy.assign_attrs(role="signal")).astype(np.float32).load()
    check_equal(decompose(cube, **VARIANTS[variant]), theirs(hyperspy, cube.values, VARIANTS[variant]), 3)


# --- laws -------------------------------------------------------------------------------------------------------------


@given(
    st.sampled_from(sorted(VARIANTS)),
    st.booleans(),
    st.sets(st.integers(0, 5), min_size=1, max_size=4),
    st.data(),
)
def test_models_do_not_depend_on_chunks(variant: str, masked: bool, kept: set[int], data: st.DataObject) -> None:
    values = counts().astype(np.float32)
    values[2, 3, 4] = np.nan
    cube = as_cube(values, signal="energy", name="counts", coords={"x": (np.arange(11) * 0.5, {"units": "nm"})})
    cube.attrs["units"] = "counts"
    options = VARIANTS[variant] | (masks((9, 11), 30) if masked else {})
    found = decompose(cube, output_dimension=6, **options)
    sides = {"y": data.draw(st.integers(1, 9)), "x": data.draw(st.integers(1, 11)), "energy": 13}
    again = decompose(cube.chunk(sides), found.estimator, **{k: v for k, v in options.items() if k.endswith("_mask")})
    chosen = sorted(kept)
    model = found.model(chosen)
    assert model.attrs == cube.attrs
    assert model.name == cube.name
    assert model.dims == cube.dims
    xr.testing.assert_identical(model.x, cube.x)
    if variant in ("plain", "over pixels"):  # others are treated by the cube's own sums, not by the estimator
        np.testing.assert_array_equal(again.model(chosen).values, model.values)
        np.testing.assert_array_equal(again.loadings.values, found.loadings.values)
    assert np.isnan(model.values[2, 3]).all()
    assert np.isnan(found.loadings.values[2, 3]).all()
    np.testing.assert_allclose(model + found.residuals(chosen), cube.where(model.notnull()), rtol=1e-5, atol=1e-3)


def test_all_components_give_the_data_back() -> None:
    cube = as_cube(counts(), signal="energy")
    for options in VARIANTS.values():
        np.testing.assert_allclose(decompose(cube, **options).model(), cube, atol=2e-3)


def test_nothing_is_computed_after_the_fit() -> None:
    cube = as_cube(counts(), signal="energy").chunk({"y": 4})
    left_out = masks((9, 11), 30)
    for options in VARIANTS.values():
        found = decompose(cube, output_dimension=4, **left_out, **options)
        with no_compute():
            lazy = [found.loadings, found.model(2), found.residuals([0, 2])]
        assert all(array.chunks is not None for array in lazy)
        assert found.load().loadings.chunks is None


def test_reprojecting_masked_pixels(hyperspy: ModuleType) -> None:
    values = counts()
    options = {"navigation_mask": masks((9, 11), 30)["navigation_mask"], "reproject": "navigation"}
    check_equal(decompose(as_cube(values, signal="energy"), **options), theirs(hyperspy, values, options), 4)


def test_estimators_fitted_or_not() -> None:
    cube = as_cube(counts(), signal="energy")
    model = PCA(3)
    found = decompose(cube, model, output_dimension=5)
    assert found.output_dimension == 5
    assert not hasattr(model, "components_")
    fitted = decompose(cube, model.fit(cube))
    assert fitted.n_sweeps == 0
    assert fitted.estimator is model
    np.testing.assert_array_equal(fitted.loadings.values, model.transform(cube).values)
    np.testing.assert_allclose(fitted.factors.values, model.components_)
    np.testing.assert_allclose(fitted.mean.values, model.mean_)
    np.testing.assert_array_equal(fitted.model(2).values, model.model(cube, 2).values)
    np.testing.assert_array_equal(fitted.explained_variance.values, model.explained_variance_)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("algorithm", ["MNF", "NMF", ICA(3, algorithm="orthomax")])
def test_other_estimators(algorithm: Any, masked: bool) -> None:
    cube = as_cube(counts(), signal="energy").chunk({"y": 4})
    options = masks((9, 11), 30) if masked else {}
    found = decompose(cube, algorithm, output_dimension=3, **options)
    product = (found.loadings * found.factors).sum("component", skipna=False)
    if found.mean is not None:
        product = product + found.mean
    model = found.model().compute()
    np.testing.assert_allclose(model, product.transpose(*cube.dims), atol=1e-5 * float(abs(product).max()))
    if masked:
        assert np.isnan(model.values[options["navigation_mask"]]).all()
        assert np.isnan(model.values[..., options["signal_mask"]]).all()
    np.testing.assert_allclose(model + found.residuals(), cube.where(model.notnull()), atol=1e-3)
    more = decompose(cube, algorithm, output_dimension=3, normalize_poissonian_noise=True, **options)
    assert more.n_sweeps >= 2
    assert float((more.residuals() ** 2).mean()) < float((cube.astype(float) ** 2).mean())


def test_normalised_noise_before_any_estimator_is_that_of_principal_components() -> None:
    cube = as_cube(counts(), signal="energy").astype(np.float64)
    own = decompose(cube, output_dimension=4, normalize_poissonian_noise=True)
    any_ = decompose(cube, PCA(4, center=False), normalize_poissonian_noise=True)
    assert (own.n_sweeps, any_.n_sweeps) == (1, 2)
    np.testing.assert_allclose(any_.model(3), own.model(3), atol=1e-3)
    np.testing.assert_allclose(np.abs(any_.factors), np.abs(own.factors), atol=1e-3)
    np.testing.assert_allclose(np.abs(any_.loadings), np.abs(own.loadings), atol=1e-4)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"algorithm": "MLPCA"}, ParameterError),
        ({"algorithm": "PCA", "centre": "signal", "normalize_poissonian_noise": True}, ParameterError),
        ({"algorithm": PCA(2), "centre": "signal"}, ParameterError),
        ({"algorithm": PCA(2), "solver": "scatter"}, ParameterError),
        ({"centre": "samples"}, ParameterError),
        ({"reproject": "signal"}, ParameterError),
        ({"signal_mask": np.zeros(29, bool)}, ParameterError),
        ({"navigation_mask": np.zeros((11, 9), bool)}, ParameterError),
        ({"signal_mask": np.ones(30, bool)}, DataError),
        ({"navigation_mask": np.ones((9, 11), bool)}, DataError),
        ({"output_dimension": 31}, ParameterError),
        ({"foo": 1}, ParameterError),
        ({"n_components": 3}, ParameterError),
        ({"center": True}, ParameterError),
        ({"algorithm": "NMF", "output_dimension": 2, "solver": "scatter"}, ParameterError),
    ],
)
def test_contradictions_are_named(options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        decompose(as_cube(counts(), signal="energy"), **options)


def test_unknown_options_are_met_by_those_that_exist() -> None:
    with pytest.raises(ParameterError, match=r"foo.*'random_state'.*'solver'"):
        decompose(as_cube(counts(), signal="energy"), foo=1, solver="scatter")


@pytest.mark.parametrize(
    ("algorithm", "options"),
    [
        (PCA(3, scaling="poisson", center=False), {}),
        (ICA(3, decomposition=PCA(scaling="poisson")), {}),
        (NMF(3, scaling="poisson"), {}),
        ("NMF", {"scaling": "poisson", "output_dimension": 3}),
    ],
)
def test_noise_is_not_normalised_twice(algorithm: Any, options: dict[str, Any]) -> None:
    cube = as_cube(counts(), signal="energy").chunk({"y": 4})
    with no_compute(), pytest.raises(ParameterError, match="one of the two"):
        decompose(cube, algorithm, normalize_poissonian_noise=True, **options)


def test_what_was_fitted_is_what_is_given() -> None:
    cube = as_cube(counts(), signal="energy").chunk({"y": 4})
    fitted, mask = PCA(3).fit(cube), masks((9, 11), 30)["signal_mask"]
    with no_compute():
        with pytest.raises(CubeError, match=r"'energy': 20.*'energy': 30"):
            decompose(cube.isel(energy=slice(0, 20)), fitted)
        with pytest.raises(ParameterError, match="signal_mask that leaves"):
            decompose(cube, fitted, signal_mask=mask)
        with pytest.raises(ParameterError, match="normalize_poissonian_noise with an estimator that is fitted"):
            decompose(cube, fitted, normalize_poissonian_noise=True)
    found = decompose(cube, PCA(3), signal_mask=mask)
    again = decompose(cube, found.estimator, signal_mask=mask)
    np.testing.assert_array_equal(again.loadings.values, found.loadings.values)


def test_loadings_are_a_cube() -> None:
    loadings = decompose(as_cube(counts(), signal="energy"), output_dimension=4).load().loadings
    found = decompose(loadings, output_dimension=2, centre="navigation")
    alike = loadings.rename(component="channel")
    expected = decompose(alike, output_dimension=2, centre="navigation")
    assert found.factors.dims == ("component", "component_of_signal")
    assert found.mean is not None
    assert found.mean.dims == ("component_of_signal",)
    np.testing.assert_array_equal(found.factors, expected.factors)
    np.testing.assert_array_equal(found.loadings, expected.loadings)
    assert dict(found.to_dataset().sizes) == {"y": 9, "x": 11, "component": 2, "component_of_signal": 4}
    model = found.model()
    assert model.dims == loadings.dims
    xr.testing.assert_identical(model.component, loadings.component)
    np.testing.assert_array_equal(model, expected.model())


@pytest.mark.parametrize("dim", ["component", "sweep", "mean"])
@pytest.mark.parametrize("model", [PCA(2), NMF(2, random_state=0), ICA(2, algorithm="orthomax", diff_order=0)])
def test_a_signal_dim_may_have_a_name_of_the_model(tmp_path: Path, model: Any, dim: str) -> None:
    cube = as_cube(counts(), signal="energy").assign_coords(energy=("energy", np.arange(30) * 0.5, {"role": "signal"}))
    cube = cube.rename(energy=dim)
    model.fit(cube).save(tmp_path / "model.zarr")
    again = type(model).load(tmp_path / "model.zarr")
    scores = model.transform(cube)
    xr.testing.assert_identical(again.transform(cube).compute(), scores.compute())
    back = again.inverse_transform(scores)
    assert back.dims == cube.dims
    xr.testing.assert_identical(back[dim], cube[dim])
    assert model.variables()["components"].shape == (2, 30)


@pytest.mark.parametrize("name", [None, "counts"])
def test_models_have_the_name_of_the_cube(name: str | None) -> None:
    cube = as_cube(counts(), signal="energy", name=name).chunk({"y": 4})
    fitted = PCA(3).fit(cube)
    for found in (
        decompose(cube, fitted),
        decompose(cube, fitted, navigation_mask=masks((9, 11), 30)["navigation_mask"]),
    ):
        assert (found.model().name, found.residuals().name) == (name, name)
    assert (fitted.model(cube).name, fitted.residuals(cube).name) == (name, name)


def test_negative_values_have_no_poisson_noise() -> None:
    cube = as_cube(counts().astype(np.float32) - 3, signal="energy")
    for algorithm in ("PCA", PCA(2)):
        with pytest.raises(DataError, match=r"below 0|down to"):
            decompose(cube, algorithm, normalize_poissonian_noise=True)


@pytest.mark.parametrize("components", [0, 5, [4], [1, 1], True, "two", 1.5])
def test_components_are_checked(components: Any) -> None:
    found = decompose(as_cube(counts(), signal="energy"), output_dimension=4)
    with pytest.raises(ParameterError):
        found.model(components)


# --- reads and memory -------------------------------------------------------------------------------------------------


def stored(folder: Path, values: np.ndarray) -> xr.DataArray:
    as_cube(values, signal="energy", name="counts").chunk({"y": 3, "x": 11}).to_dataset().to_zarr(
        folder / "scan.zarr", zarr_format=3, consolidated=False
    )
    return refold.open(folder / "scan.zarr")


@pytest.mark.parametrize(
    ("options", "sweeps"),
    [({}, 1), ({"normalize_poissonian_noise": True}, 1), ({"solver": "subspace", "output_dimension": 3}, None)],
)
def test_reads(tmp_path: Path, options: dict[str, Any], sweeps: int | None) -> None:
    cube = stored(tmp_path, counts())
    with count_reads() as reads:
        found = decompose(cube, **options)
        assert sweeps in (None, found.n_sweeps)
        assert set(reads.under("scan.zarr").values()) == {found.n_sweeps}
        reads.reset()
        dask.compute(found.loadings, found.model(3), found.residuals(3))
        assert set(reads.under("scan.zarr").values()) == {1}


def test_models_are_written_by_a_sweep(tmp_path: Path) -> None:
    cube = stored(tmp_path, counts())
    model = decompose(cube).model(3)
    target = zarr.create_array(tmp_path / "model.zarr", shape=model.shape, chunks=(1, 11, 30), dtype=model.dtype)
    with count_reads() as reads:
        refold.sweep(model, refold.ZarrWriter(target, shared=True))
        assert set(reads.under("scan.zarr").values()) == {1}
    np.testing.assert_array_equal(target[:], model.values)


def test_a_dataset_of_it_goes_to_disk_in_one_read(tmp_path: Path) -> None:
    found = decompose(stored(tmp_path, counts()), centre="signal", output_dimension=3)
    with count_reads() as reads:
        found.to_dataset().to_zarr(tmp_path / "found.zarr", zarr_format=3, consolidated=False)
        assert set(reads.under("scan.zarr").values()) == {1}
    again = xr.open_zarr(tmp_path / "found.zarr", consolidated=False)
    np.testing.assert_array_equal(again.loadings.values, found.loadings.values)
    assert again["mean"].dims == ("y", "x")


LARGE = """
import sys, numpy as np, dask.array as da, zarr, refold
path, rows = sys.argv[1], int(sys.argv[2])
def made(block_info=None):
    shape = block_info[None]["chunk-shape"]
    rng = np.random.default_rng(block_info[None]["chunk-location"][0])
    return rng.poisson(rng.gamma(2, 3, (*shape[:2], 1)) * np.linspace(1, 5, shape[2])).astype(np.float32)
array = da.map_blocks(made, chunks=((16,) * (rows // 16), (256,), (256,)), dtype=np.float32)
cube = refold.as_cube(array, signal="energy")
from refold.engine import settings
with settings(memory="64MB", workers=2):
    found = refold.decompose(cube, output_dimension=5, normalize_poissonian_noise=True)
    model = found.model(3)
    target = zarr.create_array(path, shape=model.shape, chunks=(8, 64, 256), dtype="f4")
    refold.sweep(model, refold.ZarrWriter(target, shared=True))
print(found.n_sweeps)
"""


@pytest.mark.slow
def test_eight_times_larger_than_memory(tmp_path: Path) -> None:
    budget = 64_000_000
    base = limit_memory(2**40, LARGE, tmp_path / "small.zarr", 32).peak
    used = limit_memory(base + 2 * budget, LARGE, tmp_path / "model.zarr", 8 * budget // (256 * 256 * 4))
    assert used.stdout.strip() == "1"
