"""Zero-loss alignment: where the peak of each pixel is, and the cubes moved by it."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import refold
from refold.cube import as_cube
from refold.engine import settings
from refold.errors import CubeError, DataError, ParameterError
from refold.prepare import ZeroLoss, align_zero_loss, calibrate_zero_loss
from tests.guards import count_reads, limit_memory, no_compute
from tests.strategies import chunkings

STEP = 0.1
ENERGY = np.arange(-4.0, 12.0, STEP)
SIGMA = 0.15  # eV: a width of 0.35 eV at half height, 3.5 channels


def scan(
    shape: tuple[int, ...] = (9, 12), dose: float | None = 1e4, dtype: str = "uint16", skewed: bool = False
) -> tuple[xr.DataArray, np.ndarray]:
    """A zero loss of so many counts and a plasmon, with Poisson noise, and how far each is moved."""
    true = np.random.default_rng(0).uniform(-0.8, 0.8, shape)
    away = ENERGY - true[..., None]
    zero = np.exp(-((away / np.where(skewed & (away > 0), 1.5 * SIGMA, SIGMA)) ** 2) / 2)
    expected = (dose or 1e4) * (0.27 * zero + 0.004 * np.exp(-((away - 8) ** 2) / 4))
    counts = expected if dose is None else np.random.default_rng(1).poisson(expected)
    energy = (ENERGY, {"units": "eV", "long_name": "energy loss"})
    dims = ("y", "x")[-len(shape) :]
    cube = as_cube(counts.astype(dtype), signal="energy", dims=(*dims, "energy"), coords={"energy": energy}, name="low")
    return cube.assign_attrs(title="phantom"), true


def spread(cube: xr.DataArray) -> float:
    """How far the peaks of a cube are apart, in channels."""
    return float(np.ptp(ZeroLoss().fit(cube).positions_.values)) / STEP


@pytest.mark.parametrize(
    ("method", "dose", "worst", "typical"),
    [
        ("correlation", 1e4, 0.1, 0.03),
        ("correlation", 1e6, 0.02, 0.01),
        ("fit", 1e5, 0.1, 0.03),
        ("fit", 1e6, 0.02, 0.01),
        ("maximum", 1e6, 0.6, 0.35),
    ],
)
def test_known_shifts_are_found(method: Any, dose: float, worst: float, typical: float) -> None:
    """By correlation, under a tenth of a channel for every one of 900 pixels at 10 000 counts in the peak."""
    cube, true = scan((30, 30), dose, "uint32")
    found = ZeroLoss(method=method).fit(cube.chunk(x=7))
    errors = (found.positions_.values - true) / STEP
    assert np.abs(errors).max() < worst
    assert errors.std() < typical
    assert abs(errors.mean()) < 0.02
    np.testing.assert_allclose(found.shifts_ + found.positions_, found.position_, atol=1e-6)


@pytest.mark.parametrize("skewed", [False, True])
def test_aligned_as_exspy_aligns(skewed: bool) -> None:
    """Peaks of its result lie within 0.1 channel of each other, and so do ours; the shifts are equal within that."""
    exspy = pytest.importorskip("exspy")
    cube, true = scan(dose=1e5, dtype="float32", skewed=skewed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # their own, about packages they would like to have
        judge = exspy.signals.EELSSpectrum(cube.values.copy())
        judge.axes_manager[-1].offset, judge.axes_manager[-1].scale = ENERGY[0], STEP
        first = judge.estimate_zero_loss_peak_centre().data
        moved = first.mean() - first
        judge.shift1D(moved, show_progressbar=False)
        options = {"number_of_interpolation_points": 19, "show_progressbar": False}
        middle = float(first.mean())
        theirs = moved + judge.estimate_shift1D(middle - 3, middle + 3, **options)
    ours = align_zero_loss(cube)
    assert spread(ours.cube) < 0.1
    apart = (theirs - ours.shifts.values) / STEP
    assert np.abs(apart - np.median(apart)).max() < 0.1
    assert (ours.shifts.values + true).std() < (theirs + true).std()


def test_calibrated_to_zero() -> None:
    cube, _ = scan(dose=1e6, dtype="uint32")
    aligned = align_zero_loss(cube.assign_coords(energy=cube.energy.copy(data=ENERGY + 3.3))).cube
    assert aligned.energy.attrs == cube.energy.attrs
    assert 0.0 in aligned.energy.values
    assert np.abs(ZeroLoss().fit(aligned).positions_).max() < 0.1 * STEP
    kept = align_zero_loss(cube, calibrate=False).cube
    assert set(kept.energy.values) <= set(ENERGY)


def test_calibration_alone_moves_no_value() -> None:
    cube, true = scan(dose=1e6, dtype="uint32")
    calibrated = calibrate_zero_loss(cube.chunk(x=5))
    np.testing.assert_array_equal(calibrated, cube)
    np.testing.assert_allclose(calibrated.energy, ENERGY - true.mean(), atol=0.01 * STEP)
    assert (calibrated.energy.attrs, calibrated.attrs, calibrated.name) == (cube.energy.attrs, cube.attrs, "low")


@pytest.mark.parametrize(("method", "interpolation"), [("maximum", "linear"), ("correlation", "nearest")])
def test_whole_channels_keep_counts(method: Any, interpolation: Any) -> None:
    cube, _ = scan()
    aligned = align_zero_loss(cube.chunk(y=4), method=method, interpolation=interpolation, edges="expand").cube
    assert aligned.dtype == cube.dtype
    np.testing.assert_array_equal(aligned.sum("energy"), cube.sum("energy"))
    assert (np.abs(aligned.idxmax("energy")) < 2.5 * STEP).all()


def test_edges_of_the_axis() -> None:
    counts = np.zeros((1, 3, 8), "uint16")
    counts[0, [0, 1, 2], [3, 4, 1]] = 50
    counts[0, :, 7] = [1, 2, 3]
    cube = as_cube(counts, signal="energy", coords={"energy": np.arange(8.0)})
    laid = {
        edges: align_zero_loss(cube, method="maximum", edges=edges, fill=9).cube for edges in ("crop", "keep", "expand")
    }
    assert laid["crop"].energy.values.tolist() == [-1, 0, 1, 2, 3]
    assert laid["keep"].energy.values.tolist() == [-3, -2, -1, 0, 1, 2, 3, 4]
    assert laid["expand"].energy.values.tolist() == [-4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6]
    assert laid["keep"].values[0].tolist() == [
        [0, 0, 0, 50, 0, 0, 0, 1], [0, 0, 0, 50, 0, 0, 2, 9], [9, 9, 0, 50, 0, 0, 0, 0],
    ]  # fmt: skip
    for row in laid["expand"].values[0]:
        assert row[4] == 50
        assert (row == 9).sum() == 3
    xr.testing.assert_equal(laid["expand"].sel(energy=laid["crop"].energy), laid["crop"])


def test_linear_interpolation_is_numpys() -> None:
    cube, _ = scan(dose=None, dtype="float64")
    aligned = align_zero_loss(cube.chunk(x=5), edges="keep", calibrate=False)
    shifts = aligned.shifts.values[..., None]
    rows, wanted = cube.values.reshape(-1, ENERGY.size), aligned.cube.values.reshape(-1, ENERGY.size)
    for row, shift, found in zip(rows, shifts.ravel(), wanted, strict=True):
        np.testing.assert_allclose(found, np.interp(ENERGY - shift, ENERGY, row, 0, 0), atol=1e-6 * row.max())


def test_others_move_with_it() -> None:
    """A high loss with other energies, twice the dispersion and another offset moves by the same energy."""
    cube, true = scan(dose=None, dtype="float64")
    energy = np.arange(500.0, 540.0, 2 * STEP)
    edge = 1 / (1 + np.exp(-(energy - 520 - true[..., None]) / 0.5))
    high = as_cube(edge, signal="loss", coords={"loss": (energy, {"units": "eV"})}).chunk(y=2)
    aligned = align_zero_loss(cube, also_align=[high, cube])
    moved = aligned.others[0]
    wanted = 1 / (1 + np.exp(-(moved.loss.values - 520) / 0.5))
    np.testing.assert_allclose(moved, np.broadcast_to(wanted, moved.shape), atol=0.01)
    was = moved.loss.values + ZeroLoss().fit(cube).position_
    np.testing.assert_allclose(was, energy[(energy > was[0] - STEP) & (energy < was[-1] + STEP)], atol=1e-9)
    xr.testing.assert_identical(aligned.others[1], aligned.cube)
    with pytest.raises(CubeError, match="navigation dims"):
        align_zero_loss(cube, also_align=[high[:-1]])
    with pytest.raises(CubeError, match="keV"):
        align_zero_loss(cube, also_align=[high.assign_coords(loss=high.loss.assign_attrs(units="keV"))])


def test_descending_axes() -> None:
    cube, _ = scan(dose=1e6, dtype="uint32")
    one, other = align_zero_loss(cube), align_zero_loss(cube[..., ::-1])
    np.testing.assert_allclose(other.shifts, one.shifts, atol=1e-4 * STEP)
    xr.testing.assert_allclose(other.cube[..., ::-1], one.cube, rtol=2e-3, atol=100)
    assert spread(other.cube) < 0.1


def test_pixels_without_a_peak() -> None:
    cube, _ = scan(dtype="float32")
    values = cube.values
    values[0, 0, 5], values[1, 1], values[2, 2], values[3, 3] = np.nan, 0, -1, np.nan
    values[4, 4] = 0
    values[4, 4, 0] = 1e4  # at the end of the axis, where nothing can be fitted
    aligned = align_zero_loss(cube.chunk(x=4), window=(-4, 2), edges="keep")
    without = np.zeros(cube.shape[:2], bool)
    without[[0, 1, 2, 3], [0, 1, 2, 3]] = True
    np.testing.assert_array_equal(np.isnan(aligned.shifts), without)
    np.testing.assert_array_equal(aligned.cube.values[without], values[without])
    np.testing.assert_allclose(aligned.shifts[4, 4], 0.0 - ENERGY[0], atol=3 * STEP)
    assert np.isfinite(aligned.cube.values[~without]).all()
    assert aligned.statistics["pixels"] == cube[..., 0].size - 4


def test_statistics_and_table() -> None:
    aligned = align_zero_loss(scan()[0].chunk(y=2))
    shifts = aligned.shifts.values
    assert aligned.statistics == pytest.approx({
        "mean": shifts.mean(), "std": shifts.std(), "min": shifts.min(), "median": np.median(shifts),
        "max": shifts.max(), "pixels": shifts.size,
    })  # fmt: skip
    table = str(aligned).splitlines()
    assert [line.split()[0] for line in table[1:]] == list(aligned.statistics)
    assert table[1].endswith("eV")
    assert aligned.shifts.attrs == {"long_name": "shift of the zero loss", "units": "eV"}
    assert set(aligned.shifts.coords) == {"y", "x"}


def test_a_window_holds_off_what_is_brighter() -> None:
    cube, true = scan(dose=1e6, dtype="uint32")
    cube.values[..., -20] = 10**7
    found = ZeroLoss(window=(2, -2)).fit(cube)
    assert np.abs(found.positions_.values - true).max() < 0.1 * STEP


def test_what_cannot_be_aligned_says_so() -> None:
    cube, _ = scan((2, 3))
    uneven = cube.assign_coords(energy=cube.energy.copy(data=np.geomspace(1, 20, ENERGY.size)))
    with pytest.raises(CubeError, match="not evenly spaced"):
        align_zero_loss(uneven)
    with pytest.raises(CubeError, match="one signal dim"):
        align_zero_loss(as_cube(np.ones((2, 3, 4)), signal=("ky", "kx")))
    with pytest.raises(ParameterError, match="units of the axis"):
        align_zero_loss(cube, window=(50, 60))
    with pytest.raises(ParameterError, match="'fit'"):
        align_zero_loss(cube, method="best")  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="uint16"):
        align_zero_loss(cube, method="maximum", edges="keep", fill=np.nan)
    with pytest.raises(DataError, match="no pixel with a peak"):
        align_zero_loss(cube * 0)
    far = cube.copy(data=np.eye(6, ENERGY.size, dtype="uint16").reshape(2, 3, -1))
    far[1, 2] = np.eye(1, ENERGY.size, ENERGY.size - 1)[0]
    with pytest.raises(DataError, match="window around the zero loss"):
        align_zero_loss(far, method="maximum")


def test_one_sweep_and_then_lazy(tmp_path: Any) -> None:
    path = tmp_path / "low.zarr"
    scan()[0].chunk(y=3, x=5).to_dataset().to_zarr(path)
    cube = refold.open(path)
    with count_reads() as reads:
        model = ZeroLoss().fit(cube)
    assert set(reads.of_chunks.values()) == {1}
    assert len(reads.under("low/c")) == 9
    with no_compute():
        aligned = model.transform(cube)
        model.transform(cube.chunk(energy=40))
    with count_reads() as reads:
        aligned.compute()
    assert set(reads.of_chunks.values()) == {1}
    assert sum(visitor.nbytes for visitor in model.visitors(cube)) == 4 * 9 * 12


@given(st.data())
def test_neither_chunks_nor_neighbours_matter(data: st.DataObject) -> None:
    """Bit for bit: however the cube is cut, and for each pixel alone."""
    cube, _ = scan((4, 5))
    method = data.draw(st.sampled_from(["maximum", "fit", "correlation"]))
    whole = align_zero_loss(cube, method=method)
    cut = align_zero_loss(
        cube.chunk(dict(zip(cube.dims, data.draw(chunkings(cube.shape)), strict=True))), method=method
    )
    xr.testing.assert_identical(cut.shifts, whole.shifts)
    xr.testing.assert_identical(cut.cube.compute(), whole.cube)
    y, x = data.draw(st.integers(0, 3)), data.draw(st.integers(0, 4))
    alone = ZeroLoss(method=method).fit(cube[y : y + 1, x : x + 1])
    np.testing.assert_array_equal(alone.positions_, ZeroLoss(method=method).fit(cube).positions_[y : y + 1, x : x + 1])


def test_a_line_of_pixels_and_dims_in_any_order() -> None:
    line, true = scan((7,), dose=1e6, dtype="uint32")
    found = align_zero_loss(line.chunk(x=3))
    assert found.shifts.dims == ("x",)
    assert np.abs(found.shifts.values + true - (found.shifts.values + true).mean()).max() < 0.1 * STEP


def test_any_number_of_threads_gives_the_same_bytes() -> None:
    cube, _ = scan()
    found = []
    for workers in (1, 4):
        with settings(workers=workers, memory="100MB"):
            found.append(align_zero_loss(cube.chunk(y=2, x=5)))
    xr.testing.assert_identical(found[0].shifts, found[1].shifts)
    xr.testing.assert_identical(found[0].cube.compute(), found[1].cube.compute(scheduler="synchronous"))


@pytest.mark.slow
def test_processes_give_the_same_bytes() -> None:
    distributed = pytest.importorskip("distributed")
    cube, _ = scan()
    cube = cube.chunk(y=2, x=5)
    alone = align_zero_loss(cube)
    with (
        distributed.LocalCluster(2, threads_per_worker=1, dashboard_address=":0", protocol="tcp://") as cluster,
        distributed.Client(cluster) as client,
    ):
        together = align_zero_loss(cube, client=client)
        xr.testing.assert_identical(together.shifts, alone.shifts)
        moved = together.cube.compute()
    xr.testing.assert_identical(moved, alone.cube.compute(scheduler="synchronous"))


@pytest.mark.slow
def test_files_without_a_zero_loss_are_no_harm(shared_data: Any) -> None:
    """The third EELS signal of this file spans 0 eV, but its beam was off: all that is there is the read-out."""
    path = shared_data / "eels" / "example_velox_EELS_EDS.emd"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    cube = refold.open(path, "EELS 3")
    aligned = align_zero_loss(cube, window=(-2, 2), method="maximum")
    assert aligned.cube.dtype == cube.dtype
    assert np.abs(aligned.shifts).max() < 4


MEASURED = """
import sys, numpy as np, dask.array as da, refold
from refold.engine import settings
def peaks(block_info=None):
    (y0, y1), (x0, x1), _ = block_info[None]["array-location"]
    rng = np.random.default_rng([y0, x0])
    middle = 100 + rng.uniform(-9, 9, (y1 - y0, x1 - x0, 1))
    return rng.poisson(1e4 * np.exp(-(np.arange(1000) - middle) ** 2 / 8)).astype("u2")
def cube(n):
    chunks = ((20,) * (n // 20),) * 2 + ((1000,),)
    values = da.map_blocks(peaks, chunks=chunks, dtype="u2", meta=np.empty((0, 0, 0), "u2"))
    return refold.as_cube(values, signal="energy", coords={"energy": np.arange(1000.0)})
with settings(memory=sys.argv[1], workers=2):
    for n in (20, 500)[: 1 + (sys.argv[2] == "fit")]:
        aligned = refold.align_zero_loss(cube(n))
        (moments,) = refold.sweep(aligned.cube, refold.Moments())
        assert abs(moments.mean.argmax() + aligned.cube.energy.values[0]) < 1
"""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_memory_stays_within_the_budget() -> None:
    """500 MB of counts, found and moved with 60."""
    base = limit_memory(2**30, MEASURED, "60MB", "import", timeout=300).peak
    limit_memory(base + 60_000_000, MEASURED, "60MB", "fit", timeout=300)
