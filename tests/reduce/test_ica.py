"""Laws of blind source separation: sources found, row-pure, lazy, the same from any chunks, saved and loaded."""

from __future__ import annotations

from pathlib import Path

import dask.array as da
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
from refold.engine import settings, sweep
from refold.errors import CubeError, ParameterError, RefoldWarning
from refold.planning import Grid
from refold.reduce import ICA, MNF, NMF, PCA, decompose, separate
from refold.reduce.sources.loading import Tiles
from tests.guards import count_reads, limit_memory, no_compute

ENERGY = np.arange(150)
DOSE = 500  # counts a pixel


def spectra() -> np.ndarray:
    """Three elements, each with two lines of its own and a background that all share, of area 1."""
    lines = [(20, 90), (45, 110), (70, 130)]
    peaks = np.stack([sum(np.exp(-((ENERGY - at) ** 2) / 12) for at in pair) for pair in lines])
    whole = peaks + 0.3 * np.exp(-ENERGY / 60)
    return whole / whole.sum(axis=1, keepdims=True)


def maps(shape: tuple[int, ...] = (24, 30)) -> np.ndarray:
    """How much of each there is: patches, of thickness that varies."""
    rng = np.random.default_rng(1)
    shares = rng.dirichlet([0.4] * 3, tuple(-(-size // 4) for size in shape))
    whole = shares[tuple(np.indices(shape) // 4)]
    return whole * (0.6 + 0.8 * rng.random(shape))[..., None]


def phantom(shape: tuple[int, ...] = (24, 30), dose: float = DOSE) -> xr.DataArray:
    counts = np.random.default_rng(2).poisson(dose * maps(shape) @ spectra()).astype(np.uint16)
    coords = {"energy": (ENERGY * 0.02 + 0.1, {"units": "keV"}), "x": (np.arange(shape[-1]) * 2.0, {"units": "nm"})}
    return as_cube(counts, signal="energy", coords=coords, name="counts")


def matched(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Correlations of rows with those of the truth, each with another, at best."""
    found, truth = (rows.reshape(len(rows), -1) for rows in (found, truth))
    table = np.abs(np.corrcoef(found, truth)[: len(found), len(found) :])
    return table[scipy.optimize.linear_sum_assignment(-table)]


# Their tables of two to five features leave components too little to vary in, or to settle by.
@pytest.mark.filterwarnings("ignore:fastica still moved:sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:. components vary in:refold.errors.RefoldWarning")
@parametrize_with_checks([ICA(2, diff_order=0), ICA(2, algorithm="orthomax", on="loadings", diff_order=0)])
def test_scikit_learns_own_checks(estimator, check) -> None:
    check(estimator)


# --- sources ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["fastica", "orthomax"])
@pytest.mark.parametrize("diff_order", [1, 2])
def test_sources_are_found_by_their_spectra(algorithm: str, diff_order: int) -> None:
    cube = phantom()
    model = ICA(3, algorithm=algorithm, diff_order=diff_order).fit(cube)
    assert matched(model.components_, spectra()).min() > 0.95
    assert matched(np.moveaxis(model.transform(cube).values, -1, 0), np.moveaxis(maps(), -1, 0)).min() > 0.95
    # Principal components are no sources.
    assert matched(PCA(3, center=False).fit(cube).components_, spectra()).min() < 0.8


@pytest.mark.parametrize("algorithm", ["fastica", "orthomax"])
def test_sources_are_found_by_their_maps(algorithm: str) -> None:
    particles = np.random.default_rng(0).random((3, 24, 30)) < 0.08  # sparse, and independent
    counts = np.random.default_rng(1).poisson(DOSE * np.moveaxis(particles, 0, -1) @ spectra())
    cube = as_cube(counts, signal="energy")
    model = ICA(3, algorithm=algorithm, on="loadings", diff_order=0).fit(cube)
    assert matched(model.components_, spectra()).min() > 0.95
    assert matched(np.moveaxis(model.transform(cube).values, -1, 0), particles.astype(float)).min() > 0.95


def test_energy_and_signs() -> None:
    cube = phantom()
    model = ICA(3, decomposition=PCA(3, center=False, scaling="poisson")).fit(cube)
    assert np.all(np.diff(model.explained_variance_) <= 0)
    base = model.decomposition_
    np.testing.assert_allclose(model.explained_variance_ratio_.sum(), base.explained_variance_ratio_.sum())
    largest = np.argmax(np.abs(model.components_), axis=1)
    assert np.all(model.components_[np.arange(3), largest] > 0)
    np.testing.assert_allclose(model.unmixing_ @ (base.components_ / base.scale_), model.components_)


def test_by_hand() -> None:
    """Differentiated, masked, whitened and unmixed with NumPy and scikit-learn alone."""
    cube = phantom()
    mask = np.isin(ENERGY, [20, 21, 45])
    base = PCA(3, center=False).fit(cube)
    model = separate(base, mask=mask, random_state=3)
    factors = base.components_.T
    slopes = np.gradient(factors, cube.energy.values, axis=0)
    near = mask | np.roll(mask, 1) | np.roll(mask, -1)
    centred = slopes[~near] - slopes[~near].mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(centred.T, bias=True))
    whitening = (vectors / np.sqrt(values)).T[::-1]
    judge = sklearn.decomposition.FastICA(whiten=False, tol=1e-10, random_state=3).fit(centred @ whitening.T)
    unmixing = judge.components_ @ whitening
    assert model.n_samples_ == 147
    assert matched(model.components_, unmixing @ factors.T).min() > 1 - 1e-9
    scores = base.transform(cube).values.reshape(-1, 3) @ np.linalg.inv(unmixing)
    assert matched(model.transform(cube).values.reshape(-1, 3).T, scores.T).min() > 1 - 1e-9


@pytest.mark.parametrize("on", ["factors", "loadings"])
@pytest.mark.parametrize("whiten", ["pca", "zca", None])
def test_models_are_those_of_the_decomposition(on: str, whiten: str | None) -> None:
    cube = phantom().astype(float)
    model = ICA(3, on=on, whiten=whiten, algorithm="orthomax").fit(cube)
    base = model.decomposition_
    np.testing.assert_allclose(model.model(cube), base.model(cube), atol=1e-6 * DOSE)
    xr.testing.assert_allclose(model.residual(cube), base.residual(cube))
    rebuilt = model.transform(cube).values @ model.components_
    np.testing.assert_allclose(rebuilt, base.model(cube), atol=1e-4 * DOSE)


def test_a_pattern_is_differentiated_along_both_axes() -> None:
    rng = np.random.default_rng(0)
    y, x = np.indices((12, 14))
    discs = np.stack([np.hypot(y - at[0], x - at[1]) < 2.5 for at in ((3, 3), (8, 5), (6, 11))]).reshape(3, -1)
    cube = as_cube(rng.poisson(20 * maps((9, 10)) @ discs + 1).reshape(9, 10, 12, 14), signal=("ky", "kx"))
    for axes in (None, ["ky", "kx"], "kx"):
        model = ICA(3, diff_axes=axes).fit(cube)
        assert matched(model.components_, discs.astype(float)).min() > 0.95
    assert model.variables().components.dims == ("component", "ky", "kx")
    np.testing.assert_allclose(ICA(3, diff_axes=("ky", "kx")).fit(cube).unmixing_, ICA(3).fit(cube).unmixing_)
    with pytest.raises(ParameterError, match="energy"):
        ICA(3, diff_axes=["energy"]).fit(cube)


@given(st.sampled_from(["factors", "loadings"]), st.integers(1, 2))
def test_direction_and_unit_of_an_axis_do_not_matter(on: str, order: int) -> None:
    cube = phantom((8, 9)).astype(float)
    dim = "energy" if on == "factors" else "x"
    model = ICA(3, on=on, diff_order=order, diff_axes=dim, algorithm="orthomax").fit(cube)
    turned = cube.isel({dim: slice(None, None, -1)})
    turned = turned.assign_coords({dim: (dim, 1000 * turned[dim].values, turned[dim].attrs)})
    other = ICA(3, on=on, diff_order=order, diff_axes=dim, algorithm="orthomax").fit(turned)
    back = other.components_[:, ::-1] if on == "factors" else other.components_
    assert matched(back, model.components_).min() > 1 - 1e-6


def test_coordinates_in_no_order_are_counted() -> None:
    cube = phantom((8, 9))
    plain = ICA(3).fit(cube.assign_coords(energy=("energy", np.arange(150.0), {"role": "signal"})))
    shuffled = np.random.default_rng(0).permutation(150).astype(float)
    other = ICA(3).fit(cube.assign_coords(energy=("energy", shuffled, {"role": "signal"})))
    np.testing.assert_array_equal(other.components_, plain.components_)


# --- starting points --------------------------------------------------------------------------------------------------


def test_a_fitted_model_is_not_fitted_again() -> None:
    cube = phantom().chunk({"y": 6})
    base = PCA(5, center=False).fit(cube)
    with no_compute():
        model = ICA(3, decomposition=base).fit(cube)
        same = separate(base, 3)
    assert (model.n_sweeps_, same.n_sweeps_) == (0, 0)
    np.testing.assert_array_equal(same.components_, model.components_)
    xr.testing.assert_identical(same.transform(cube), model.transform(cube))
    assert model.decomposition_ is base
    alone = ICA(3).fit(cube)
    assert alone.n_sweeps_ == 1
    assert matched(alone.components_, model.components_).min() > 0.999
    assert separate(base, 3, on="loadings", cube=cube).n_sweeps_ == 1
    with pytest.raises(ParameterError, match="without a cube"):
        separate(base, 3, on="loadings")
    with pytest.raises(ParameterError, match="1 to 5"):
        separate(base, 6)
    with pytest.raises(CubeError):
        ICA(3, decomposition=base).fit(cube[..., :9])


@pytest.mark.parametrize("base", [PCA(3), PCA(3, scaling="poisson", center=False), MNF(3)])
def test_any_decomposition_is_a_start(base) -> None:
    cube = phantom()
    model = ICA(decomposition=base).fit(cube)
    assert not hasattr(base, "components_")
    # About a mean there are two directions between three sources.
    assert matched(model.components_, spectra()).min() > (0.0 if model.mean_.any() else 0.95)
    np.testing.assert_allclose(model.model(cube), model.decomposition_.model(cube), atol=1e-3 * DOSE)


@pytest.mark.parametrize("on", ["factors", "loadings"])
@pytest.mark.parametrize("base", [None, MNF(3)])
def test_the_sweep_may_be_made_elsewhere(on: str, base) -> None:
    cube = phantom().chunk({"y": 6})
    model = ICA(3, on=on, decomposition=base)
    settled = ICA(3, on=on, decomposition=base).settle(cube, sweep(cube, *model.visitors(cube)))
    np.testing.assert_array_equal(settled.components_, model.fit(cube).components_)
    ready = ICA(3, on=on, decomposition=model.decomposition_)
    assert ready.visitors(cube) == ()
    np.testing.assert_array_equal(ready.settle(cube, ()).components_, model.components_)


def test_some_sources_of_weighted_rows() -> None:
    cube = phantom().astype(float)
    model = ICA(3, decomposition=PCA(3, scaling="poisson", center=False)).fit(cube)
    roots = np.sqrt(cube.values.sum(axis=-1, keepdims=True))
    for kept in ([0], [1, 2], [0, 1, 2]):
        some = roots * (model.transform(cube).values[..., kept] @ model.components_[kept])
        np.testing.assert_allclose(model.model(cube, kept), some, atol=1e-2)
        found = decompose(cube, model)
        np.testing.assert_allclose(
            found.model(kept), found.loadings.values[..., kept] @ found.factors.values[kept], atol=1e-2
        )


# --- cubes ------------------------------------------------------------------------------------------------------------


@given(st.integers(2, 6), st.integers(3, 7), st.integers(50, 150), st.sampled_from([None, "poisson"]))
def test_scores_do_not_depend_on_chunks(y: int, x: int, energy: int, scaling: str | None) -> None:
    cube = phantom((6, 7))
    model = ICA(3, decomposition=PCA(3, scaling=scaling, center=False)).fit(cube)
    cut = cube.chunk({"y": y, "x": x, "energy": energy})
    np.testing.assert_array_equal(model.transform(cut).values, model.transform(cube).values)
    np.testing.assert_array_equal(model.model(cut, [1]).values, model.model(cube, [1]).values)


def test_same_bytes_on_threads_and_processes(two_processes) -> None:
    cube = phantom().chunk({"y": 4, "x": 9})
    grid = Grid(edges=((0, 4, 8, 16, 24), (0, 9, 30)), n_partitions=3)
    model, found = ICA(3, on="loadings"), []
    for workers in (1, 2):
        with settings(workers=workers):
            results = sweep(cube, *model.visitors(cube), grid=grid)
            found.append(model.settle(cube, results).components_)
    with settings(client=two_processes):
        results = sweep(cube, *model.visitors(cube), grid=grid)
        found.append(model.settle(cube, results).components_)
    np.testing.assert_array_equal(found[1], found[0])
    np.testing.assert_array_equal(found[2], found[0])


@pytest.mark.parametrize(("on", "sweeps"), [("factors", 1), ("loadings", 2)])
def test_sweeps_are_counted(tmp_path: Path, on: str, sweeps: int) -> None:
    phantom().drop_encoding().to_dataset(name="scan").chunk({"y": 6}).to_zarr(tmp_path / "scan.zarr", zarr_format=3)
    with count_reads() as reads:
        cube = xr.open_zarr(tmp_path / "scan.zarr").scan
        reads.reset()
        model = ICA(3, on=on).fit(cube)
        assert set(reads.under("/scan/").values()) == {sweeps}
        assert model.n_sweeps_ == sweeps
        with no_compute():
            scores = model.transform(cube)
            model.model(cube, components=2)
            model.inverse_transform(scores)
    assert scores.dims == ("y", "x", "component")
    assert scores.x.attrs["units"] == "nm"


@pytest.mark.parametrize("on", ["factors", "loadings"])
def test_pixels_that_are_not_finite_are_left_out(on: str) -> None:
    cube = phantom().astype(np.float32)
    broken = cube.copy(deep=True)
    broken[3, 4, 7], broken[10], broken[20, 29, 0] = np.nan, np.nan, np.inf
    model = ICA(3, on=on, algorithm="orthomax").fit(broken.chunk({"y": 7}))
    assert matched(model.components_, ICA(3, on=on, algorithm="orthomax").fit(cube).components_).min() > 0.99
    lost = ~np.isfinite(broken.values).all(axis=-1)
    np.testing.assert_array_equal(np.isnan(model.transform(broken).values).all(axis=-1), lost)
    np.testing.assert_array_equal(model.transform(broken).values[~lost], model.transform(cube).values[~lost])


def test_masked_pixels_do_not_matter() -> None:
    cube = phantom().astype(float)
    mask = np.zeros((24, 30), bool)
    mask[5:9, 7:12] = True
    spoiled = cube.where(~xr.DataArray(mask, dims=("y", "x")), 7.0)
    base = PCA(3, center=False).fit(cube)
    options = {"on": "loadings", "mask": xr.DataArray(mask.T, dims=("x", "y"))}
    one, other = (separate(base, cube=given_cube, **options) for given_cube in (cube, spoiled))
    np.testing.assert_array_equal(one.unmixing_, other.unmixing_)
    assert one.n_samples_ == 24 * 30 - 20
    with pytest.raises(ParameterError, match="mask"):
        separate(base, on="loadings", cube=cube, mask=mask.T)


@pytest.mark.parametrize("on", ["factors", "loadings"])
@pytest.mark.parametrize("shape", [(1, 80), (80, 1), (80,), (3, 4, 8)])
def test_lines_and_stacks(on: str, shape: tuple[int, ...]) -> None:
    cube = phantom(shape)
    model = ICA(2, on=on, algorithm="orthomax").fit(cube)
    assert model.transform(cube).shape == (*shape, 2)
    assert np.isfinite(model.components_).all()


# --- more pixels than are kept ----------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 90), min_size=1, max_size=3), st.integers(1, 20_000), st.integers(0, 9))
def test_tiles(shape: list[int], most: int, seed: int) -> None:
    tiles = Tiles(tuple(shape), most, seed)
    seen = np.zeros(shape, int)
    for part in tiles.parts:
        seen[part] += 1
    assert seen.max() == 1
    np.testing.assert_array_equal(tiles.holding(np.arange(seen.size)), seen.ravel() == 1)
    assert seen.sum() <= max(most, np.prod(tiles.sides))
    assert tiles.whole == (seen.size <= most) == bool(seen.all() and len(tiles.parts) == 1 and most >= seen.size)


def test_a_sample_of_the_loadings() -> None:
    cube = phantom((120, 130)).chunk({"y": 17, "x": 40})
    whole = ICA(3, on="loadings", algorithm="orthomax").fit(cube)
    with settings(memory="6MB", workers=1):
        model = ICA(3, on="loadings", algorithm="orthomax").fit(cube)
        other = ICA(3, on="loadings", algorithm="orthomax", decomposition=model.decomposition_).fit(
            cube.chunk({"y": 40})
        )
    assert not whole.sampled_
    assert whole.n_samples_ == 120 * 130
    assert model.sampled_
    assert 1024 <= model.n_samples_ <= 6_000_000 // (64 * 32)
    np.testing.assert_array_equal(other.unmixing_, model.unmixing_)
    assert matched(model.components_, whole.components_).min() > 0.95


@pytest.mark.slow
@pytest.mark.parametrize("on", ["factors", "loadings"])
def test_eight_times_the_memory(on: str) -> None:
    budget = 64_000_000
    limit_memory(
        budget + 450_000_000,  # beside the interpreter, its libraries and their threads
        """
        import dask.array as da, numpy as np, sys, refold
        from refold.engine import settings

        energy = np.arange(500)
        spectra = np.stack([np.exp(-((energy - at) ** 2) / 200) for at in (100, 240, 400)]).astype("f4")

        def made(block_id=None):
            rng = np.random.default_rng(block_id[0])
            some = (rng.random((16, 500, 3), dtype="f4") < 0.05).astype("f4")
            return some @ spectra + 0.1 * rng.standard_normal((16, 500, 500), dtype="f4")

        data = da.map_blocks(made, chunks=((16,) * 32, (500,), (500,)), dtype="f4", meta=np.empty((0, 0, 0), "f4"))
        cube = refold.as_cube(data, signal="energy")
        assert cube.nbytes >= 8 * int(sys.argv[1])
        with settings(memory=int(sys.argv[1]), workers=2):
            model = refold.ICA(3, on=sys.argv[2], diff_order=int(sys.argv[2] == "factors")).fit(cube)
        table = np.abs(np.corrcoef(model.components_, spectra)[:3, 3:])
        assert table.max(axis=0).min() > 0.95, table
        assert model.sampled_ == (sys.argv[2] == "loadings"), model.n_samples_
        """,
        budget,
        on,
    )


# --- saved and loaded -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", [None, PCA(4, scaling="poisson", center=False), MNF(3)])
def test_saved_and_loaded(tmp_path: Path, base) -> None:
    cube = phantom()
    model = ICA(3, decomposition=base).fit(cube)
    model.save(tmp_path / "model.zarr")
    back = ICA.load(tmp_path / "model.zarr")
    xr.testing.assert_identical(back.transform(cube), model.transform(cube))
    xr.testing.assert_identical(back.model(cube, 2), model.model(cube, 2))
    xr.testing.assert_identical(back.to_dataset(), model.to_dataset())
    assert {**back.get_params(deep=False), "decomposition": base} == model.get_params(deep=False)
    xr.testing.assert_identical(back.decomposition_.to_dataset(), model.decomposition_.to_dataset())
    table = ICA(2, diff_order=0).fit(cube.values.reshape(720, 150).astype(float))
    again = ICA.from_dataset(table.to_dataset())
    np.testing.assert_array_equal(again.transform(np.ones((2, 150))), table.transform(np.ones((2, 150))))


def test_declared_variables() -> None:
    variables = ICA(3).fit(phantom()).variables()
    assert variables.components.dims == ("component", "energy")
    assert variables.components.energy.attrs["units"] == "keV"
    assert variables.explained_variance_ratio.dims == ("component",)


# --- what is said -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["fastica", "orthomax"])
def test_a_search_that_does_not_settle_is_told(algorithm: str) -> None:
    with pytest.warns(ConvergenceWarning, match=f"{algorithm} still moved after 1 steps.*max_iter"):
        model = ICA(3, algorithm=algorithm, max_iter=1).fit(phantom())
    assert not model.converged_


def test_what_does_not_vary_is_told() -> None:
    cube = as_cube(maps((8, 9)) @ np.stack([spectra()[0], np.ones(150), spectra()[1]]), signal="energy")
    with pytest.warns(RefoldWarning, match="vary in 2 directions"):
        model = ICA(3).fit(cube)
    assert matched(model.components_, np.stack([spectra()[0], ENERGY, spectra()[1]])).max() > 0.95


@pytest.mark.parametrize(
    "wrong",
    [
        {"algorithm": "jade"},
        {"on": "maps"},
        {"whiten": "cholesky"},
        {"fun": "tanh"},
        {"diff_order": -1},
        {"max_iter": 0},
        {"gamma": 2},
        {"tol": -1},
        {"n_components": None},
        {"n_components": 0},
        {"mask": np.zeros(7, bool)},
        {"mask": np.ones(150, bool)},
        {"decomposition": NMF(3)},
    ],
)
def test_options_are_checked(wrong: dict) -> None:
    with pytest.raises(ValueError, match="found"):
        ICA(**{"n_components": 3, **wrong}).fit(phantom((8, 9)))


def test_a_signal_of_one_channel_has_no_derivative() -> None:
    cube = as_cube(np.arange(12.0).reshape(3, 4, 1), signal="energy")
    with pytest.raises(ParameterError, match="diff_order=0"):
        ICA(1).fit(cube)
    assert da.asarray(cube.data).shape == (3, 4, 1)
