"""Spectra from raw to labels: prepared by a recipe, and reduced by each method that a recipe can name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from sklearn.metrics import adjusted_rand_score

import refold
from refold.errors import RecipeError
from refold.prepare import remove_background, remove_spikes
from refold.recipe import Recipe

QUIET = {"embed": "none", "n_components": 3, "min_cluster_size": 30, "report": False}


def spectra() -> tuple[xr.DataArray, np.ndarray]:
    """Three phases in 24 x 20 pixels: a power law with an edge at one of two places, or none; and a few spikes."""
    rng = np.random.default_rng(3)
    energy = np.linspace(400.0, 600.0, 64)
    truth = np.repeat([0, 1, 2], 8)[:, None] + np.zeros((1, 20), int)
    falling = 400 * (energy / 400) ** -3
    edges = np.stack([np.zeros(64), 150.0 * (energy > 480), 150.0 * (energy > 530)])
    counts = rng.poisson(falling + edges[truth]).astype(np.float32)
    counts[5, 5, 20] = counts[20, 3, 40] = 60_000
    return refold.as_cube(counts, signal="energy", coords={"energy": (energy, {"units": "eV"})}), truth


@pytest.mark.parametrize("method", ["pca", "mnf", "nmf", "ica"])
def test_each_method_reduces_a_run(method: str, tmp_path: Path):
    cube, truth = spectra()
    recipe = Recipe(prepare={"spikes": {"threshold": 12.0}}, reduce={"method": method})
    run = refold.run(cube, recipe, store=tmp_path / "a.run.zarr", cluster="kmeans", n_clusters=3, **QUIET)
    assert adjusted_rand_score(run.labels.values.ravel(), truth.ravel()) > 0.95
    assert run.components.dims == ("component", "energy")
    model = {"pca": refold.PCA, "mnf": refold.MNF, "nmf": refold.NMF, "ica": refold.ICA}[method]
    again = model.load(tmp_path / "a.run.zarr" / "stages" / "reduce" / "model")
    mended = remove_spikes(cube, 12.0).cube
    counts, middles = run.score_histogram.values, run.deviation.values
    np.testing.assert_allclose((counts * middles**2).sum(axis=1) / cube[..., 0].size, 1, rtol=0.25)
    np.testing.assert_array_equal(again.transform(mended).values, run.scores.values)


def test_a_recipe_takes_the_steps_of_their_functions(tmp_path: Path):
    cube, _ = spectra()
    steps = {"spikes": {"threshold": 12.0}, "background": {"window": [405, 470]}}
    run = refold.run(cube, Recipe(prepare=steps), store=tmp_path / "a.run.zarr", **QUIET)
    prepared = remove_background(remove_spikes(cube, 12.0).cube, (405, 470))
    labels = run.labels.values
    mean = prepared.values[labels == 0].mean(axis=0)
    np.testing.assert_allclose(run.cluster_mean.values[0], mean, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize(
    ("tables", "named"),
    [
        ({"prepare": {"spikes": {"width": 3}}}, "threshold"),
        ({"prepare": {"background": {"zero_before": True}}}, "window"),
        ({"reduce": {"method": "nmf", "solver": "scatter"}}, "reduce.solver"),
        ({"reduce": {"method": "ica", "outliers": 100}}, "reduce.outliers"),
        ({"reduce": {"method": "nmf", "n_components": 0.9}}, "n_components"),
    ],
)
def test_what_does_not_go_together_is_refused(tables, named: str):
    with pytest.raises(RecipeError, match=named):
        Recipe(**tables)


def test_a_parameter_that_no_method_has_is_named_before_anything_is_read():
    cube, _ = spectra()
    for method, name in (("nmf", "toll"), ("mnf", "random_state"), ("ica", "decomposition")):
        with pytest.raises(RecipeError, match=f"reduce.parameters.{name}"):
            refold.plan(cube, reduce={"method": method, "parameters": {name: 1}})


def test_sources_among_loadings_take_one_sweep_more():
    cube, _ = spectra()
    cube = cube.chunk(y=8)
    plans = {
        on: refold.plan(cube, reduce={"method": "ica", "parameters": {"on": on}}) for on in ("factors", "loadings")
    }
    assert plans["loadings"].sizes.reduce_sweeps == plans["factors"].sizes.reduce_sweeps + 1
    assert plans["loadings"].sizes.materialise
