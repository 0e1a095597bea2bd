"""Spikes: found where they are and nowhere else, replaced, and nothing else touched."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import refold
from refold.cube import as_cube
from refold.engine import settings
from refold.errors import CubeError, ParameterError
from refold.prepare import Spikes, chain, log1p, remove_spikes, spike_histogram
from refold.prepare.fusing import passes
from refold.prepare.outliers import stand_out
from refold.prepare.spike_heights import edges_of
from tests.guards import count_reads, limit_memory, no_compute
from tests.strategies import chunkings

ENERGY = np.arange(-5.0, 45.0, 0.1)


def scan(
    shape: tuple[int, int] = (40, 40), dose: float = 1e5, rate: float = 2e-4, height: float = 30.0
) -> tuple[xr.DataArray, np.ndarray, np.ndarray]:
    """A zero loss that wanders, a plasmon and an edge, with Poisson noise; without spikes; and where they are.

    Spikes are one channel wide, and as high as so many deviations of the noise.
    """
    rng = np.random.default_rng(0)
    away = ENERGY - rng.uniform(-0.3, 0.3, (*shape, 1))
    zero, plasmon = np.exp(-((away / 0.15) ** 2) / 2), 0.02 * np.exp(-((away - 15) ** 2) / 20)
    expected = dose * (zero + plasmon + 0.01 * (ENERGY > 30) + 2e-4)
    clean = rng.poisson(expected)
    spikes = rng.random(clean.shape) < rate
    spikes[..., [0, 1, -2, -1]] = False
    counts = clean + (spikes * height * np.sqrt(expected + 10)).astype(int)
    cube = as_cube(counts.astype("uint32"), signal="energy", coords={"energy": (ENERGY, {"units": "eV"})}, name="low")
    return cube, clean, spikes


def changed(cube: xr.DataArray, mended: xr.DataArray) -> np.ndarray:
    assert mended.dtype == cube.dtype
    return np.asarray(mended.values != cube.values)


# --- finding ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dose", [1e3, 1e5, 1e6])
def test_spikes_are_found_and_nothing_else(dose: float) -> None:
    """At 30 deviations and with nothing masked: 98 % of them, those beside a zero loss being hard; and nothing else."""
    cube, _, spikes = scan(dose=dose)
    model = Spikes(margin=0).fit(cube.chunk(y=7))
    found = changed(cube, model.transform(cube))
    lines = ENERGY[model.skipped_]
    assert lines.size == 0 or (np.abs(lines) < 1).all()  # the zero loss alone
    looked_at = spikes & ~model.skipped_
    assert looked_at.sum() > 130
    assert found[looked_at].mean() >= 0.98
    assert spikes[found].mean() >= 0.99


@pytest.mark.parametrize("dose", [1e3, 1e5, 1e6])
def test_with_the_zero_loss_masked(dose: float) -> None:
    """At 30 deviations: 99 % of the spikes, and 99 % of what is found."""
    cube, _, spikes = scan((50, 50), dose=dose)
    masks = ((2, -2), np.abs(ENERGY) <= 2, xr.DataArray(np.abs(ENERGY) <= 2, dims="energy"))
    for mask in masks if dose == 1e5 else masks[:1]:
        model = Spikes(margin=0, mask=mask).fit(cube)
        found = changed(cube, model.transform(cube))
        assert model.skipped_.sum() == 40
        assert not found[..., model.skipped_].any()
        assert (spikes & ~model.skipped_).sum() > 200
        assert found[spikes & ~model.skipped_].mean() >= 0.99
        assert spikes[found].mean() >= 0.99


@pytest.mark.parametrize("level", [0.0002, 0.05, 1, 20, 3000])
@pytest.mark.parametrize("noise", ["poisson", "white"])
def test_noise_and_edges_have_no_spikes(level: float, noise: Any) -> None:
    expected = level * (1 + 9 * (np.arange(400) > 200))  # a step of ten times the level
    counts = np.random.default_rng(1).poisson(expected, (50, 40, 400)).astype("uint16")
    found = remove_spikes(as_cube(counts, signal="energy"), noise=noise).replaced
    assert found.sum() <= 3 * (level < 20)  # of 800 000 values; counts of a few are not normal


def test_a_threshold_means_what_the_histogram_shows() -> None:
    cube, _, _ = scan((12, 12))
    heights = spike_histogram(cube.chunk(x=5))
    edges = edges_of("poisson")
    for at in (70, 85, 100):
        found = Spikes(threshold=edges[at], margin=0, mask=heights.line).fit(cube).count(cube)
        assert found.sum() == heights["count"][at:].sum()
    assert heights["count"].attrs["threshold"] == Spikes().fit(cube).threshold_ == remove_spikes(cube).threshold
    assert heights.energy.identical(cube.energy.drop_vars([n for n in cube.energy.coords if n != "energy"]))


@given(st.integers(1, 6), st.integers(0, 2**32 - 1), st.integers(7, 20))
def test_heights_are_a_white_top_hat(width: int, seed: int, size: int) -> None:
    row = np.random.default_rng(seed).poisson(4.0, size).astype("float32")
    room, found = np.empty((2, size)), np.empty(size)
    stand_out(row, width, False, *room, found)
    least = {start: row[max(0, start) : start + width + 1].min() for start in range(-width, size)}
    feet = [max(least[start] for start in range(channel - width, channel + 1)) for channel in range(size)]
    np.testing.assert_array_equal(found, row - feet)


def test_judged_by_scipy() -> None:
    from scipy.ndimage import white_tophat

    row = np.random.default_rng(0).poisson(50.0, 500).astype("float64")
    for width in (1, 3, 4):
        room, found = np.empty((2, 500)), np.empty(500)
        stand_out(row, width, False, *room, found)
        inner = slice(2 * width, -2 * width)
        np.testing.assert_array_equal(found[inner], white_tophat(row, width + 1)[inner])


def test_wider_spikes_need_a_wider_search() -> None:
    counts = np.full((1, 3, 60), 100, "uint16")
    counts[0, 1, 20:25] += 4000
    cube = as_cube(counts, signal="energy")
    assert remove_spikes(cube, 8, width=3).replaced.sum() == 0
    assert remove_spikes(cube, 8, width=5, margin=0).replaced.values.tolist() == [[0, 5, 0]]


# --- replacing --------------------------------------------------------------------------------------------------------


def test_replaced_by_what_stands_beside() -> None:
    cube, _, spikes = scan()
    mended = remove_spikes(cube.chunk(y=7), margin=2)
    found = mended.cube.values != cube.values
    near = np.zeros_like(spikes)
    for by in range(-2, 3):
        near |= np.roll(spikes, by, axis=-1)
    assert not (found & ~near).any()
    counts = mended.replaced
    assert counts.dtype == np.int32
    assert (found.sum(axis=-1) <= counts.values).all()
    assert mended.cube.attrs == cube.attrs
    assert mended.cube.name == cube.name
    ramp = np.arange(30.0)[None] * 3
    for channels in ([10], [10, 11], [3, 20], [2, 27]):
        spiky = ramp.copy()
        spiky[0, channels] += 500
        restored = remove_spikes(as_cube(spiky, signal="energy"), 50, noise="white").cube
        np.testing.assert_allclose(restored, ramp, atol=1e-12)


@pytest.mark.parametrize("margin", [0, 60, 10**30])
def test_what_is_counted_is_what_is_replaced(margin: int) -> None:
    """A pixel whose channels would all go is left alone, and says so."""
    counts = np.random.default_rng(0).poisson(50, (3, 4, 60)).astype("uint16")
    counts[1, 2] = 50
    counts[1, 2, 30] = 900
    cube = as_cube(counts, signal="energy").chunk(x=3)
    mended = remove_spikes(cube, 0.5 if margin else 20, margin=margin)
    replaced = np.zeros((3, 4), int)
    replaced[1, 2] = 1 - bool(margin)
    np.testing.assert_array_equal(mended.replaced, replaced)
    np.testing.assert_array_equal(changed(cube, mended.cube).sum(axis=-1), replaced)


def test_at_the_ends_of_the_axis() -> None:
    counts = np.full((1, 1, 9), 10.0)
    counts[0, 0, [1, 7]] = 900
    restored = remove_spikes(as_cube(counts, signal="energy"), 5, margin=1).cube
    np.testing.assert_array_equal(restored, np.full((1, 1, 9), 10.0))


def test_a_spline_follows_a_curve() -> None:
    energy = np.linspace(-1, 1, 41)
    cubic = (100 + 80 * energy**3 - 50 * energy**2)[None]
    spiky = cubic.copy()
    spiky[0, [12, 25, 26]] += 1000
    cube = as_cube(spiky, signal="energy")
    np.testing.assert_allclose(remove_spikes(cube, 5, interpolate="spline").cube, cubic, atol=1e-9)
    assert np.abs(remove_spikes(cube, 5).cube - cubic).max() > 0.1


@pytest.mark.parametrize(("noise", "deviation"), [("poisson", 20.0), ("white", 7.0)])
def test_noise_is_as_large_as_that_beside(noise: Any, deviation: float) -> None:
    rng = np.random.default_rng(0)
    flat = rng.normal(400, deviation, (60, 60, 30)).astype("float32")
    flat[..., 15] = 50_000
    cube = as_cube(flat, signal="energy")
    options = {"noise": noise, "margin": 0, "add_noise": True}
    mended = remove_spikes(cube, 200, **options).cube
    line = remove_spikes(cube, 200, noise=noise, margin=0).cube
    added = (mended - line).values[..., 15]
    assert abs(added.mean()) < 4 * deviation / 60
    assert added.std() == pytest.approx(deviation, rel=0.1)
    np.testing.assert_array_equal(remove_spikes(cube.chunk(x=7), 200, **options).cube, mended)
    assert (remove_spikes(cube, 200, random_state=1, **options).cube != mended).any()


@pytest.mark.parametrize("dtype", ["uint8", "int16", ">u2", "float16", "float32", ">f8"])
def test_types_are_kept(dtype: str) -> None:
    counts = np.random.default_rng(0).poisson(9, (4, 5, 30)).astype(dtype)
    counts[1, 2, 7] = 250
    cube = as_cube(counts, signal="energy")
    mended = remove_spikes(cube, 8, add_noise=True)
    assert mended.cube.dtype == np.dtype(dtype).newbyteorder("=")
    assert mended.replaced.values.sum() == 3
    np.testing.assert_array_equal((mended.cube.values != counts).sum(axis=-1) > 0, mended.replaced > 0)


def test_as_hyperspy_restores() -> None:
    """The same pixels, and on straight spectra the same values; its derivative is over two channels."""
    hyperspy = pytest.importorskip("hyperspy.api")
    rng = np.random.default_rng(0)
    straight = 200 + rng.uniform(-1, 1, (8, 9, 1)) * np.arange(60) + rng.uniform(0, 300, (8, 9, 1))
    spiky = straight.copy()
    spiky[rng.random((8, 9)) < 0.3, 30] += 900
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own, about packages it would like to have
        judge = hyperspy.signals.Signal1D(spiky.copy())
        judge.spikes_removal_tool(interactive=False, threshold=100, add_noise=False)
    ours = remove_spikes(as_cube(spiky, signal="energy").chunk(x=4), 200, noise="white")
    np.testing.assert_allclose(ours.cube, judge.data, atol=1e-9)
    np.testing.assert_array_equal(ours.replaced > 0, (judge.data != spiky).any(axis=-1))


def test_invalid_pixels_are_left_alone() -> None:
    cube, _, _ = scan((6, 6), rate=0)
    values = cube.values.astype("float32")
    values[0, 0, 300], values[1, 1, 300] = np.nan, 1e6
    values[0, 0, 310] = 1e6
    values[2, 2] = np.inf
    cube = cube.copy(data=values)
    mended = remove_spikes(cube.chunk(x=4))
    np.testing.assert_array_equal(mended.cube.values[0, 0], values[0, 0])
    np.testing.assert_array_equal(mended.cube.values[2, 2], values[2, 2])
    assert mended.replaced.values.sum() == 3
    assert np.isfinite(mended.threshold)
    assert remove_spikes(cube * np.float32(np.nan)).threshold == np.inf


def test_axes_of_any_kind() -> None:
    """Descending and uneven axes; the direction does not matter."""
    cube, _, _ = scan((10, 10))
    raman = cube.assign_coords(energy=cube.energy.copy(data=np.geomspace(100, 900, ENERGY.size)))
    one, other, uneven = (remove_spikes(each) for each in (cube, cube[..., ::-1], raman))
    assert one.threshold == other.threshold == uneven.threshold
    np.testing.assert_array_equal(one.cube, other.cube[..., ::-1])
    np.testing.assert_array_equal(one.cube, uneven.cube)


def test_a_line_of_pixels() -> None:
    cube, _, spikes = scan((1, 60), dose=1e4)
    found = remove_spikes(cube[0].chunk(x=9), margin=0)
    assert found.replaced.dims == ("x",)
    assert found.replaced.sum() == pytest.approx(spikes.sum(), abs=1)


# --- cost -------------------------------------------------------------------------------------------------------------


def test_one_sweep_or_none_and_then_lazy(tmp_path: Any) -> None:
    path = tmp_path / "low.zarr"
    scan((12, 12))[0].chunk(y=4, x=5).to_dataset().to_zarr(path)
    cube = refold.open(path)
    with count_reads() as reads:
        model = Spikes().fit(cube)
    assert set(reads.of_chunks.values()) == {1}
    with no_compute():
        given = remove_spikes(cube, 9.0)
        spiky = model.transform(cube.chunk(energy=70))
        counts = model.count(cube)
    assert given.histogram is None
    reads.reset()
    with count_reads() as reads:
        dask.compute(model.transform(cube), counts)
    assert set(reads.of_chunks.values()) == {1}
    assert passes(log1p(model.transform(cube))) == (("spikes", "log1p"),)
    np.testing.assert_array_equal(spiky, model.transform(cube))


@given(st.data())
def test_neither_chunks_nor_neighbours_matter(data: st.DataObject) -> None:
    """Bit for bit: however the cube is cut, whichever form is taken, and for each pixel alone."""
    cube = scan((4, 5), rate=4e-3)[0][..., ::2]
    model = Spikes(add_noise=True, interpolate=data.draw(st.sampled_from(["linear", "spline"]))).fit(cube)
    whole, counts = model.transform(cube), model.count(cube)
    cut = cube.chunk(dict(zip(cube.dims, data.draw(chunkings(cube.shape)), strict=True)))
    assert model.fit(cut).histogram_.identical(Spikes().fit(cube).histogram_)
    xr.testing.assert_identical(model.transform(cut).compute(), whole)
    xr.testing.assert_identical(model.count(cut).compute(), counts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chain, "_WORTH_COMPILING", 0)
        xr.testing.assert_identical(model.transform(cut).compute(), whole)
    y, x = data.draw(st.integers(0, 3)), data.draw(st.integers(0, 4))
    alone = pickle.loads(pickle.dumps(model)).transform(cube[y : y + 1, x : x + 1])
    np.testing.assert_array_equal(alone, whole[y : y + 1, x : x + 1])


def test_any_number_of_threads_gives_the_same_bytes() -> None:
    cube = scan((15, 15))[0].chunk(y=4, x=5)
    found = []
    for workers in (1, 4):
        with settings(workers=workers, memory="100MB"):
            found.append(spike_histogram(cube))
    assert found[0].identical(found[1])


def test_what_does_not_fit_says_so() -> None:
    cube = scan((2, 3))[0]
    for options, said in [
        ({"noise": "pink"}, "'white'"), ({"width": 0}, "whole number"), ({"width": 500}, "499"),
        ({"margin": -1}, "0 or more"), ({"threshold": 0}, "above 0"), ({"threshold": "high"}, "'auto'"),
        ({"interpolate": "cubic"}, "'spline'"), ({"mask": np.ones(4, bool)}, "each channel"),
        ({"mask": (90, 95)}, "units"), ({"threshold": None}, "threshold=None"), ({"threshold": np.nan}, "above 0"),
        ({"width": "a"}, "width='a'"), ({"width": None}, "width=None"), ({"width": 2.5}, "whole number"),
        ({"margin": None}, "margin=None"), ({"margin": np.nan}, "0 or more"), ({"margin": np.inf}, "0 or more"),
        ({"add_noise": True, "random_state": None}, "random_state=None"),
        ({"add_noise": True, "random_state": -1}, "random_state=-1"),
    ]:  # fmt: skip
        with pytest.raises(ParameterError, match=said):
            remove_spikes(cube, **options)  # type: ignore[arg-type]
    assert remove_spikes(cube, np.array(9), random_state=None).threshold == 9  # type: ignore[arg-type]
    with pytest.raises(CubeError, match="one signal dim"):
        remove_spikes(as_cube(np.ones((2, 3, 4)), signal=("ky", "kx")))
    with pytest.raises(CubeError, match="as were fitted"):
        Spikes().fit(cube).transform(cube[..., :-1])


def test_recorded_spikes(shared_data: Any) -> None:
    """Three of 324 000 values, as seen by eye; the white lines of a perovskite are none."""
    path = shared_data / "eels" / "CuZn_EELS_mapping_tutorial.hspy"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    cube = refold.open(path)
    mended = remove_spikes(cube, margin=0)
    channels = np.nonzero(changed(cube, mended.cube))[2]
    assert sorted(cube.energy.values[channels].tolist()) == [1076, 1236, 1476]
    assert cube.values.max() == 19288
    assert mended.cube.values.max() < 19288
    assert mended.replaced.values.sum() == 3
    assert remove_spikes(refold.open(path.with_name("LSMO_linescan.hspy"))).replaced.sum() == 0


MEASURED = """
import sys, numpy as np, dask.array as da, refold
from refold.engine import settings
def counts(block_info=None):
    (y0, y1), (x0, x1), _ = block_info[None]["array-location"]
    rng = np.random.default_rng([y0, x0])
    values = rng.integers(80, 120, (y1 - y0, x1 - x0, 1000), dtype="u2")  # quicker than counts
    values[3, 4, 500] = 9000
    return values
def cube(n):
    chunks = ((20,) * (n // 20),) * 2 + ((1000,),)
    values = da.map_blocks(counts, chunks=chunks, dtype="u2", meta=np.empty((0, 0, 0), "u2"))
    return refold.as_cube(values, signal="energy")
with settings(memory=sys.argv[1], workers=2):
    for n in (20, 500)[: 1 + (sys.argv[2] == "fit")]:
        mended = refold.remove_spikes(cube(n), margin=0, add_noise=True)
        (moments,) = refold.sweep(mended.cube, refold.Moments())
        assert moments.maximum.max() < 300
        assert mended.replaced.sum() == (n // 20) ** 2
"""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_memory_stays_within_the_budget() -> None:
    """500 MB of counts, searched and mended with 60."""
    base = limit_memory(2**30, MEASURED, "60MB", "import", timeout=300).peak
    limit_memory(base + 60_000_000, MEASURED, "60MB", "fit", timeout=300)
