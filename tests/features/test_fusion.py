"""Several cubes as one feature space: laid side by side, weighed, read once, and taken apart again."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from sklearn.preprocessing import RobustScaler, StandardScaler

from refold.cube import as_cube, navigation_dims, signal_dims
from refold.engine import Moments, sweep
from refold.errors import CubeError, DataError, ParameterError, RefoldWarning
from refold.features.fusing import Fusion
from refold.features.joining import common_chunks
from refold.features.scaling import Scaler
from tests.guards import count_reads, no_compute
from tests.strategies import chunkings


def scan(lazy: bool = True) -> dict[str, xr.DataArray]:
    rng = np.random.default_rng(0)
    x = {"x": (np.arange(9) * 0.5, {"units": "nm"})}
    patterns = as_cube(rng.poisson(40, (8, 9, 3, 4)).astype("uint16"), signal=("ky", "kx"), coords=x)
    spectra = as_cube(
        rng.poisson(1.0, (8, 9, 7)), signal="energy", coords={**x, "energy": (np.arange(7) * 10.0, {"units": "keV"})}
    )
    picture = xr.DataArray(rng.normal(100, 9, (8, 9)).astype("f4"), dims=("y", "x"))
    if lazy:
        patterns, spectra, picture = patterns.chunk(y=2, x=3), spectra.chunk(y=4, x=6), picture.chunk()
    return {"diffraction": patterns, "eds": spectra, "bse": picture}


def tables(cubes: dict[str, xr.DataArray]) -> dict[str, np.ndarray]:
    return {name: cube.values.reshape(72, -1).astype(float) for name, cube in cubes.items()}


def table(features: xr.DataArray) -> np.ndarray:
    return features.values.reshape(-1, features.sizes["feature"])


# --- side by side -----------------------------------------------------------------------------------------------------


@settings(max_examples=10)  # three cubes, and as many graphs, each
@given(st.data())
def test_without_more_it_is_a_concatenation_for_any_chunking(data):
    cubes = {
        name: cube.chunk(dict(zip(cube.dims, data.draw(chunkings(cube.shape)), strict=True)))
        if data.draw(st.booleans())
        else cube
        for name, cube in scan(lazy=False).items()
    }
    fused = Fusion().fit(cubes).transform(cubes)
    assert fused.dtype == np.float32
    assert navigation_dims(fused) == ("y", "x")
    assert signal_dims(fused) == ("feature",)
    np.testing.assert_array_equal(table(fused), np.concatenate(list(tables(cubes).values()), axis=1).astype("f4"))


def test_coordinates_say_where_a_feature_came_from():
    fused = Fusion().fit(scan()).transform(xr.Dataset(scan()))
    assert fused.cube.values.tolist() == ["diffraction"] * 12 + ["eds"] * 7 + ["bse"]
    assert fused.ky.values[:12].tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert np.isnan(fused.ky[12:]).all()
    np.testing.assert_array_equal(fused.energy[12:19], np.arange(7) * 10.0)
    assert fused.energy.attrs == {"units": "keV"}
    assert fused.x.attrs == {"units": "nm", "role": "navigation"}
    assert fused.feature.values.tolist() == list(range(20))


def test_nothing_computes():
    cubes = scan()
    fusion = Fusion("robust", balance="maximum").fit(cubes)
    with no_compute():
        fusion.transform(cubes)
        Fusion("standard").join(cubes)


def test_a_pixel_invalid_in_one_cube_is_invalid():
    cubes = scan(lazy=False)
    spectra = cubes["eds"].astype("f4")
    spectra[2, 3, 1], spectra[0, 0, 0] = np.nan, np.inf
    cubes["eds"] = spectra.chunk(y=3)
    fused = Fusion("standard").fit(cubes).transform(cubes).compute()
    lost = np.isnan(fused).all("feature").values
    assert np.argwhere(lost).tolist() == [[0, 0], [2, 3]]
    assert np.isfinite(table(fused)[~lost.ravel()]).all()
    (moments,) = sweep(fused, Moments())
    assert (moments.count, moments.n_invalid) == (70, 2)
    np.testing.assert_allclose(moments.mean, 0, atol=1e-6)  # of the valid ones only


# --- scaling and balance ----------------------------------------------------------------------------------------------


def test_as_the_chain_by_hand():
    cubes = scan()
    fusion = Fusion({"diffraction": Scaler("none", log1p=True), "eds": Scaler("none", log1p=True), "bse": "standard"})
    fusion.set_params(balance="maximum", ratio={"diffraction": 2, "bse": 0.5}, final="robust").fit(cubes)
    parts = tables(cubes)
    a, b = np.log1p(parts["diffraction"]), np.log1p(parts["eds"])
    c = StandardScaler().fit_transform(parts["bse"])
    a, b = a * (2 / a.max()), b / b.max()
    c = c * (0.5 / np.abs(c).max())
    weighted = np.concatenate([a, b, c], axis=1) * np.log1p(parts["eds"]).max()  # the cube with the ratio 1 stays
    wanted = RobustScaler().fit_transform(weighted)
    np.testing.assert_allclose(table(fusion.transform(cubes)), wanted, atol=1e-5, rtol=1e-5)
    balance = fusion.balance_
    np.testing.assert_allclose(balance.maximum / balance.maximum[1], [2, 1, 0.5])
    np.testing.assert_allclose(
        balance.variance, [block.var(axis=0).sum() for block in np.split(weighted, [12, 19], 1)], rtol=1e-6
    )
    np.testing.assert_allclose(balance.final_maximum[1], np.abs(wanted[:, 12:19]).max(), rtol=1e-6)
    np.testing.assert_allclose(balance.final_share.sum(), 1)


def test_patterns_have_twice_the_maximum_by_default_wherever_they_stand():
    cubes = dict(reversed(scan().items()))
    balance = Fusion(balance="maximum").fit(cubes).balance_
    np.testing.assert_allclose(balance.maximum / balance.maximum.sel(cube="eds"), [1, 1, 2])
    assert balance.features.values.tolist() == [1, 7, 12]
    selected = cubes["diffraction"].stack(feature=("ky", "kx")).reset_index("feature")
    selected = selected.assign_coords(feature=("feature", np.arange(12), {"role": "signal"}))
    balance = Fusion(balance="maximum").fit({**cubes, "diffraction": selected}).balance_
    np.testing.assert_allclose(balance.maximum / balance.maximum.sel(cube="eds"), [1, 1, 2])


def test_a_picture_does_not_set_the_scale():
    cubes = scan()
    weights = Fusion(balance="maximum").fit(cubes).weights_
    assert weights["eds"] == 1
    assert Fusion(balance="maximum").fit({"eds": cubes["eds"], "bse": cubes["bse"]}).weights_ == {
        "eds": 1,
        "bse": pytest.approx(weights["bse"]),
    }


@pytest.mark.parametrize("scale", ["none", "standard", "robust", "minmax", "unit", PCA(1)])
def test_equal_variance_is_reached_and_reported(scale):
    cubes = scan()
    if scale == "unit":
        del cubes["bse"]  # all ones
    fusion = Fusion(scale, balance="variance", weights={"eds": 3.0}).fit(cubes)
    fused = fusion.transform(cubes)
    total = [table(fused[..., fused.cube.values == name]).var(axis=0).sum() for name in cubes]
    np.testing.assert_allclose(fusion.balance_.variance, total, rtol=1e-4)
    np.testing.assert_allclose(total, np.array([1, 9, 1])[: len(total)] * total[0], rtol=1e-4)
    np.testing.assert_allclose(fusion.balance_.share, np.array(total) / np.sum(total), rtol=1e-4)


def test_one_sweep_may_be_shared_and_two_are_refused():
    cubes = scan()
    fusion = Fusion("minmax", final="standard")
    joined = fusion.join(cubes)
    fusion.settle(joined, sweep(joined, *fusion.visitors(joined)))
    np.testing.assert_array_equal(
        table(fusion.transform(cubes)), table(Fusion("minmax", final="standard").fit(cubes).transform(cubes))
    )
    robust = Fusion(final="robust")
    with pytest.raises(ParameterError, match="with fit"):
        robust.visitors(robust.join(cubes))


# --- reading ----------------------------------------------------------------------------------------------------------


def stored(path, cubes: dict[str, xr.DataArray]) -> dict[str, xr.DataArray]:
    for name, cube in cubes.items():
        da.to_zarr(cube.data, str(path / f"{name}.zarr"))
    return {name: cube.copy(data=da.from_zarr(str(path / f"{name}.zarr"))) for name, cube in cubes.items()}


@pytest.mark.parametrize(("scale", "sweeps"), [("standard", 1), ("robust", 3)])
def test_each_chunk_is_read_once_a_sweep_though_chunks_differ(tmp_path, scale, sweeps):
    cubes = scan()
    cubes["bse"] = cubes["bse"].chunk(y=4, x=9)
    cubes["eds"] = cubes["eds"].chunk(y=4, x=6, energy=4)
    cubes = stored(tmp_path, cubes)
    fusion = Fusion(scale)
    with count_reads() as reads:
        fusion.fit(cubes, workers=2)
    assert len(reads.of_chunks) == 4 * 3 + 2 * 2 * 2 + 2
    assert set(reads.of_chunks.values()) == {sweeps}
    with count_reads() as reads:
        sweep(fusion.transform(cubes), Moments())
    assert set(reads.of_chunks.values()) == {1}


def test_common_edges_are_edges_of_every_cube():
    cubes = {
        "a": as_cube(da.zeros((24, 12, 5), chunks=((4, 4, 4, 12), (3,) * 4, 5)), signal="energy"),
        "b": as_cube(da.zeros((24, 12, 2), chunks=((6, 6, 12), (6, 6), 1)), signal="energy"),
        "c": as_cube(np.zeros((24, 12, 2)), signal="energy"),
    }
    assert common_chunks(cubes) == ((12, 12), (6, 6))
    assert common_chunks({"c": cubes["c"]}) == ((24,), (12,))


def test_a_picture_in_one_chunk_does_not_make_one_block_of_a_large_scan():
    large = as_cube(da.zeros((512, 512, 64, 64), chunks=(16, 16, 64, 64), dtype="u1"), signal=("ky", "kx"))
    picture = as_cube(da.zeros((512, 512, 1), chunks=(512, 512, 1)), signal="channel")
    assert common_chunks({"bse": picture, "diffraction": large}) == ((16,) * 32,) * 2
    spectra = as_cube(da.zeros((512, 512, 1024), chunks=(512, 512, 16), dtype="u1"), signal="energy")
    with pytest.warns(RefoldWarning, match=r"22 times|21 times"):
        common_chunks({"eds": spectra, "diffraction": large})


# --- apart again ------------------------------------------------------------------------------------------------------


def test_split_undoes_the_concatenation():
    cubes = scan()
    fusion = Fusion().fit(cubes)
    fused = fusion.transform(cubes)
    parts = fusion.split(fused)
    for name in ("diffraction", "eds"):
        np.testing.assert_array_equal(parts[name], cubes[name])
        assert parts[name].dims == cubes[name].dims
        for dim in signal_dims(cubes[name]):
            xr.testing.assert_identical(parts[name][dim], cubes[name][dim])
    np.testing.assert_array_equal(parts["bse"].isel(channel=0), cubes["bse"])
    means = fusion.split(fused.mean(("y", "x")))
    assert means["diffraction"].dims == ("ky", "kx")
    loadings = fusion.split(np.zeros((5, 20)))
    assert loadings["eds"].dims == ("dim_0", "energy")
    assert fusion.split(fused.transpose("feature", "y", "x"))["eds"].dims == ("y", "x", "energy")


def test_split_of_new_features_keeps_them_as_features():
    cubes = scan()
    fusion = Fusion({"diffraction": PCA(2)}).fit(cubes)
    fused = fusion.transform(cubes)
    assert fused.sizes["feature"] == 10
    assert fusion.split(fused)["diffraction"].dims == ("y", "x", "feature")
    wanted = PCA(2).fit_transform(tables(cubes)["diffraction"])
    np.testing.assert_allclose(np.abs(table(fused)[:, :2]), np.abs(wanted), atol=1e-3)


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"balance": "mean"}, "variance"),
        ({"final": "unit"}, "Scaler of your own"),
        ({"scale": "robots"}, "robust"),
        ({"weights": {"sem": 2.0}}, "sem"),
        ({"scale": {"sem": "none"}}, "sem"),
        ({"weights": {"eds": 0.0}}, "above 0"),
        ({"ratio": -1.0}, "above 0"),
    ],
)
def test_options_that_cannot_be(options, word):
    with pytest.raises(ParameterError, match=word):
        Fusion(**options).fit(scan())


def test_scans_that_cannot_be():
    cubes = scan()
    fusion = Fusion().fit(cubes)
    with pytest.raises(ParameterError, match="eds"):
        fusion.transform({"diffraction": cubes["diffraction"], "bse": cubes["bse"]})
    with pytest.raises(ParameterError, match="7, as were fitted"):
        fusion.transform({**cubes, "eds": cubes["eds"][..., 1:]})
    with pytest.raises(ParameterError, match="of 20"):
        fusion.split(np.zeros(19))
    with pytest.raises(CubeError, match=r"refold\.align"):
        Fusion().fit({"a": cubes["eds"], "b": cubes["eds"].assign_coords(x=cubes["eds"].x + 0.3)})
    with pytest.raises(DataError, match="zeros"):
        Fusion(balance="maximum").fit({"a": cubes["eds"], "b": cubes["eds"] * 0})
    with pytest.raises(DataError, match="not finite"):
        Fusion().fit({"a": cubes["eds"], "b": cubes["eds"] * np.nan})
