from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import refold
from refold.errors import VariableError
from refold.report.signals import Signals, cubes_of, shrink
from tests.report.made import make_correlative, make_run


def of_features(mean, **coords):
    return xr.Dataset({"cluster_mean": xr.DataArray(mean, dims=("cluster", "feature"), coords=coords)})


def test_each_cube_has_its_own_signals():
    run = make_correlative()
    assert cubes_of(run) == ("diffraction", "eds", "haadf", "profile")
    assert cubes_of(make_run()) == ("",)
    assert cubes_of(run[["labels"]]) == ()
    for cube in cubes_of(run):
        found = Signals.of(run, cube=cube)
        np.testing.assert_allclose(found.mean, run[f"cluster_mean_{cube}"])
        np.testing.assert_allclose(found.std, run[f"cluster_std_{cube}"])
    assert Signals.of(run).cube == "diffraction"
    with pytest.raises(VariableError, match="'eds'"):
        Signals.of(run, cube="eels")


def test_what_is_a_picture_what_a_line_and_what_a_number():
    run = make_correlative()
    found = {cube: Signals.of(run, cube=cube) for cube in cubes_of(run)}
    assert [found[c].is_image for c in found] == [True, False, False, False]
    assert [found[c].is_number for c in found] == [False, False, True, False]


def test_sides_of_length_one_are_left_out():
    run = make_run().drop_vars("cluster_std")
    run["cluster_mean"] = run.cluster_mean.expand_dims(detector=1, axis=1)
    assert Signals.of(run).is_image
    assert [axis.name for axis in Signals.of(run).axes] == ["ky", "kx"]


@given(st.integers(1, 6), st.integers(1, 6), st.booleans(), st.booleans(), st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_features_fold_back_to_the_pattern_they_came_from(rows, columns, falls, swapped, seed):
    rng = np.random.default_rng(seed)
    pattern = rng.random((2, rows, columns))
    ky, kx = np.linspace(-1, 1, rows), np.arange(columns) * 0.5
    ky = ky[::-1] if falls else ky
    kept = rng.random((rows, columns)) < 0.7
    kept[0, 0] = kept[-1, -1] = True
    row, column = np.nonzero(kept)
    coords = {"ky": ("feature", ky[row], {"units": "1/nm"}), "kx": ("feature", kx[column])}
    coords = dict(reversed(coords.items())) if swapped else coords
    found = Signals.of(of_features(pattern[:, kept], feature=np.arange(len(row)), **coords))
    used = np.ix_(kept.any(axis=1), kept.any(axis=0))
    expected = [np.where(kept, one, np.nan)[used] for one in pattern]
    np.testing.assert_array_equal(found.mean, expected)
    assert [axis.name for axis in found.axes] == ["ky", "kx"]
    np.testing.assert_array_equal(found.axes[0].values, ky[kept.any(axis=1)])
    assert found.axes[0].unit == "nm⁻¹"


def test_features_along_one_coordinate_are_a_line_along_it():
    found = Signals.of(of_features(np.ones((2, 4)), radius=("feature", [0.0, 0.1, 0.2, 0.3], {"units": "1/Å"})))
    assert found.axes[0].label == "radius (Å⁻¹)"
    renamed = (
        make_correlative()["cluster_mean_profile"].rename(feature="feature_profile").to_dataset(name="cluster_mean")
    )
    assert Signals.of(renamed).axes[0].name == "radius"


def test_statistics_of_selected_pixels_fold_back():
    rng = np.random.default_rng(0)
    row, column = np.nonzero(np.eye(4) + np.eye(4)[::-1])
    cube = xr.DataArray(
        rng.random((3, 5, len(row))).astype(np.float32),
        dims=("y", "x", "feature"),
        coords={
            "feature": ("feature", np.arange(len(row)), {"role": "signal"}),
            "ky": ("feature", row * 0.5),
            "kx": ("feature", column * 0.5),
        },
    )
    cube = cube.assign_coords({d: (d, np.arange(n), {"role": "navigation"}) for d, n in (("y", 3), ("x", 5))})
    labels = cube.isel(feature=0, drop=True).astype(np.int32) * 0
    found = Signals.of(refold.cluster_statistics(cube, labels, 1))
    np.testing.assert_allclose(found.mean[0][row, column], cube.mean(("y", "x")), rtol=1e-5)
    assert np.isnan(found.mean[0]).sum() == 8


@pytest.mark.parametrize(
    "coords",
    [
        {},
        {"energy": ("feature", [1.0, 2.0, np.nan, np.nan])},  # of several cubes
        {"cube": ("feature", ["a", "a", "b", "b"])},
        {"radius": ("feature", [0.0, 1.0, 0.0, 1.0])},  # two descriptors along one radius
        {"ky": ("feature", [0, 0, 0, 0]), "kx": ("feature", [0, 0, 1, 1])},
        {"a": ("feature", [0, 1, 2, 3]), "b": ("feature", [0, 1, 2, 3]), "c": ("feature", [0, 1, 2, 3])},
    ],
)
def test_features_that_lie_nowhere_stay_in_order(coords):
    mean = np.arange(8.0).reshape(2, 4)
    found = Signals.of(of_features(mean, **coords))
    assert found.axes[0].name == "feature"
    np.testing.assert_array_equal(found.mean, mean)


def test_features_scattered_all_over_make_no_huge_picture():
    rng = np.random.default_rng(0)
    found = Signals.of(of_features(np.ones((1, 500)), ky=("feature", rng.random(500)), kx=("feature", rng.random(500))))
    assert found.mean.shape == (1, 500)


@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 6))
@settings(max_examples=40)
def test_shrinking_is_the_mean_of_what_is_known(rows, columns, limit):
    values = np.random.default_rng(0).random((rows, columns))
    values[values < 0.3] = np.nan
    small = shrink(values, limit)
    assert max(small.shape) <= max(limit, 1)
    high, wide = -(-rows // limit), -(-columns // limit)
    for (i, j), value in np.ndenumerate(small):
        block = values[i * high : (i + 1) * high, j * wide : (j + 1) * wide]
        block = block[np.isfinite(block)]
        assert np.isnan(value) if not block.size else value == pytest.approx(block.mean())
