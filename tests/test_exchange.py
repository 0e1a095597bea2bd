"""Runs and decompositions as signals of HyperSpy: its plots show our numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr

import refold
from refold.errors import CubeError, ParameterError
from refold.exchange import to_hyperspy
from tests.guards import count_reads

hs = pytest.importorskip("hyperspy.api")
pytest.importorskip("exspy")
plt = pytest.importorskip("matplotlib.pyplot")
# exspy 0.3 imports from where HyperSpy 2.5 no longer wants it; HyperSpy 2.5 renamed a plot
pytestmark = pytest.mark.filterwarnings("ignore:Importing:Warning", "ignore:Function `plot_explained:Warning")

OPTIONS: dict[str, Any] = {"n_components": 4, "embed": "none", "min_cluster_size": 8, "report": False}


@pytest.fixture(scope="module")
def scene() -> Any:
    return refold.synthetic.eds((12, 10), seed=0)


@pytest.fixture(scope="module")
def stored(scene, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("scan") / "eds.zarr"
    scene.cube.assign_attrs(signal_type="EDS_TEM", title="phantom").chunk(y=4).to_dataset(name="eds").to_zarr(
        path, zarr_format=3, consolidated=False
    )
    return path


@pytest.fixture(scope="module")
def run(stored) -> xr.Dataset:
    return refold.run(stored, store=stored.with_name("run.zarr"), rebin={"energy": 2, "y": 2}, **OPTIONS)


def model_of(run: xr.Dataset) -> np.ndarray:
    pca = refold.PCA.load(Path(run.encoding["source"]) / "stages/reduce/model")
    return pca.inverse_transform(run["scores"]).values


def test_a_run_is_the_scan_with_results(run, stored):
    with count_reads() as reads:
        signal = to_hyperspy(run)
    assert not reads.under("eds.zarr/eds/c")
    assert isinstance(signal.data, da.Array)
    assert type(signal).__name__ == "LazyEDSTEMSpectrum"
    assert signal.metadata.General.title == "phantom"
    expected = refold.rebin(refold.open(stored), energy=2)
    np.testing.assert_array_equal(signal.data.compute(), expected.values)
    energy = signal.axes_manager[-1]
    assert energy.units == "keV"
    np.testing.assert_allclose(energy.axis, expected.energy.values, rtol=1e-9)
    np.testing.assert_array_equal(energy.size, run["components"].sizes["energy"])


def test_hyperspys_own_numbers_are_ours(run):
    signal = to_hyperspy(run)
    factors, loadings = signal.get_decomposition_factors(), signal.get_decomposition_loadings()
    np.testing.assert_allclose(factors.data, run["components"].values, atol=1e-6)
    np.testing.assert_array_equal(np.asarray(loadings.data), run["scores"].transpose("component", "y", "x").values)
    scree = signal.get_scree_plot_data().data
    np.testing.assert_allclose(scree, run["explained_variance_ratio"].values)
    model = signal.get_decomposition_model()
    np.testing.assert_allclose(np.asarray(model.data), model_of(run), rtol=1e-4, atol=1e-4)
    labels = signal.get_cluster_labels(merged=True).data
    np.testing.assert_array_equal(np.asarray(labels), run["labels"].values)
    means = signal.get_cluster_signals().data
    np.testing.assert_allclose(np.asarray(means), run["cluster_mean"].values, rtol=1e-6)
    assert signal.learning_results.number_of_clusters == run.sizes["cluster"]
    assert signal.learning_results.number_significant_components >= 1


def test_hyperspys_plots_draw(run):
    signal = to_hyperspy(run)
    try:
        signal.plot_decomposition_factors(2)
        signal.plot_decomposition_loadings(2)
        assert plt.gcf().axes
        shown = plt.gcf().axes[0].images[0].get_array()
        np.testing.assert_allclose(shown, run["scores"].isel(component=0).values, rtol=1e-6)
        line = signal.plot_scree_plot().get_lines()
        drawn = np.concatenate([np.asarray(part.get_ydata(), float) for part in line if len(part.get_ydata()) > 1])
        assert set(np.round(run["explained_variance_ratio"].values, 9)) & set(np.round(drawn, 9))
        signal.plot_explained_variance_ratio()
        signal.plot_cluster_labels()
        maps = [axes.images[0].get_array() for axes in plt.gcf().axes if axes.images]
        np.testing.assert_array_equal(np.asarray(maps[0], bool), run["labels"].values == 0)
        signal.plot_cluster_signals()
        signal.plot_decomposition_results()
    finally:
        plt.close("all")


@pytest.mark.parametrize("center", [True, False])
def test_weighted_counts_are_weighted_back(scene, tmp_path, center):
    options = {**OPTIONS, "n_components": 3}
    run = refold.run(scene.cube, store=tmp_path / "run.zarr", scaling="poisson", center=center, **options)
    signal = to_hyperspy(run, scene.cube)
    assert signal.learning_results.poissonian_noise_normalized
    assert signal.learning_results.factors.shape[1] == (4 if center else 3)
    np.testing.assert_allclose(np.asarray(signal.get_decomposition_model().data), model_of(run), rtol=2e-3, atol=2e-3)


def test_standardised_channels_are_scaled_back(tmp_path):
    rows = np.random.default_rng(0).normal(size=(9, 8, 6)) * [9, 5, 3, 2, 1, 0.5] + 100
    cube = refold.as_cube(rows.astype("f4"), signal="energy")
    run = refold.run(cube, store=tmp_path / "run.zarr", scaling="standard", **OPTIONS)
    signal = to_hyperspy(run, cube)
    np.testing.assert_allclose(np.asarray(signal.get_decomposition_model().data), model_of(run), rtol=1e-4)
    assert np.shares_memory(signal.data, cube.values)


def test_without_its_scan_a_run_is_what_its_components_say(scene, tmp_path):
    run = refold.run(scene.cube, store=tmp_path / "run.zarr", **OPTIONS)
    signal = to_hyperspy(run)
    assert isinstance(signal.data, da.Array)
    np.testing.assert_allclose(np.asarray(signal.data), model_of(run), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(np.asarray(signal.get_cluster_labels(merged=True).data), run["labels"].values)
    assert signal.axes_manager[-1].units == "keV"


def test_another_scan_is_refused(run, scene):
    with pytest.raises(CubeError, match="the cube that they were made of"):
        to_hyperspy(run, refold.crop(scene.cube, {"x": (0, 5)}))
    with pytest.raises(ParameterError, match="cube='bse'"):
        to_hyperspy(run, cube="bse")
    with pytest.raises(CubeError, match="a run"):
        to_hyperspy(xr.Dataset({"a": 1}))


def test_a_scan_that_changed_is_not_taken_for_it(stored, tmp_path):
    import os

    run = refold.run(stored, store=tmp_path / "run.zarr", **{**OPTIONS, "n_components": 3})
    before = to_hyperspy(run).data.dtype
    later = (stored / "zarr.json").stat().st_mtime + 10
    os.utime(stored / "zarr.json", (later, later))
    assert before.kind == "u"
    assert to_hyperspy(run).data.dtype.kind == "f"


@pytest.mark.parametrize("name", ["eels", "eds"])
def test_of_several_cubes_each_can_be_shown(tmp_path, name):
    rng = np.random.default_rng(0)
    grid = (8, 9)
    side = rng.integers(0, 2, grid)[..., None]
    cubes = {
        "eels": refold.as_cube(rng.poisson(5 + 20 * side * np.arange(6)).astype("u2"), signal="energy"),
        "eds": refold.as_cube(rng.poisson(5 + 20 * side * np.arange(4)[::-1]).astype("u2"), signal="energy"),
    }
    cubes["eds"] = cubes["eds"].assign_coords(energy=("energy", [1.0, 2, 3, 4], {"role": "signal", "units": "keV"}))
    run = refold.run(cubes, store=tmp_path / "run.zarr", **{**OPTIONS, "n_components": 3})
    signal = to_hyperspy(run, cubes[name], cube=name)
    assert signal.data.shape == cubes[name].shape
    np.testing.assert_allclose(np.asarray(signal.get_cluster_signals().data), run[f"cluster_mean_{name}"].values)
    np.testing.assert_array_equal(np.asarray(signal.learning_results.loadings).reshape(*grid, 3), run["scores"].values)


@pytest.mark.parametrize("options", [{}, {"centre": "navigation"}, {"centre": "signal"}])
def test_a_decomposition_is_hyperspys(scene, options):
    found = refold.decompose(scene.cube, output_dimension=3, **options)
    signal = to_hyperspy(found)
    np.testing.assert_allclose(
        np.asarray(signal.get_decomposition_model().data), found.model().values, rtol=1e-4, atol=1e-4
    )
    np.testing.assert_array_equal(signal.get_decomposition_factors().data, found.factors.values)
    assert signal.learning_results.output_dimension == 3
    np.testing.assert_array_equal(signal.get_scree_plot_data().data, found.explained_variance_ratio.values)


def test_a_cube_is_a_signal(scene):
    assert type(to_hyperspy(scene.cube)).__name__ == type(scene.cube.refold.to_hyperspy()).__name__
