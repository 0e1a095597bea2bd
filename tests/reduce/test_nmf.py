"""Laws of NMF: as good as scikit-learn's, sources of phantoms found, row-pure, few sweeps."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import scipy.optimize
import sklearn.decomposition
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import parametrize_with_checks

from refold.cube import as_cube
from refold.engine import Block, Where, settings, sweep
from refold.errors import DataError, ParameterError
from refold.planning import Grid
from refold.reduce import NMF
from refold.reduce.nonnegative.alternating import alternate
from refold.reduce.nonnegative.kernels import least_squares
from refold.reduce.nonnegative.unmixing import Sums, Unmix
from refold.source import synthetic
from tests.guards import count_reads, limit_memory, no_compute


def counts(shape: tuple[int, ...] = (12, 15), features: int = 30, dose: float = 200.0, seed: int = 0) -> np.ndarray:
    """Poisson counts of three sources."""
    rng = np.random.default_rng(seed)
    parts = rng.dirichlet([0.3] * 3, shape) * rng.uniform(0.5, 1.5, (*shape, 1))
    return rng.poisson(dose * parts @ rng.dirichlet([0.3] * features, 3)).astype(np.uint16)


def cube_of(array: np.ndarray) -> xr.DataArray:
    return as_cube(array, signal="energy")


def matched(truth: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Correlation of each true source with its own of those found."""
    table = np.corrcoef(np.vstack([truth, found]))[: len(truth), len(truth) :]
    return table[scipy.optimize.linear_sum_assignment(-table)]


@parametrize_with_checks([NMF(2), NMF(2, negative="clip"), NMF(2, scaling="poisson", init="random")])
def test_scikit_learns_own_checks(estimator, check) -> None:
    check(estimator)


# --- loadings ---------------------------------------------------------------------------------------------------------


@given(st.integers(1, 9), st.integers(1, 12), st.integers(0, 1000), st.booleans())
def test_least_squares_equal_scipys(components: int, features: int, seed: int, alike: bool) -> None:
    rng = np.random.default_rng(seed)
    factors = rng.random((components, features)) + (5 if alike else 0)
    rows = rng.normal(size=(20, features)) + rng.random((20, components)) @ factors
    found, explained = least_squares(factors @ factors.T, rows @ factors.T)
    assert (found >= 0).all()
    left = np.sum((rows - found @ factors) ** 2, axis=1)
    np.testing.assert_allclose(np.sum(rows**2, axis=1) - explained, left, rtol=1e-6, atol=1e-6)
    judge = [scipy.optimize.nnls(factors.T, row)[1] for row in rows]
    np.testing.assert_allclose(np.sqrt(left), judge, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("length", [1e-8, 1e-4, 1e6])
def test_short_factors_are_not_lost_beside_long_ones(length: float) -> None:
    rng = np.random.default_rng(0)
    factors, weights = rng.random((3, 40)), rng.random((5, 3))
    factors[1] *= length
    weights[:, 1] /= length
    found, _ = least_squares(factors @ factors.T, weights @ factors @ factors.T)
    np.testing.assert_allclose(found, weights, rtol=1e-8)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scaling", [None, "poisson"])
def test_row_pure(dtype: str, scaling: str | None) -> None:
    rows = counts((60,)).astype(dtype)
    model = NMF(3, scaling=scaling).fit(rows)
    alone = np.vstack([model.transform(rows[at : at + 1]) for at in range(60)])
    np.testing.assert_array_equal(alone, model.transform(rows))
    assert alone.dtype == dtype
    cube = cube_of(rows.reshape(6, 10, 30))
    np.testing.assert_array_equal(model.transform(cube.chunk({"y": 4, "x": 3})).values, model.transform(cube).values)
    np.testing.assert_array_equal(model.residual(cube.chunk({"y": 5})).values, model.residual(cube).values)


@pytest.mark.parametrize("scaling", [None, "poisson"])
def test_the_sums_are_those_of_the_scaled_rows(scaling: str | None) -> None:
    rows, rng = counts((50,)).astype(float), np.random.default_rng(1)
    rows[4] = 0
    factors, scale = rng.random((3, 30)), rng.uniform(0.5, 2, 30) if scaling else None
    weights = np.where(rows.sum(1) > 0, 1 / np.sqrt(np.maximum(rows.sum(1), 1)), 0) if scaling else np.ones(50)
    visitor = Unmix(factors, scale, weighted=scaling == "poisson")
    states = [visitor.start(), visitor.start()]
    visitor.visit(states[0], Block(rows[:20], 1), Where((slice(0, 20),), (50,)))
    visitor.visit(states[1], Block(rows[20:], 1), Where((slice(20, 50),), (50,)))
    sums = visitor.finish(visitor.merge(*states))
    scaled = rows * weights[:, None] * (1 if scale is None else scale)
    loadings = np.array([scipy.optimize.nnls(factors.T, row)[0] for row in scaled])
    np.testing.assert_allclose(sums.gram, loadings.T @ loadings, rtol=1e-8)
    np.testing.assert_allclose(sums.cross, loadings.T @ scaled, rtol=1e-8)
    np.testing.assert_allclose(sums.error, np.linalg.norm(scaled - loadings @ factors), rtol=1e-8)


def test_extrapolation_saves_looks_and_never_ends_worse() -> None:
    rows = counts((40, 40), dose=100.0).reshape(-1, 30).astype(float)

    def look(factors: np.ndarray) -> Sums:
        visitor = Unmix(factors, None)
        state = visitor.start()
        visitor.visit(state, Block(rows, 1), Where((slice(0, len(rows)),), (len(rows),)))
        return visitor.finish(state)

    factors = start = np.random.default_rng(3).random((3, 30))
    plain = []
    for _ in range(60):
        sums = look(factors)
        plain.append(sums.error)
        factors = sums.factors(factors)
    assert np.all(np.diff(plain) <= 1e-9 * plain[0])  # exact halves never rise
    found = alternate(look, start, tol=0, max_iter=30)
    assert found.error == min(found.errors) <= plain[-1] * (1 + 1e-6)


# --- factors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_error_is_as_low_as_scikit_learns(seed: int) -> None:
    rows = counts((20, 20), seed=seed).reshape(400, 30).astype(float)
    model = NMF(3).fit(rows)
    for solver in ("cd", "mu"):
        judge = sklearn.decomposition.NMF(3, init="nndsvda", solver=solver, max_iter=3000, tol=1e-6).fit(rows)
        assert model.reconstruction_error_ <= 1.001 * judge.reconstruction_err_
        assert np.all(matched(judge.components_, model.components_) > 0.99)
    left = np.linalg.norm(rows - model.model(rows))
    np.testing.assert_allclose(model.reconstruction_error_, left, rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(model.residual(cube_of(rows))) * np.sqrt(30), left, rtol=1e-5)


def test_as_low_as_scikit_learns_on_core_shell(shared_data: Path) -> None:
    from refold.source import open as open_scan

    cube = open_scan(shared_data / "eds/core_shell.hspy")[::2, ::2, :500].load()
    rows = cube.values.reshape(-1, 500).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        judge = sklearn.decomposition.NMF(3, init="nndsvda", max_iter=100).fit(rows)
    model = NMF(3).fit(cube)
    assert model.reconstruction_error_ <= 1.0001 * judge.reconstruction_err_
    assert np.all(matched(judge.components_, model.components_) > 0.99)
    assert NMF(3, sample_size=100).fit(cube).reconstruction_error_ <= 1.001 * judge.reconstruction_err_


@pytest.mark.parametrize("scaling", [None, "poisson"])
def test_sources_of_a_phantom_are_found(scaling: str | None) -> None:
    """At 100 counts a spectrum of 256 channels."""
    phantom = synthetic.eds((32, 32), 256, phases=3, counts=100, background=0, grid=0, mixing=2.0, seed=1)
    truth, model = phantom.sources[2:], NMF(4, scaling=scaling).fit(phantom.cube)
    assert matched(truth, model.components_).min() > 0.995
    scores = model.transform(phantom.cube).values.reshape(-1, 4)
    assert matched(phantom.abundance.values.reshape(-1, 4).T, scores.T).min() > 0.95
    np.testing.assert_allclose(scores.sum(0) / phantom.cube.values.sum(), model.signal_ratio_, rtol=1e-3)


def test_poisson_weights_serve_weak_sources() -> None:
    errors = []
    for scaling in (None, "poisson"):
        phantom = synthetic.eds((32, 32), 256, phases=3, counts=30, background=0, grid=0, seed=1)
        errors.append(1 - matched(phantom.sources[2:], NMF(4, scaling=scaling).fit(phantom.cube).components_).min())
    assert errors[1] < 0.5 * errors[0]


@given(st.sampled_from([None, "poisson"]), st.sampled_from(["nndsvda", "random"]), st.integers(0, 50))
def test_scale_and_order_are_fixed(scaling: str | None, init: str, seed: int) -> None:
    model = NMF(3, scaling=scaling, init=init, max_iter=500).fit(cube_of(counts(seed=seed)))
    assert (model.components_ >= 0).all()
    np.testing.assert_allclose(model.components_.sum(1), 1)
    assert np.all(np.diff(model.signal_ratio_) <= 0)
    np.testing.assert_allclose(model.signal_ratio_.sum(), 1, rtol=0.03)


def test_random_starts_differ_by_their_seed() -> None:
    cube = cube_of(counts())
    one, again, other = (NMF(3, init="random", random_state=seed, tol=0.1).fit(cube) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.components_, again.components_)
    assert not np.array_equal(one.components_, other.components_)


def test_the_start_may_be_given() -> None:
    array = counts()
    first = NMF(3).fit(cube_of(array))
    again = NMF(3, init=first.components_).fit(cube_of(array))
    assert again.reconstruction_error_ <= first.reconstruction_error_ * (1 + 1e-6)
    with pytest.raises(ParameterError, match="nonnegative spectra"):
        NMF(3, init=first.components_[:2]).fit(cube_of(array))


@pytest.mark.parametrize("chunks", [{"y": 5, "x": 4}, {"y": 1}, {"y": 12, "energy": 7}])
def test_does_not_depend_on_chunks_or_memory(chunks: dict) -> None:
    whole = NMF(3, sample_size=60).fit(cube_of(counts()))
    with settings(memory="3MB", workers=2):
        parts = NMF(3, sample_size=60).fit(cube_of(counts()).chunk(chunks))
    np.testing.assert_allclose(parts.components_, whole.components_, atol=1e-6)
    np.testing.assert_allclose(parts.reconstruction_error_, whole.reconstruction_error_, rtol=1e-6)


def test_sweeps_are_counted_and_blocks_kept(tmp_path: Path) -> None:
    array = counts((80, 120)).astype(np.float32)
    cube_of(array).chunk({"y": 5, "x": 30}).to_dataset(name="scan").to_zarr(tmp_path / "scan.zarr")
    reads_by_memory = []
    for memory in ("1GB", "1.2MB"):
        with count_reads() as reads, settings(memory=memory, workers=1):
            cube = xr.open_zarr(tmp_path / "scan.zarr").scan
            reads.reset()
            model = NMF(3, sample_size=100, tol=1e-5).fit(cube)
            reads_by_memory.append(set(reads.under("/scan/").values()))
        assert model.n_sweeps_ == model.n_iter_ + 1 == len(model.errors_) + 1 > 3
    assert reads_by_memory[0] == {1}
    assert 1 < max(reads_by_memory[1]) <= model.n_sweeps_
    with no_compute():
        model.transform(cube)


def test_a_good_sample_leaves_few_sweeps() -> None:
    phantom = synthetic.eds((40, 40), 128, phases=3, counts=300, background=0, grid=0, mixing=2.0)
    model = NMF(4, sample_size=400).fit(phantom.cube)
    assert model.n_sweeps_ <= 8
    assert model.reconstruction_error_ <= 1.001 * NMF(4).fit(phantom.cube).reconstruction_error_


def test_the_first_sweep_may_be_shared(tmp_path: Path) -> None:
    cube = cube_of(counts())
    model = NMF(3)
    (moments,) = sweep(cube, model.first_visitor(cube))
    shared = model.fit(cube, moments=moments)
    alone = NMF(3).fit(cube)
    np.testing.assert_array_equal(shared.components_, alone.components_)
    assert shared.n_sweeps_ == alone.n_sweeps_ - 1


def test_same_bytes_on_threads_and_processes(two_processes) -> None:
    cube = cube_of(counts((30, 20))).chunk({"y": 4, "x": 9})
    grid = Grid(edges=((0, 4, 8, 16, 30), (0, 9, 20)), n_partitions=3)
    visitor = Unmix(np.random.default_rng(0).random((3, 30)), np.linspace(0.5, 2, 30), weighted=True)
    found = [sweep(cube, visitor, grid=grid, workers=workers)[0] for workers in (1, 2)]
    found.append(sweep(cube, visitor, grid=grid, client=two_processes)[0])
    for sums in found[1:]:
        np.testing.assert_array_equal(sums.cross, found[0].cross)
        assert (sums.square, sums.explained) == (found[0].square, found[0].explained)


# --- scans as they come -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scaling", [None, "poisson"])
def test_invalid_and_empty_pixels_and_dead_channels(scaling: str | None) -> None:
    array = counts().astype(np.float32)
    array[..., 7], array[2, :3], array[4, 4] = 0, 0, 0
    clean = NMF(3, scaling=scaling).fit(np.delete(array.reshape(-1, 30), 5 * 15 + 6, axis=0))
    array[5, 6, 3] = np.nan
    model = NMF(3, scaling=scaling).fit(cube_of(array))
    assert model.n_samples_ == 12 * 15 - 1
    np.testing.assert_allclose(model.components_, clean.components_, atol=2e-3)
    assert not model.components_[:, 7].any()
    scores = model.transform(cube_of(array)).values
    assert np.isnan(scores[5, 6]).all()
    assert np.isfinite(np.delete(scores.reshape(-1, 3), 5 * 15 + 6, axis=0)).all()
    assert not scores[2, :3].any()
    assert not model.residual(cube_of(array)).values[2, :3].any()


@pytest.mark.parametrize("shape", [(1, 80), (80, 1), (80,)])
def test_one_row(shape: tuple[int, ...]) -> None:
    array = counts((80,)).reshape(*shape, 30)
    np.testing.assert_array_equal(NMF(2).fit(cube_of(array)).components_, NMF(2).fit(counts((80,))).components_)


def test_more_components_than_rank() -> None:
    rng = np.random.default_rng(0)
    rows = rng.random((40, 2)) @ rng.random((2, 6))
    model = NMF(9).fit(rows)
    assert model.components_.shape == (9, 6)
    assert np.isfinite(model.components_).all()
    assert model.reconstruction_error_ < 1e-3 * np.linalg.norm(rows)
    np.testing.assert_allclose(model.model(rows), rows, atol=1e-2)
    constant = NMF(2).fit(np.full((10, 4), 3.0))
    np.testing.assert_allclose(constant.model(np.full((10, 4), 3.0)), 3.0, rtol=1e-6)


def test_negative_values_are_refused_or_clipped() -> None:
    array = counts().astype(np.float32) - 1
    array[0, 0, 0] = np.nan  # not a valid pixel
    count = int((array.reshape(-1, 30)[1:] < 0).sum())
    with pytest.raises(DataError, match=f"Negative values in data passed to NMF: {count} of {179 * 30}"):
        NMF(3).fit(cube_of(array))
    model, judge = NMF(3, negative="clip").fit(cube_of(array)), NMF(3).fit(cube_of(np.maximum(array, 0)))
    assert model.n_negative_ == count
    np.testing.assert_allclose(model.components_, judge.components_, atol=1e-6)
    np.testing.assert_array_equal(
        model.transform(cube_of(array)).values, judge.transform(cube_of(np.maximum(array, 0))).values
    )
    poisson = NMF(3, scaling="poisson", negative="clip").fit(cube_of(array))
    clipped = NMF(3, scaling="poisson").fit(cube_of(np.maximum(array, 0)))
    np.testing.assert_allclose(poisson.components_, clipped.components_, atol=1e-6)


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_components": 0},
        {"n_components": 0.9},
        {"init": "magic"},
        {"scaling": "standard"},
        {"negative": "keep"},
        {"tol": -1},
        {"sample_size": 0},
    ],
)
def test_options_are_checked(wrong: dict) -> None:
    with pytest.raises(ParameterError):
        NMF(**wrong).fit(cube_of(counts()))


def test_refusals() -> None:
    with pytest.raises(DataError, match="nothing above 0"):
        NMF(2).fit(cube_of(counts() * 0))
    with pytest.raises(DataError, match="not finite"):
        NMF(2).fit(cube_of(counts() * np.nan))
    with pytest.warns(ConvergenceWarning, match="still fell after 2 sweeps"):
        NMF(3, sample_size=5, max_iter=2, tol=0).fit(cube_of(counts()))


def test_saved_and_loaded(tmp_path: Path) -> None:
    cube = as_cube(counts(), signal="energy", coords={"energy": (np.arange(30.0), {"units": "keV"})}, name="X-rays")
    for name, model in {
        "poisson": NMF(3, scaling="poisson"),
        "given": NMF(3, init=np.ones((3, 30)) + np.eye(3, 30), random_state=np.random.default_rng(0)),
    }.items():
        model.fit(cube).save(tmp_path / name)
        back = NMF.load(tmp_path / name)
        xr.testing.assert_identical(back.transform(cube), model.transform(cube))
        xr.testing.assert_identical(back.model(cube, [0, 2]), model.model(cube, [0, 2]))
        np.testing.assert_array_equal(back.errors_, model.errors_)
        assert back.reconstruction_error_ == model.reconstruction_error_
        back.fit(cube)
    assert model.variables().components.energy.units == "keV"


LARGE = """
import dask.array as da, numpy as np, sys, refold
from refold.engine import settings

n = int(sys.argv[2])
spectra = np.random.default_rng(0).gamma(0.3, 1.0, (4, 500))

def made(block_id=None):
    rng = np.random.default_rng(block_id[0])
    return rng.poisson(rng.dirichlet([0.3] * 4, (4, 500)) @ spectra * 3).astype("f4")

data = da.map_blocks(made, chunks=((4,) * n, (500,), (500,)), dtype="f4", meta=np.empty((0, 0, 0), "f4"))
cube = refold.as_cube(data, signal="energy")
with settings(memory=int(sys.argv[1]), workers=2):
    model = refold.NMF(4, tol=1e-3).fit(cube)
table = np.corrcoef(np.vstack([spectra, model.components_]))[:4, 4:]
print(cube.nbytes, model.n_sweeps_, table.max(axis=1).min())
"""


@pytest.mark.slow
def test_eight_times_the_memory() -> None:
    budget = 64_000_000
    base = limit_memory(2**31, LARGE, budget, 2).peak
    n_bytes, sweeps, matching = map(float, limit_memory(base + budget, LARGE, budget, 128).stdout.split())
    assert n_bytes == 8 * budget
    assert sweeps <= 6
    assert matching > 0.95
