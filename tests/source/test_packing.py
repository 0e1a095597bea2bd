"""What stored numbers stand for, and which bands of a scene hold any data."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refold.source import packing as module
from refold.source import scene as scenes
from refold.source.packing import PackedRegion, Packing, exact
from refold.source.scene import Place, bands_with_data, map_info


class InMemory:
    """Reads regions of an array, and remembers them."""

    def __init__(self, array: np.ndarray) -> None:
        self.array, self.regions = array, []

    def read(self, region: tuple[slice, ...]) -> np.ndarray:
        self.regions.append(region)
        return self.array[region].copy()


@given(
    dtype=st.sampled_from(["uint8", "int16", "uint16", "int32", "uint32", "int64", "float32", "float64"]),
    divisor=st.sampled_from([1.0, 10_000.0]),
    per_band=st.booleans(),
    no_data=st.sampled_from([(), (0.0,), (-9999.0,), (3.0, 7.0), (np.nan,), (1e300,)]),
    axis=st.integers(0, 2),
    slab=st.sampled_from([1, 1 << 18]),
    seed=st.integers(0, 9),
)
def test_values_are_those_of_numpy_in_double_precision(dtype, divisor, per_band, no_data, axis, slab, seed):
    rng = np.random.default_rng(seed)
    stored = rng.integers(0, 9, (4, 3, 5)).astype(dtype)
    factor = tuple(rng.random(stored.shape[axis]).tolist()) if per_band else 1.0
    divisor = 1.0 if per_band else divisor
    packing = Packing(factor, divisor, no_data=no_data)
    region = (slice(1, 4), slice(0, 2), slice(2, 5))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_SLAB", slab)
        found = PackedRegion(InMemory(stored), packing, axis).read(region)
    along = np.asarray(factor).reshape([-1 if at == axis else 1 for at in range(3)]) if per_band else 1.0
    expected = stored * np.asarray(along, "f8") / divisor
    expected[np.isin(stored, no_data)] = np.nan
    assert found.dtype == packing.dtype_of(stored.dtype)
    if found.dtype.kind == "f":
        np.testing.assert_array_equal(found, expected[region].astype(found.dtype))
    else:
        assert not packing.scales
        np.testing.assert_array_equal(found, stored[region])


def test_one_over_a_whole_number_divides():
    assert Packing.scaled(0.0001) == Packing(divisor=10_000.0)
    assert Packing.scaled((0.0001, 0.0001)) == Packing(divisor=10_000.0)
    assert Packing.scaled((0.5, 0.1)).factor == (0.5, 0.1)
    assert Packing.scaled(0.37).factor == 0.37
    assert not Packing.scaled(1.0).scales


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("digits", [7, 9, 16])
def test_the_lowest_float_written_in_few_digits_means_no_data(dtype, digits):
    lowest = np.finfo(dtype).min
    said = exact(f"{float(lowest):.{digits - 1}e}")
    assert np.isfinite(said) or dtype == "float64"
    told = Packing(no_data=(said,)).missing(np.dtype(dtype))
    assert (lowest in told) == np.isfinite(said)
    assert not {0.0, float(np.finfo(dtype).max)} & set(told)


def test_a_float_just_within_the_largest_means_no_data_itself():
    said = -3.4028230607370965e38  # as ArcGIS writes it, and stores it
    found = PackedRegion(InMemory(np.array([[said, 1, -3.4e38]], "f4")), Packing(no_data=(said,)), 0).read(
        (slice(0, 1), slice(0, 3))
    )
    assert np.isnan(found).tolist() == [[True, False, False]]


@pytest.mark.parametrize("text", ["-9223372036854775806", "9223372036854775807", "18446744073709551614", "1" * 400])
def test_whole_numbers_that_mean_no_data_keep_all_their_digits(text):
    for dtype in (np.dtype("int64"), np.dtype("uint64")):
        within = np.iinfo(dtype).min <= int(text) <= np.iinfo(dtype).max
        stored = np.array([[int(text) if within else 1, 1, 2]], dtype)
        stored[0, 1] = stored[0, 0] - dtype.type(1)  # a float cannot tell these apart
        found = PackedRegion(InMemory(stored), Packing(no_data=(exact(text),)), 0).read((slice(0, 1), slice(0, 3)))
        assert np.isnan(found).tolist() == [[within, False, False]]


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("step", [1, 7])
def test_bands_without_data_are_found_in_few_short_reads(axis, step):
    scene = np.random.default_rng(0).random((60, 90, 6)).astype("f4")
    scene[..., 2] = np.nan
    scene[:40] = np.nan  # most of a scene may lie beside the flight line
    scene[:, :, 4] = np.where(np.arange(90) < 45, np.nan, scene[:, :, 4])  # and a band may be there in parts
    array = np.moveaxis(scene, -1, axis)
    chunks = [step if at != axis else 2 for at in range(3)]
    reader = InMemory(array)
    held = bands_with_data(reader, array.shape, tuple(chunks), axis)
    assert held.tolist() == [True, True, False, True, True, True]
    assert len(reader.regions) == 16
    x = max(at for at in range(3) if at != axis)
    columns = [region[x] for region in reader.regions]
    assert all(part.stop - part.start <= 16 for part in columns)
    assert all(part.start // step == (part.stop - 1) // step for part in columns if step > 1)


def test_large_chunks_are_looked_into_at_few_spots_and_more_rows(monkeypatch):
    scene = np.random.default_rng(0).random((60, 90, 4)).astype("f4")
    scene[..., 1] = np.nan
    monkeypatch.setattr(scenes, "_MOST", 4 * 4 * 30 * 45)  # four of these chunks
    reader = InMemory(scene)
    assert bands_with_data(reader, scene.shape, (30, 45, 4), 2).tolist() == [True, False, True, True]
    shapes = {tuple(part.stop - part.start for part in region) for region in reader.regions}
    assert (len(reader.regions), shapes) == (4, {(4, 16, 4)})
    whole = InMemory(scene)
    assert bands_with_data(whole, scene.shape, scene.shape, 2).tolist() == [True, False, True, True]
    assert [part.stop - part.start for part in whole.regions[0]] == [16, 16, 4]
    assert len(whole.regions) == 1


def test_a_scene_whose_data_lie_in_a_corner_is_looked_at_more_closely():
    scene = np.full((64, 64, 3), np.nan, "f4")
    scene[:8, :8, 1:] = 1
    assert bands_with_data(InMemory(scene), scene.shape, (1, 1, 1), 2).tolist() == [False, True, True]
    nothing = np.full((5, 5, 3), np.nan, "f4")
    assert bands_with_data(InMemory(nothing), nothing.shape, (1, 1, 1), 2).all()


@pytest.mark.parametrize(
    ("text", "epsg"),
    [
        ("UTM, 1, 1, 0, 0, 1, 1, 33, South, WGS-84", 32733),
        ("UTM, 1, 1, 0, 0, 1, 1, 5, North, North America 1983", 26905),
        ("Geographic Lat/Lon, 1, 1, 0, 0, 1, 1, WGS-84, units=Degrees", 4326),
        ("UTM, 1, 1, 0, 0, 1, 1, 33, South, Ordnance Survey 1936", None),
        ("Arbitrary, 1, 1, 0, 0, 1, 1", None),
    ],
)
def test_map_info_names_few_reference_systems(text, epsg):
    assert map_info(text).crs == epsg


def test_what_is_no_map_info_says_nothing():
    assert map_info("none") == Place(attrs={"map_info": "none"})
    y, x = Place().axes(2, 3)
    assert (y.values.tolist(), x.values.tolist(), x.units) == ([0, 1], [0, 1, 2], None)
