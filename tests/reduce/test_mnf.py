"""Laws of the minimum noise fraction: Spectral Python's answer in memory, every pair counted once, one sweep."""

from __future__ import annotations

import pickle
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.estimator_checks import parametrize_with_checks

from refold.cube import as_cube
from refold.engine import Block, Where, settings, sweep
from refold.engine.neighbours import DIRECTIONS, Neighbours
from refold.errors import DataError, ParameterError, RefoldWarning, StoreError
from refold.planning import Grid
from refold.reduce import MNF
from refold.source import synthetic
from tests import strategies
from tests.guards import count_reads, limit_memory, no_compute


def scene(shape: tuple[int, ...] = (12, 17), features: int = 9, seed: int = 0) -> np.ndarray:
    """Patches of three endmembers with noise whose deviation grows along the axis, and is correlated."""
    rng = np.random.default_rng(seed)
    patch = rng.integers(0, 3, tuple(-(-size // 6) for size in shape))[tuple(np.indices(shape) // 6)]
    noise = rng.normal(size=(*shape, features)) * np.linspace(0.1, 1, features)
    noise[..., 1:] += 0.5 * noise[..., :-1]
    return rng.gamma(2.0, 4.0, (3, features))[patch] + noise


def cube_of(array: np.ndarray) -> xr.DataArray:
    return as_cube(array, signal="wavelength")


@parametrize_with_checks([MNF(1)])
def test_scikit_learns_own_checks(estimator, check) -> None:
    check(estimator)


# --- the pairs --------------------------------------------------------------------------------------------------------


def pairs_by_hand(array: np.ndarray, direction: str) -> np.ndarray:
    """Differences of valid neighbours: of planes, of lines, of single rows or columns."""
    planes = array.reshape(-1, *(1, *array.shape)[-3:])
    down, across = DIRECTIONS[direction]
    rows, columns = planes.shape[1:3]
    if rows == 1 or columns == 1:
        down, across = int(rows > 1), int(columns > 1)
    if not (down or across):
        return np.empty((0, array.shape[-1]))
    first = planes[:, : rows - down, max(0, -across) : columns - max(0, across)]
    second = planes[:, down:, max(0, across) : columns - max(0, -across)]
    apart = (first.astype(float) - second.astype(float)).reshape(-1, array.shape[-1])
    return apart[np.isfinite(apart).all(axis=1)]


@pytest.mark.filterwarnings("ignore:invalid value encountered in subtract")  # of infinities, in the judge
@given(strategies.cubes(signal=(1,), invalid=True, min_features=2), st.sampled_from(list(DIRECTIONS)), st.data())
def test_every_pair_counts_once_for_any_chunking(cube: xr.DataArray, direction: str, data: st.DataObject) -> None:
    expected = pairs_by_hand(cube.values, direction)
    workers = data.draw(st.integers(1, 3))
    (found,) = sweep(cube, Neighbours(direction, n_features=cube.shape[-1]), workers=workers)
    assert found.count == len(expected)
    if len(expected) > 1:
        np.testing.assert_allclose(found.mean, expected.mean(0), rtol=1e-10, atol=1e-10)
        noise = np.cov(expected.T) / 2
        np.testing.assert_allclose(found.noise, noise, rtol=1e-9, atol=1e-9 * max(1, np.abs(noise).max()))


@given(st.permutations(range(6)), st.sampled_from(list(DIRECTIONS)), st.integers(1, 4), st.integers(5, 8))
def test_blocks_in_any_order_and_partitions_merge_to_the_same(order, direction, row, column) -> None:
    array = scene((9, 12), 3)
    edges = [(0, row, 6, 9), (0, column, 12)]
    blocks = [(slice(*y), slice(*x)) for y in pairwise(edges[0]) for x in pairwise(edges[1])]
    visitor, states = Neighbours(direction), []
    for lot in (order[:2], order[2:5], order[5:]):
        states.append(visitor.start())
        for index in lot:
            visitor.visit(states[-1], Block(array[blocks[index]], 2), Where(blocks[index], (9, 12)))
    one, two, three = (pickle.loads(pickle.dumps(state)) for state in states)
    found = visitor.finish(visitor.merge(one, visitor.merge(two, three)))
    expected = pairs_by_hand(array, direction)
    assert found.count == len(expected)
    np.testing.assert_allclose(found.noise, np.cov(expected.T) / 2, rtol=1e-10)


def test_what_waits_is_the_outline_only() -> None:
    array = scene((12, 16), 3)
    array[5, 7] = np.nan  # its neighbours do not wait for it for ever
    visitor = Neighbours("lowerright")
    state = visitor.start()
    for start in range(0, 12, 3):
        visitor.visit(
            state, Block(array[start : start + 3], 2), Where((slice(start, start + 3), slice(0, 16)), (12, 16))
        )
        assert sum(strip.pairs.size for strip in state.firsts) == (15 if start < 9 else 0)
        assert not state.seconds


# --- the components ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", list(DIRECTIONS))
def test_equals_spectral_python(direction: str) -> None:
    spectral = pytest.importorskip("spectral")
    array = scene((20, 30))
    judge = spectral.mnf(spectral.calc_stats(array), spectral.noise_from_diffs(array, direction=direction))
    model = MNF(direction=direction).fit(cube_of(array))
    np.testing.assert_allclose(model.explained_variance_, judge.napc.eigenvalues, rtol=1e-9)
    np.testing.assert_allclose(model.snr_, judge.napc.eigenvalues - 1, rtol=1e-6)
    np.testing.assert_allclose(model.mean_, array.mean((0, 1)))
    theirs, ours = judge.reduce(array, num=4), model.transform(cube_of(array)).values[..., :4]
    np.testing.assert_allclose(ours * np.sign(np.sum(ours * theirs, axis=(0, 1))), theirs, atol=1e-4)
    for snr in (0.5, 1.5):
        count = model.n_above(snr)
        assert count == judge.num_with_snr(snr) > 0
        denoised = model.model(cube_of(array), components=count)
        np.testing.assert_allclose(denoised.values, judge.denoise(array, snr=snr), rtol=1e-6)


@pytest.mark.parametrize("name", ["indian_pines", "samson"])
def test_equals_spectral_python_on_recorded_scenes(name: str, shared_data: Path) -> None:
    spectral = pytest.importorskip("spectral")
    folder = shared_data / "hyperspectral" / name
    if name == "samson":
        import scipy.io

        array = scipy.io.loadmat(folder / "samson_1.mat")["V"].T.reshape(95, 95, 156)
    else:
        array = np.load(folder / "Indian_pines_corrected.npy")
    exact = array.astype(float)
    judge = spectral.mnf(spectral.calc_stats(exact), spectral.noise_from_diffs(exact))
    with settings(memory="60MB", workers=2):
        model = MNF().fit(cube_of(array).chunk({"y": 13, "x": 40}))
    np.testing.assert_allclose(model.explained_variance_, judge.napc.eigenvalues, rtol=1e-8)
    assert model.n_above(3) == judge.num_with_snr(3) >= 5
    denoised = model.model(cube_of(array), components=model.n_above(3)).values
    assert np.abs(denoised - judge.denoise(exact, snr=3)).max() < 1e-5 * exact.max()


def test_scores_have_white_noise_and_components_undo_unmixing() -> None:
    array = scene((40, 50))
    model = MNF().fit(cube_of(array))
    scores = model.transform(cube_of(array)).values
    np.testing.assert_allclose(np.cov(scores.reshape(-1, 9).T), np.diag(model.explained_variance_), atol=1e-5)
    np.testing.assert_allclose(np.cov(pairs_by_hand(scores, "lowerright").T) / 2, np.eye(9), atol=1e-5)
    np.testing.assert_allclose(model.unmixing_ @ model.components_.T, np.eye(9), atol=1e-9)
    assert np.all(model.components_[np.arange(9), np.abs(model.components_).argmax(1)] > 0)
    back = model.inverse_transform(model.transform(cube_of(array)))
    np.testing.assert_allclose(back.values, array, rtol=1e-4, atol=1e-4)


def test_units_of_channels_do_not_matter() -> None:
    array, units = scene(), 10.0 ** np.linspace(-6, 6, 9)
    plain, scaled = MNF().fit(cube_of(array)), MNF().fit(cube_of(array * units))
    np.testing.assert_allclose(scaled.snr_, plain.snr_, rtol=1e-7)


def test_denoising_a_phantom_finds_its_surfaces() -> None:
    phantom = synthetic.reflectance((40, 40), bands=60, phases=4, noise=0.05, mixing=1.0)
    truth = synthetic.reflectance((40, 40), bands=60, phases=4, noise=0.0, mixing=1.0).cube.values
    model = MNF(min_snr=1).fit(phantom.cube)
    assert model.n_components_ == 3  # four surfaces about their mean
    before = np.mean((phantom.cube.values - truth) ** 2)
    assert np.mean((model.model(phantom.cube).values - truth) ** 2) < 0.1 * before


@pytest.mark.parametrize("chunks", [{"y": 5, "x": 4}, {"y": 1}, {"x": 1}, {"y": 12, "wavelength": 2}])
def test_does_not_depend_on_chunks(chunks: dict) -> None:
    array = scene()
    whole = MNF(3).fit(cube_of(array))
    with settings(memory="100kB", workers=2):
        parts = MNF(3).fit(cube_of(array).chunk(chunks))
    assert parts.n_pairs_ == whole.n_pairs_ == 11 * 16
    np.testing.assert_allclose(parts.snr_, whole.snr_, rtol=1e-10)
    np.testing.assert_allclose(parts.components_, whole.components_, rtol=1e-8, atol=1e-9)
    cut = cube_of(array).chunk(chunks)
    np.testing.assert_array_equal(whole.transform(cut).values, whole.transform(cube_of(array)).values)
    np.testing.assert_array_equal(whole.residual(cut).values, whole.residual(cube_of(array)).values)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_row_pure(dtype: str) -> None:
    rows = scene((60,)).astype(dtype)
    model = MNF(4).fit(rows)
    alone = np.vstack([model.transform(rows[at : at + 1]) for at in range(60)])
    np.testing.assert_array_equal(alone, model.transform(rows))
    assert alone.dtype == dtype


def test_the_residual_is_what_the_model_leaves() -> None:
    cube = cube_of(scene())
    model = MNF(2).fit(cube)
    left = model.residuals(cube)
    np.testing.assert_allclose(model.residual(cube).values, np.sqrt((left.values**2).mean(-1)), rtol=1e-6)


def test_lazy_and_one_sweep(tmp_path: Path) -> None:
    array = scene((40, 50))
    cube_of(array).chunk({"y": 10, "x": 25}).to_dataset(name="scene").to_zarr(tmp_path / "scene.zarr")
    with count_reads() as reads:
        cube = xr.open_zarr(tmp_path / "scene.zarr").scene
        reads.reset()
        model = MNF(3).fit(cube)
        assert set(reads.under("/scene/").values()) == {1}
        assert len(reads.under("/scene/")) == 8
        assert model.n_sweeps_ == 1
        with no_compute():
            model.transform(cube)
            model.model(cube, components=2)


def test_same_bytes_on_threads_and_processes(two_processes) -> None:
    cube = cube_of(scene((30, 20))).chunk({"y": 4, "x": 9})
    grid = Grid(edges=((0, 4, 8, 16, 30), (0, 9, 20)), n_partitions=3)
    found = [sweep(cube, *MNF().visitors(cube), grid=grid, workers=workers) for workers in (1, 2)]
    found.append(sweep(cube, *MNF().visitors(cube), grid=grid, client=two_processes))
    models = [MNF(3).settle(cube, results) for results in found]
    for model in models[1:]:
        np.testing.assert_array_equal(model.components_, models[0].components_)
        np.testing.assert_array_equal(model.snr_, models[0].snr_)


# --- scans as they come -----------------------------------------------------------------------------------------------


def test_invalid_pixels_make_no_pair() -> None:
    array = scene()
    array[3, 4, 2], array[7, :, 5] = np.nan, np.inf
    model = MNF(3).fit(cube_of(array))
    assert model.n_pairs_ == len(pairs_by_hand(np.where(np.isfinite(array), array, np.nan), "lowerright"))
    assert model.n_samples_ == 12 * 17 - 18
    scores = model.transform(cube_of(array)).values
    np.testing.assert_array_equal(np.isnan(scores).any(-1), ~np.isfinite(array).all(-1))


@pytest.mark.parametrize("shape", [(1, 80), (80, 1), (80,), (1, 1, 80)])
def test_one_row_is_a_line(shape: tuple[int, ...]) -> None:
    line = scene((80,))
    model = MNF(3).fit(cube_of(line.reshape(*shape, 9)))
    assert model.n_pairs_ == 79
    np.testing.assert_allclose(model.snr_, MNF(3, direction="lower").fit(line).snr_, rtol=1e-10)


def test_constant_channels_have_no_part() -> None:
    array = scene()
    wide = np.insert(array, [0, 4], 7.0, axis=-1)
    model, plain = MNF().fit(cube_of(wide)), MNF().fit(cube_of(array))  # and warns of nothing
    assert model.n_components_ == 9
    np.testing.assert_allclose(model.snr_, plain.snr_, rtol=1e-10)
    assert not model.components_[:, [0, 5]].any()
    assert np.all(model.model(cube_of(wide)).values[..., [0, 5]] == 7)


def test_noise_without_full_rank_is_told() -> None:
    array = scene()
    smooth = np.concatenate([array, array[..., :2] @ [[1.0], [2.0]]], axis=-1)
    with pytest.warns(RefoldWarning, match="1 of 10 directions are left out .* smoothed"):
        model = MNF().fit(cube_of(smooth))
    np.testing.assert_allclose(model.snr_, MNF().fit(cube_of(array)).snr_, rtol=1e-6)
    with pytest.warns(RefoldWarning, match="5 of 9 directions .* but 5 pairs"):
        few = MNF().fit(cube_of(array[0, :6]))
    assert few.n_components_ == 4  # five differences less their mean
    with pytest.warns(RefoldWarning):
        assert MNF(6).fit(cube_of(array[0, :6])).n_components_ == 4


def test_refusals() -> None:
    array = scene()
    with pytest.raises(ParameterError, match="direction='up'"):
        MNF(direction="up").fit(cube_of(array))
    with pytest.raises(ParameterError, match="use min_snr"):
        MNF(0.99).fit(cube_of(array))
    with pytest.raises(ParameterError, match="at most 9"):
        MNF(10).fit(cube_of(array))
    with pytest.raises(ParameterError, match="that of the first component"):
        MNF(min_snr=1e9).fit(cube_of(array))
    with pytest.raises(DataError, match="no difference"):
        MNF().fit(cube_of(array * 0 + 2))
    with pytest.raises(DataError, match="not finite"):
        MNF().fit(cube_of(array * np.nan))
    array[:, ::2] = np.nan
    with pytest.raises(DataError, match="0 pairs of valid neighbours"):
        MNF().fit(cube_of(array))


def test_saved_and_loaded(tmp_path: Path) -> None:
    cube = as_cube(scene(), signal="wavelength", coords={"wavelength": (np.arange(9.0), {"units": "nm"})}, name="light")
    model = MNF(4, direction="right").fit(cube)
    model.save(tmp_path / "model.zarr")
    back = MNF.load(tmp_path / "model.zarr")
    xr.testing.assert_identical(back.transform(cube), model.transform(cube))
    xr.testing.assert_identical(back.model(cube, 2), model.model(cube, 2))
    xr.testing.assert_identical(back.to_dataset(), model.to_dataset())
    assert back.get_params() == model.get_params()
    assert model.variables().components.wavelength.units == "nm"
    with pytest.raises(StoreError, match="holds MNF"):
        __import__("refold").PCA.load(tmp_path / "model.zarr")


LARGE = """
import dask.array as da, numpy as np, sys, refold
from refold.engine import settings

n = int(sys.argv[2])

def made(block_id=None):
    rng = np.random.default_rng(block_id[0])
    signal = rng.standard_normal((4, 500, 2), dtype="f4") @ np.ones((2, 500), "f4")
    return rng.standard_normal((4, 500, 500), dtype="f4") + signal

data = da.map_blocks(made, chunks=((4,) * n, (500,), (500,)), dtype="f4", meta=np.empty((0, 0, 0), "f4"))
cube = refold.as_cube(data, signal="wavelength")
with settings(memory=int(sys.argv[1]), workers=2):
    model = refold.MNF(3).fit(cube)
print(cube.nbytes, model.n_pairs_ == (4 * n - 1) * 499)
"""


@pytest.mark.slow
def test_eight_times_the_memory() -> None:
    budget = 64_000_000
    base = limit_memory(2**31, LARGE, budget, 2).peak
    used = limit_memory(base + budget, LARGE, budget, 128)
    assert used.stdout.split() == ["512000000", "True"]
