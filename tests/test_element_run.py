"""Runs that learn from element maps: in any order of steps, with an image beside, the scan read once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import xarray as xr

import refold
from refold.errors import CubeError, ParameterError, RecipeError
from refold.origin import found_scan, identity_of_run
from refold.parts import cubes_given, parts_of
from refold.recipe import Features, Recipe, parse_elements, parse_images
from refold.report.page import render_report
from tests.features.xrays.made_spectra import ENERGY, expected, two_phases
from tests.guards import count_reads
from tests.runs import run

pytest.importorskip("xraydb")
THEN = ["normalise", "neighbour_average", "zscore", "softmax"]
QUICK: dict[str, Any] = {"reduce": "none", "cluster": "kmeans", "n_clusters": 2, "min_cluster_size": None}


@pytest.fixture
def scan(tmp_path) -> Path:
    """Iron left, quartz right, with an image of another boundary beside it."""
    two_phases(dose=30.0).chunk(y=5, x=6).to_dataset().to_zarr(tmp_path / "scan.zarr", zarr_format=3)
    left = np.where(np.arange(14) < 7, 200, 50).astype("u1")
    tifffile.imwrite(tmp_path / "bse.tif", np.broadcast_to(left, (12, 14)).copy())
    return tmp_path / "scan.zarr"


def stages(found: xr.Dataset) -> dict[str, Any]:
    return json.loads(found.attrs["stages"])


def iron(found: xr.Dataset) -> np.ndarray:
    """Pixels of the cluster that holds iron."""
    lines = refold.line_intensities(found, ["Fe_Ka"])
    return np.asarray(found.labels.values == int(lines.intensity.argmax("cluster").item()))


def test_maps_take_the_place_of_spectra_and_the_scan_is_read_once(scan, tmp_path):
    store = tmp_path / "run.zarr"
    options = {**QUICK, "elements": "listed", "features": {"then": THEN}}
    told = refold.plan(scan, **{"embed": "none", **options})
    with count_reads() as reads:
        run(scan, store, **options)
    found = refold.open_run(store)
    assert set(reads.under(f"{scan}/eds/c/").values()) == {1}
    assert (iron(found) == (np.arange(14) < 7)).mean() > 0.97
    assert found.cluster_mean.dims == ("cluster", "energy")  # of the spectra, not of the maps
    made = stages(found)
    assert made["fuse"]["sweeps"] == told.stages["fuse"].sweeps == 4  # kept, z-scores, fused (and moments)
    assert made["features"]["chunks_read"] == told.chunks_read == 9
    kept = xr.open_zarr(store / "stages/fuse/kept/eds", consolidated=False)
    assert kept.line.values.tolist() == ["Fe_Ka", "Si_Ka", "O_Ka"]
    maps = refold.element_maps(refold.open(scan).load())
    np.testing.assert_allclose(kept.features, refold.element_maps(two_phases(dose=30.0)), rtol=1e-6)
    assert maps.shape == kept.features.shape


def test_a_changed_step_is_made_again_without_the_scan(scan, tmp_path):
    store = tmp_path / "run.zarr"
    first = {**QUICK, "elements": ("Fe_Ka", "Si"), "features": {"then": ["neighbour_average", "zscore"]}}
    run(scan, store, **first)
    before = stages(refold.open_run(store))
    with count_reads() as reads:
        run(scan, store, **{**first, "features": {"then": ["neighbour_average", "softmax"]}})
    found = refold.open_run(store)
    after = stages(found)
    assert not reads.under(f"{scan}/eds/c/")
    assert after["features"]["fingerprint"] == before["features"]["fingerprint"]
    assert after["fuse"]["fingerprint"] != before["fuse"]["fingerprint"]
    measured = refold.line_intensities(found)  # by the lines of the run itself
    assert measured.line.values.tolist() == ["Fe_Ka", "Si_Ka"]
    assert (measured.significance.max("cluster") > 20).all()
    scaled = found.assign_attrs(recipe="[prepare]\nnormalise = 'total'")
    with pytest.raises(ParameterError, match="spectra after normalise"):
        refold.line_intensities(scaled, ["Fe_Ka"])
    # a mean of two pixels has half the variance that its counts seem to have
    averaged = found.assign_attrs(recipe="[prepare]\nrebin_how = 'mean'\n[prepare.rebin]\ny = 2")
    with pytest.raises(ParameterError, match="rebin by the mean"):
        refold.line_intensities(averaged, ["Fe_Ka"])


def test_clusters_are_measured_by_the_lines_that_the_maps_were_of(tmp_path):
    """Of copper a weak beam leaves the L line, which the run's recipe does not say."""
    slow = two_phases().assign_attrs(beam_energy=10.0, eds_energy_resolution_MnKa=140.0)
    maps = refold.element_maps(slow, ["Cu", "Si"])
    run(slow, tmp_path / "run.zarr", **QUICK, elements=["Cu", "Si"])
    found = refold.open_run(tmp_path / "run.zarr")
    for lines in (None, ["Cu", "Si"]):
        measured = refold.line_intensities(found, lines, background="none")
        assert measured.line.values.tolist() == maps.line.values.tolist() == ["Cu_La", "Si_Ka"]
        for cluster in (0, 1):
            mean = maps.where(found.labels == cluster).mean(("y", "x"))
            np.testing.assert_allclose(measured.intensity.sel(cluster=cluster), mean, rtol=1e-5)
    assert 'id="lines"' in render_report(found)


@pytest.mark.slow
def test_an_image_beside_has_its_weight(scan, tmp_path):
    options = {**QUICK, "elements": ("Fe_Ka", "Si_Ka"), "images": {"bse.tif": 0.5}, "features": {"then": ["zscore"]}}
    run(scan, tmp_path / "run.zarr", **options)
    found = refold.open_run(tmp_path / "run.zarr")
    assert {"cluster_mean_eds", "cluster_mean_bse"} <= set(found.data_vars)
    balance = stages(found)["fuse"]["notes"]["balance"]
    assert balance["bse"]["variance"] == pytest.approx(balance["eds"]["variance"] / 4, rel=1e-3)
    assert balance["bse"]["features"] == 1
    again = Recipe.from_toml(found.attrs["recipe"])
    assert again.source.images == {"bse.tif": 0.5}
    run(None, tmp_path / "run.zarr", recipe=again, **dict.fromkeys(QUICK))
    assert stages(refold.open_run(tmp_path / "run.zarr")) == stages(found)
    tifffile.imwrite(tmp_path / "far.tif", np.zeros((3, 4), "u1"))
    with pytest.raises(CubeError, match="3 x 4 beside spectra"):
        refold.plan(scan, images={"far.tif": 1.0})
    told = identity_of_run(found)["cubes"]["eds"]
    assert found_scan(told, again, "eds") is not None
    tifffile.imwrite(tmp_path / "bse.tif", np.zeros((3, 4), "u1"))  # it is not the scan any more
    assert found_scan(told, again, "eds") is None


@pytest.mark.parametrize(
    "option", [{"normalise": "total"}, {"features": {"then": ["zscore", "softmax"]}}, {"scale": "unit"}]
)
def test_an_image_is_not_divided_by_itself(scan, option):
    """What makes shares of a spectrum would make ones of an image, which then says nothing."""
    _, image = parts_of(*cubes_given(scan, Recipe().with_options(source={"images": {"bse.tif": 1.0}}, **option)))
    assert np.ptp(image.cube.values) == 150
    assert (image.features.then, image.features.scale) in ((None, "none"), (("zscore",), "none"))


def test_counts_of_a_coarser_grid_are_not_counted_twice():
    spectra = expected({"Fe_Ka": 30.0})[None]
    coords = {"cluster": [0], "energy": ("energy", ENERGY, {"units": "keV"})}
    means = xr.DataArray(spectra, coords, ("cluster", "energy"))
    told = {"dims": ["y", "x", "energy"], "shape": [3, 4, ENERGY.size]}
    source = json.dumps({"cubes": {"haadf": {"dims": ["y", "x"], "shape": [6, 8]}, "eds": told}})
    labels = (("y", "x"), np.zeros((6, 8), int))
    found = xr.Dataset(
        {"labels": labels, "cluster_mean_eds": means, "cluster_size": ("cluster", [48])}, attrs={"source": source}
    )
    with pytest.raises(ParameterError, match="a coarser grid"):
        refold.line_intensities(found, ["Fe_Ka"])
    assert refold.line_intensities(found.cluster_mean_eds, ["Fe_Ka"], sizes=[12]).error.item() > 0


def test_spectra_go_through_the_steps_too(scan, tmp_path):
    run(scan, tmp_path / "run.zarr", **{**QUICK, "n_clusters": 2, "features": {"then": ["neighbour_average"]}})
    found = refold.open_run(tmp_path / "run.zarr")
    assert (iron(found) == (np.arange(14) < 7)).mean() > 0.97
    assert not (tmp_path / "run.zarr/stages/fuse/kept").exists()  # the prepared scan is there already


def test_without_written_features_the_forecast_is_true(scan, tmp_path):
    options = {**QUICK, "elements": "listed", "features": {"then": THEN}, "resources": {"features": False}}
    told = refold.plan(scan, embed="none", **options)
    with count_reads() as reads:
        run(scan, tmp_path / "run.zarr", **options)
    assert set(reads.under(f"{scan}/eds/c/").values()) == {2}  # for the maps, and for the means of clusters
    assert told.chunks_read == 2 * 9
    with pytest.raises(RecipeError, match="average maps of elements"):
        refold.plan(scan, **{**options, "elements": None})


def test_components_of_maps_bear_the_names_of_lines(scan, tmp_path):
    options = {"elements": ["Fe_Ka", "Si_Ka", "O_Ka"], "n_components": 20, "cluster": "kmeans", "n_clusters": 2}
    run(scan, tmp_path / "run.zarr", **options, min_cluster_size=None, features={"then": ["zscore"]})
    loadings = refold.open_run(tmp_path / "run.zarr")["components_eds"]
    assert loadings.dims == ("component", "line")
    assert loadings.sizes["component"] == 3  # of 20 asked for: there are no more maps
    assert loadings.line.values.tolist() == options["elements"]


def test_maps_are_a_scan(tmp_path):
    maps = refold.zscore(refold.element_maps(two_phases(chunks=(6, 7, 1024)), ["Fe", "Si", "O"], background="linear"))
    run(maps, tmp_path / "run.zarr", **{**QUICK, "n_clusters": 2})
    found = refold.open_run(tmp_path / "run.zarr")
    assert found.cluster_mean.dims == ("cluster", "line")
    most = found.labels.values == int(found.cluster_mean.sel(line="Fe_Ka").argmax("cluster"))
    assert (most == (np.arange(14) < 7)).mean() > 0.97


# --- recipes ----------------------------------------------------------------------------------------------------------


def test_recipes_say_it_and_read_it_back():
    recipe = Recipe.from_toml(
        """
        [source]
        images = { BSE = 0.5 }
        [features]
        elements = ["Fe_Ka", "O"]
        parameters = { width = 1.5, background = "linear" }
        then = ["normalise", { neighbour_average = { radius = 2 } }, "zscore", "softmax"]
        """
    )
    assert Recipe.from_toml(recipe.to_toml()) == recipe
    assert recipe.features.steps[1] == ("neighbour_average", {"radius": 2})
    assert Recipe().with_options(elements="listed").features.elements == "listed"
    assert Recipe().options("fuse") == Recipe().with_options(elements=None).options("fuse")
    assert "then" not in Recipe().to_toml()  # so that runs of before keep their fingerprints


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"then": ["sofmax"]}, "write 'softmax'"),
        ({"then": [{"neighbour_average": 2}]}, "a table of options"),
        ({"then": [{"neighbour_average": {"radious": 2}}]}, "write 'radius'"),
        ({"then": [{"zscore": {}, "softmax": {}}]}, "one name"),
        ({"then": [{"softmax": {"axis": 1}}]}, "wanted none"),
        ({"then": "softmax"}, "a list"),
        ({"elements": "Fe_Ka"}, "features.elements"),
        ({"elements": ["Fe"], "describe": "cepstrum"}, "beside features.elements"),
    ],
)
def test_what_is_no_step_says_so(options, message):
    with pytest.raises(RecipeError, match=message):
        Features(**options)


def test_on_the_command_line():
    assert parse_elements("Fe_Ka, O") == ("Fe_Ka", "O")
    assert parse_images("BSE=0.5,haadf.tif") == {"BSE": 0.5, "haadf.tif": 1.0}
    for wrong in ("BSE=much", "BSE=1,,", "=2"):
        with pytest.raises(RecipeError):
            parse_images(wrong)
    with pytest.raises(RecipeError):
        parse_elements("Fe,,O")
