"""Bands left out: by the file's list, by windows, by index, by step; lazily, and each chunk read once."""

from __future__ import annotations

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

import refold
from refold.cube import as_cube
from refold.errors import ParameterError
from refold.prepare.fusing import passes
from tests.guards import chunk_keys, count_reads, limit_memory, no_compute
from tests.strategies import cubes


def scene(n_bands: int = 8, lazy: bool = True):
    values = np.random.default_rng(0).random((4, 5, n_bands)).astype("f4")
    wavelength = (400.0 + 100 * np.arange(n_bands), {"units": "nm"})
    cube = as_cube(values, signal="wavelength", coords={"wavelength": wavelength}, name="reflectance")
    cube = cube.assign_coords(
        fwhm=("wavelength", np.arange(float(n_bands)), {"units": "nm"}), good=("wavelength", np.arange(n_bands) != 2)
    ).assign_attrs(site="SJER")
    return cube.chunk(y=2) if lazy else cube


@given(cube=cubes(signal=(1,), min_features=3), data=st.data())
def test_what_is_kept_is_what_numpy_keeps(cube, data):
    size, positions = cube.sizes["energy"], cube.energy.values
    good = np.array(data.draw(st.lists(st.booleans(), min_size=size, max_size=size)))
    drop = data.draw(st.lists(st.integers(-size, size - 1), max_size=3))
    low, high = sorted(data.draw(st.tuples(*[st.sampled_from([*positions, -1e3, 1e3])] * 2)))
    step = data.draw(st.integers(1, 3))
    left = np.delete(good & ~((positions >= low) & (positions <= high)), []) if good.size else good
    left[drop] = False
    expected = cube.values[..., np.flatnonzero(left)[::step]]
    flagged = cube.assign_coords(good=("energy", good))
    if not left.any():
        with pytest.raises(ParameterError, match="no band left"):
            refold.bands(flagged, windows=[(low, high)], drop=drop, step=step)
        return
    with no_compute():
        found = refold.bands(flagged, windows=[(low, high)], drop=drop, step=step)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(found.energy, positions[np.flatnonzero(left)[::step]])


def test_coordinates_name_and_attributes_stay():
    cube = scene()
    kept = refold.bands(cube, drop=[0, -1])
    assert kept.wavelength.values.tolist() == [500.0, 700.0, 800.0, 900.0, 1000.0]
    assert kept.fwhm.values.tolist() == [1.0, 3.0, 4.0, 5.0, 6.0]
    assert kept.good.all()
    assert (kept.name, kept.attrs, kept.fwhm.attrs) == (cube.name, cube.attrs, cube.fwhm.attrs)
    assert kept.wavelength.attrs == {"role": "signal", "units": "nm"}


def test_the_options_say_what_they_do():
    cube = scene(lazy=False)

    def left(**options):
        return (refold.bands(cube, **options).wavelength.values / 100).astype(int).tolist()

    assert left() == [4, 5, 7, 8, 9, 10, 11]
    assert left(good=False) == [4, 5, 6, 7, 8, 9, 10, 11]
    assert left(windows=(450, 850)) == left(windows=[(850, 450)]) == [4, 9, 10, 11]
    assert left(windows=((400, 500), (1100, 1200))) == [7, 8, 9, 10]
    assert left(keep=(450, 850)) == [5, 7, 8]
    assert left(keep=((400, 500), (1100, 1200)), good=False) == [4, 5, 11]
    assert left(drop=3) == [4, 5, 8, 9, 10, 11]
    assert left(drop=np.arange(8) < 5) == [9, 10, 11]
    assert left(drop=[]) == left()
    assert left(step=3) == [4, 8, 11]
    assert cube.refold.bands(step=3).equals(refold.bands(cube, step=3))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"windows": 3}, "pairs"),
        ({"windows": (1, 2, 3)}, "pairs"),
        ({"keep": "all"}, "pairs"),
        ({"keep": (0, 1)}, r"400\.0 to 1100\.0 nm"),
        ({"drop": [8]}, "from -8 to 7"),
        ({"drop": [True, False]}, "8 booleans"),
        ({"drop": [0.5]}, "windows="),
        ({"step": 0}, "at least 1"),
        ({"step": True}, "at least 1"),
        ({"dim": "y"}, "a signal dim"),
        ({"dim": "wavelengths"}, "did you mean 'wavelength'"),
    ],
)
def test_what_cannot_be_done_is_said(options, says):
    with pytest.raises(ParameterError, match=says):
        refold.bands(scene(), **options)


def test_patterns_need_the_dim_named():
    cube = as_cube(np.ones((2, 2, 4, 4)), signal=("ky", "kx"))
    with pytest.raises(ParameterError, match="dim='ky'"):
        refold.bands(cube, step=2)
    assert refold.bands(cube, "kx", step=2).shape == (2, 2, 4, 2)


def test_each_chunk_is_read_once_and_later_steps_stay_one_compiled_pass(tmp_path):
    values = np.random.default_rng(0).integers(0, 100, (8, 8, 12)).astype("uint16")
    array = zarr.create_array(
        tmp_path / "scene.zarr", data=values, chunks=(4, 4, 5), dimension_names=["y", "x", "band"]
    )
    kept = refold.bands(refold.open(tmp_path / "scene.zarr"), drop=[1, 6], step=2)
    cube = refold.log1p(refold.rebin(kept, y=2))
    assert passes(cube) == (("rebin", "log1p"),)
    with count_reads() as reads:
        (moments,) = refold.sweep(cube, refold.Moments())
    assert reads.total == chunk_keys(array)
    assert set(reads.of_chunks.values()) == {1}
    left = np.delete(np.arange(12), [1, 6])[::2]
    expected = np.log1p(values[..., left].reshape(4, 2, 8, -1).sum(axis=1, dtype="u4")).mean(axis=(0, 1))
    np.testing.assert_allclose(moments.mean, expected, rtol=1e-5)


_EIGHTFOLD = """
import sys
import refold
cube = refold.bands(refold.open(sys.argv[1]), windows=((1340, 1445), (1790, 1955)))
assert cube.sizes["wavelength"] < 200 and cube.nbytes > 3.5 * 2**30, (dict(cube.sizes), cube.nbytes)
(moments,) = refold.sweep(cube, refold.Moments(), memory="512MB", workers=2)
assert moments.count == 5120 * 5120 - 1000 * 1000, moments.count
print(float(moments.mean[0]))
"""


@pytest.mark.slow
def test_a_scene_eight_times_larger_than_the_memory_is_calibrated_and_cut_under_it(tmp_path):
    """4.1 GB of reflectance as float32, from 2.2 GB of packed numbers in ENVI's format, one band after the other."""
    rows, columns, n_bands = 5120, 5120, 42
    data = np.memmap(tmp_path / "scene.img", "<i2", "w+", shape=(n_bands, rows, columns))
    data[...] = 5000
    data[:, :1000, :1000] = -9999
    data.flush()
    del data
    wavelengths = ", ".join(map(str, np.linspace(400, 2500, n_bands)))
    (tmp_path / "scene.hdr").write_text(
        f"ENVI\nsamples = {columns}\nlines = {rows}\nbands = {n_bands}\ndata type = 2\ninterleave = bsq\n"
        "byte order = 0\nheader offset = 0\ndata ignore value = -9999\nreflectance scale factor = 10000\n"
        f"wavelength units = nanometers\nwavelength = {{{wavelengths}}}\n"
    )
    used = limit_memory(512 * 10**6, _EIGHTFOLD, tmp_path / "scene.hdr")
    assert float(used.stdout) == pytest.approx(0.5)
