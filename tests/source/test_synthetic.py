"""Laws of phantoms: the same for any chunking, true to what they say, bounded in memory."""

from __future__ import annotations

import errno
import pickle
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score

from refold import synthetic
from refold.cube import check_cube, navigation_dims, signal_dims
from refold.errors import DiskFullError, ParameterError, StoreExistsError
from refold.source.phantoms import saving
from refold.source.phantoms.sampling import add_gaussian, alias_tables, count
from tests.guards import no_compute, peak_memory
from tests.strategies import chunkings

MAKERS = {
    "diffraction": lambda **options: synthetic.four_d_stem(detector=(16, 12), **options),
    "eds": lambda **options: synthetic.eds(channels=64, counts=100, **options),
    "reflectance": lambda **options: synthetic.reflectance(bands=21, **options),
}
each = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())


@each
@given(data=st.data())
def test_is_the_same_for_any_chunking(make: object, data: st.DataObject) -> None:
    shape = data.draw(st.sampled_from([(11,), (1, 9), (7, 6), (3, 4, 5)]))
    phantom = make(shape=shape, phases=2, rare=(2,), mixing=1.0, seed=5)
    chunks = [max(sizes) for sizes in data.draw(chunkings(shape))]
    other = phantom.rechunk(*chunks)
    xr.testing.assert_identical(other.cube.compute(), phantom.cube.compute())
    xr.testing.assert_identical(other.truth.compute(), phantom.truth.compute())


@each
def test_is_a_calibrated_cube_and_nothing_is_computed_early(make: object) -> None:
    with no_compute():
        phantom = make(shape=(2048, 2048), step=0.5)
        cube = check_cube(phantom.cube)
        assert phantom.labels.chunks is not None
    assert navigation_dims(cube) == ("y", "x")
    assert all(cube[dim].attrs["units"] for dim in cube.dims)
    assert cube.x.values[1] == 0.5
    corner = cube.isel(y=slice(-2, None), x=slice(-2, None)).compute()
    assert np.isfinite(corner).all()
    assert corner.any(signal_dims(cube)).all()


@each
def test_seeds_differ_and_repeat(make: object) -> None:
    one, again, other = (make(shape=(8, 8), seed=seed) for seed in (1, 1, 2))
    assert one.cube.data.name == again.cube.data.name != other.cube.data.name
    assert one.cube.equals(again.cube)
    assert not one.cube.equals(other.cube)


@given(st.sampled_from([(40,), (8, 9), (20, 30), (5, 6, 7)]), st.integers(0, 99), st.data())
def test_rare_phases_have_just_their_pixels(shape: tuple[int, ...], seed: int, data: st.DataObject) -> None:
    n = int(np.prod(shape))
    rare = tuple(data.draw(st.lists(st.integers(1, max(1, n // 12)), min_size=1, max_size=2)))
    phantom = synthetic.four_d_stem(shape, (8, 8), phases=2, amorphous=0, rare=rare, seed=seed)
    sizes = np.bincount(phantom.labels.values.ravel(), minlength=4)
    assert tuple(sizes[2 : 2 + len(rare)]) == rare
    assert sizes.sum() == n
    for rank, wanted in enumerate(rare):  # compact: no longer than a run, or about a disc or a ball
        where = np.argwhere(phantom.labels.values == 2 + rank)
        assert np.ptp(where, axis=0).max() <= 3 * wanted ** (1 / len(shape)) + 1


def test_the_same_specimen_in_every_signal() -> None:
    options = {"shape": (20, 24), "rare": (9,), "seed": 4}
    stem, eds = synthetic.four_d_stem(vacuum=1, **options), synthetic.eds(vacuum=1, **options)
    light = synthetic.reflectance(phases=6, **options)
    for name in ("labels", "grains"):
        np.testing.assert_array_equal(getattr(stem, name), getattr(eds, name))
        np.testing.assert_array_equal(getattr(stem, name), getattr(light, name))


def test_grains_hold_one_phase_and_phases_about_equal_shares() -> None:
    truth = synthetic.four_d_stem((64, 64), (8, 8), phases=4, amorphous=0).truth.compute()
    for grain in np.unique(truth.grains):
        assert np.unique(truth.labels.values[truth.grains.values == grain]).size == 1
    assert np.bincount(truth.labels.values.ravel()).min() > 64 * 64 / 12
    np.testing.assert_allclose(truth.abundance.sum("phase"), 1)
    assert (truth.abundance.argmax("phase") == truth.labels).all()


def test_boundaries_mix_when_asked() -> None:
    abundance = synthetic.reflectance((32, 32), 20, mixing=2.0).abundance.values
    np.testing.assert_allclose(abundance.sum(-1), 1)
    assert ((abundance > 0.05) & (abundance < 0.45)).any()


def test_dose_thickness_and_vacuum() -> None:
    phantom = synthetic.four_d_stem((32, 32), (32, 32), vacuum=1, dose=500, thickness=(0.5, 1.5))
    cube, labels = phantom.cube.compute(), phantom.labels.values
    total = cube.sum(("ky", "kx")).values
    np.testing.assert_allclose(total.mean(), 500, rtol=0.01)
    direct = cube.where(np.hypot(cube.ky, cube.kx) < 0.1, 0).sum(("ky", "kx")).values
    assert (direct[labels == 5] > 400).all()  # vacuum: all of the beam, whatever the thickness
    matter = np.where(labels < 5, direct, np.nan)
    assert np.nanmean(matter[:, :8]) > 1.3 * np.nanmean(matter[:, -8:])


def test_lines_lie_where_the_elements_say() -> None:
    made_of = [{"Fe": 1.0}, {"Ni": 1.0}]
    phantom = synthetic.eds((8, 8), 1500, phases=2, amorphous=0, compositions=made_of, counts=5000, grid=0.0)
    mean = phantom.cube.groupby(phantom.labels.compute()).mean().compute()
    for label, line in ((0, 6.404), (1, 7.478)):
        strong = mean.sel(labels=label).where(mean.energy > 3, 0)
        assert abs(float(strong.energy[int(strong.argmax("energy"))]) - line) < 0.03


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
def test_counts_have_the_type_asked_for(dtype: str) -> None:
    assert synthetic.eds((4, 4), 512, dtype=dtype).cube.compute().dtype == dtype


def test_no_data_is_marked() -> None:
    phantom = synthetic.reflectance((40, 50), 10, nodata=0.2, nodata_value=-9999.0)
    missing = (phantom.cube == -9999).all("wavelength").compute()
    np.testing.assert_array_equal(missing, phantom.labels == -1)
    assert abs(float(missing.mean()) - 0.2) < 0.02
    nan = synthetic.reflectance((40, 50), 10, nodata=0.2).cube
    np.testing.assert_array_equal(np.isnan(nan).all("wavelength"), missing)


@pytest.mark.parametrize("by_channel", [False, True])
def test_counts_are_poisson(by_channel: bool) -> None:
    """Both samplers meet the distribution's mean, variance and lack of correlation, from rates of 0.01 to 60."""
    sources = np.stack([np.geomspace(1, 6000, 24), np.ones(24)])
    sources[1, 5] = 0
    sources /= sources.sum(axis=1, keepdims=True)
    rates = np.broadcast_to([90.0, 12.0], (40_000, 2)).copy()
    tables = None if by_channel else alias_tables(sources)
    counts = count(7, np.arange(40_000), rates=rates, sources=sources, tables=tables, dtype=np.dtype("uint16"))
    mean = rates[0] @ sources
    error = np.sqrt(mean / len(counts))
    assert (np.abs(counts.mean(axis=0) - mean) < 4.5 * error).all()
    np.testing.assert_allclose(counts.var(axis=0), mean, rtol=0.05)
    correlation = np.corrcoef(counts.T) - np.eye(24)
    assert np.abs(correlation).max() < 0.03


@pytest.mark.parametrize("mean", [0.05, 3.0, 9.9, 10.1, 400.0])
def test_one_channel_has_the_poisson_frequencies(mean: float) -> None:
    from scipy import stats

    ones = np.ones((1, 1))
    counts = count(
        3, np.arange(50_000), rates=np.full((50_000, 1), mean), sources=ones, tables=None, dtype=np.dtype("u4")
    )
    ends = stats.poisson.ppf([0.0, *np.linspace(0.1, 0.9, 9), 1 - 1e-12], mean)
    ends = np.unique(np.concatenate([[-1], ends]))
    found = np.histogram(counts, bins=ends + 0.5)[0]
    wanted = np.diff(stats.poisson.cdf(ends, mean)) * 50_000
    used = wanted > 5
    assert stats.chi2.sf(((found - wanted)[used] ** 2 / wanted[used]).sum(), used.sum()) > 1e-4


def test_noise_is_normal() -> None:
    out = np.zeros((4000, 25), "f4")
    add_gaussian(2, np.arange(4000), 0.5, out)
    assert abs(out.mean()) < 0.01
    np.testing.assert_allclose(out.std(), 0.5, rtol=0.01)
    assert np.abs(np.corrcoef(out.T) - np.eye(25)).max() < 0.08


def test_alias_tables_leave_empty_channels_empty() -> None:
    sources = np.array([[0.0, 0.25, 0.0, 0.75], [0.0, 0.0, 0.0, 0.0]])
    tables = alias_tables(sources)
    rates = np.full((1000, 2), [40.0, 0.0])
    counts = count(0, np.arange(1000), rates=rates, sources=sources, tables=tables, dtype=np.dtype("u2"))
    assert counts[:, [0, 2]].sum() == 0
    np.testing.assert_allclose(counts[:, 3].sum() / counts.sum(), 0.75, atol=0.01)


@pytest.mark.parametrize("name", ["diffraction", "eds", "reflectance"])
def test_phases_can_be_told_apart(name: str) -> None:
    """Nearest class mean among 12 principal components gives the truth, rare phase and thickness ramp and all."""
    options = {"shape": (48, 48), "rare": (25,), "mixing": 0.0, "seed": 3}
    phantom = {
        "diffraction": lambda: synthetic.four_d_stem(detector=(32, 32), **options),
        "eds": lambda: synthetic.eds(channels=512, **options),
        "reflectance": lambda: synthetic.reflectance(bands=60, **options),
    }[name]()
    labels = phantom.labels.values.ravel()
    scores = PCA(12, random_state=0).fit_transform(phantom.cube.values.reshape(labels.size, -1).astype("f4"))
    means = np.stack([scores[labels == k].mean(axis=0) for k in range(labels.max() + 1)])
    distance = np.linalg.norm(scores[:, None] - means, axis=2)
    assert adjusted_rand_score(labels, distance.argmin(axis=1)) > 0.98
    between = np.linalg.norm(means[:, None] - means, axis=2)[~np.eye(len(means), dtype=bool)].min()
    assert between > 2 * np.median(distance.min(axis=1))


@each
def test_saved_is_what_was_made(make: object, tmp_path: Path) -> None:
    phantom = make(shape=(11, 13), seed=2)
    path = phantom.save(tmp_path / "deep" / "scan.zarr", chunks=(4, 8), workers=2)
    saved = xr.open_zarr(path)
    made = phantom.cube.compute()
    xr.testing.assert_identical(saved[phantom.name].compute().drop_attrs(deep=False), made.drop_attrs(deep=False))
    np.testing.assert_array_equal(saved.labels, phantom.labels)
    np.testing.assert_array_equal(saved.grains, phantom.grains)
    check_cube(saved[phantom.name])
    array = zarr.open_array(path / phantom.name, mode="r")
    assert array.chunks[:2] == (4, 8)
    assert array.metadata.zarr_format == 3
    assert [entry.name for entry in path.parent.iterdir()] == ["scan.zarr"]


def test_saved_in_shards(tmp_path: Path) -> None:
    phantom = synthetic.four_d_stem((16, 16), (8, 8))
    path = phantom.save(tmp_path / "scan.zarr", chunks=(4, 4), shards=(8, 16))
    assert zarr.open_array(path / "diffraction", mode="r").shards[:2] == (8, 16)
    np.testing.assert_array_equal(xr.open_zarr(path).diffraction, phantom.cube)


def test_nothing_half_written_and_nothing_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    phantom = synthetic.four_d_stem((8, 8), (8, 8), seed=1)
    path = phantom.save(tmp_path / "scan.zarr")
    other = synthetic.four_d_stem((8, 8), (8, 8), seed=2)
    with pytest.raises(StoreExistsError):
        other.save(path)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(saving, "_write", full)
        with pytest.raises(DiskFullError, match="no space left"):
            other.save(path, overwrite=True)
    np.testing.assert_array_equal(xr.open_zarr(path).diffraction, phantom.cube)
    other.save(path, overwrite=True)
    np.testing.assert_array_equal(xr.open_zarr(path).diffraction, other.cube)
    assert [entry.name for entry in tmp_path.iterdir()] == ["scan.zarr"]


@pytest.mark.slow
def test_saving_is_bounded_in_memory(tmp_path: Path) -> None:
    code = """
    import sys
    from refold import synthetic
    synthetic.four_d_stem((int(sys.argv[2]), 32), (64, 64), dose=200).save(sys.argv[1], chunks=(16, 16), workers=2)
    """
    small = peak_memory(code, tmp_path / "small.zarr", 32).peak
    large = peak_memory(code, tmp_path / "large.zarr", 512).peak  # 134 MB
    assert large - small < 40e6


def test_phantoms_travel_to_other_processes() -> None:
    phantom = synthetic.eds((6, 6), 32, counts=50)
    where = (slice(0, 6), slice(2, 6))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(phantom)).block(where), phantom.block(where))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"shape": (0, 4)}, "navigation shape"),
        ({"shape": (2, 2, 2, 2)}, "navigation shape"),
        ({"phases": -1}, "phases=-1"),
        ({"phases": 0, "amorphous": 0}, "0 phases"),
        ({"shape": (2, 2), "phases": 9}, "10 phases"),
        ({"grains": 2}, "2 grains"),
        ({"rare": (0,)}, "rare phases"),
        ({"rare": (3000,)}, "rare phases"),
        ({"dtype": "uint8", "dose": 100_000}, "brightest channel"),
        ({"thickness": (-1, 1)}, "thickness"),
        ({"chunks": (4,)}, "one size a navigation dim"),
        ({"detector": (0, 4)}, "0 channels"),
    ],
)
def test_errors(options: dict[str, object], said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        _ = synthetic.four_d_stem(**options).cube


def test_unknown_elements_are_named() -> None:
    with pytest.raises(ParameterError, match="Xx"):
        synthetic.eds(phases=1, amorphous=0, compositions=[{"Xx": 1.0}])
    with pytest.raises(ParameterError, match="1 compositions"):
        synthetic.eds(phases=2, amorphous=0, compositions=[{"Fe": 1.0}])
    with pytest.raises(ParameterError, match="background"):
        synthetic.eds(background=0.9, grid=0.2)
    with pytest.raises(ParameterError, match="nodata"):
        synthetic.reflectance(nodata=1.0)
