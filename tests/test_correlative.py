"""Scans of several cubes: the published pipeline against the same chain by hand, and what a run of cubes must do."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy import ndimage
from sklearn.metrics import adjusted_rand_score
from sklearn.preprocessing import RobustScaler

import refold
from refold.backends.umap_learn import umap_class
from refold.errors import CubeError, RecipeError
from refold.outcome import Outcome
from refold.recipe import Recipe
from refold.report import write_report
from refold.stages import Work
from tests.guards import Reads, count_reads
from tests.runs import contents, run

SHAPE = (40, 44)
RECIPE = Recipe.load("correlative-4dstem-eds").with_options(min_cluster_size=40)
# Quick, and still all of the features: no embedding.
QUICK: dict[str, Any] = {"embed": "none", "cluster": {"min_samples": 5}, "n_components": 20}


def phantoms() -> tuple[refold.synthetic.Phantom, refold.synthetic.Phantom]:
    """Diffraction and X-rays of one scene."""
    chunks = (16, 20)
    return (
        refold.synthetic.four_d_stem(SHAPE, detector=(24, 24), phases=3, seed=3, chunks=chunks),
        refold.synthetic.eds(SHAPE, channels=256, phases=3, seed=3, chunks=chunks),
    )


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    one, other = phantoms()
    assert (one.labels.values == other.labels.values).all()
    return np.asarray(one.labels.values)


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> dict[str, xr.DataArray]:
    folder = tmp_path_factory.mktemp("correlative")
    diffraction, eds = phantoms()
    paths = {"diffraction": diffraction.save(folder / "diffraction.zarr"), "eds": eds.save(folder / "eds.zarr")}
    return {name: refold.open(path) for name, path in paths.items()}


def by_hand(scan: dict[str, xr.DataArray]) -> np.ndarray:
    """The published chain in memory: NumPy, scikit-learn, umap-learn and hdbscan, and nothing of ours.

    umap-learn's own code, but loaded as for a run, so that it is compiled once for both: it takes half a minute.
    """
    import hdbscan

    patterns, spectra = (scan[name].values.astype(np.float64) for name in ("diffraction", "eds"))
    n, m, side, _ = patterns.shape
    binned = patterns.reshape(n, m, side // 2, 2, side // 2, 2).sum(axis=(3, 5)).reshape(n * m, -1)
    ky, kx = (scan["diffraction"][dim].values.reshape(-1, 2).mean(axis=1) for dim in ("ky", "kx"))
    outside = np.hypot(ky[:, None], kx).ravel() > BEAM
    logs = np.log1p(np.clip(binned, 0, None))
    ranked = np.argsort(np.where(outside, -logs.std(axis=0), np.inf), kind="stable")
    diffraction = logs[:, np.sort(ranked[: round(0.4 * outside.sum())])]
    counts = spectra.reshape(n * m, -1)
    eds = np.log1p(counts[:, counts.var(axis=0) > 0.01])
    diffraction *= 2 * eds.max() / diffraction.max()
    features = RobustScaler().fit_transform(np.concatenate([diffraction, eds], axis=1)).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what umap-learn says of seeds and threads
        umap = umap_class(searching=False)(n_components=3, n_neighbors=10, min_dist=0, densmap=True, random_state=0)
        latent = umap.fit_transform(features)
    model = hdbscan.HDBSCAN(min_cluster_size=40, min_samples=1, prediction_data=True).fit(latent.astype(np.float64))
    return np.asarray(hdbscan.all_points_membership_vectors(model)).argmax(axis=1)


BEAM = 0.3  # radius that is left out, so that nothing hangs on how the beam is found
FIXED = RECIPE.with_options(cubes={"diffraction": {"features": {"beam": [0, 0, BEAM]}}})


@pytest.fixture(scope="module")
def answer(scan: dict[str, xr.DataArray]) -> np.ndarray:
    return by_hand(scan)


@pytest.mark.slow
def test_the_published_chain_by_hand_and_the_recipe_agree(scan, answer, truth, tmp_path):
    outcome = refold.run(scan, FIXED, store=tmp_path / "all.run.zarr", report=False)
    labels = outcome.labels.values.ravel()
    assert adjusted_rand_score(answer, labels) >= 0.99
    assert adjusted_rand_score(truth.ravel(), labels) >= 0.99
    assert (labels >= 0).all()  # soft labels: nobody is noise
    assert {"cluster_mean_diffraction", "cluster_std_eds", "cluster_size"} <= set(outcome.data_vars)
    assert outcome.cluster_mean_diffraction.dims == ("cluster", "ky", "kx")
    assert outcome.embedding.sizes["latent"] == 3
    balance = json.loads(outcome.attrs["stages"])["fuse"]["notes"]["balance"]
    assert balance["diffraction"]["maximum"] == pytest.approx(2 * balance["eds"]["maximum"])
    page = write_report(outcome, tmp_path / "page.html").read_text(encoding="utf-8")
    assert "How much each cube counts" in page


def test_landmarks_that_are_a_tenth_of_the_scan_give_nearly_the_same(scan, answer, tmp_path):
    fewer = FIXED.with_options(landmarks=0.1, min_cluster_size=10)
    labels = refold.run(scan, fewer, store=tmp_path / "tenth.run.zarr", report=False).labels.values
    assert adjusted_rand_score(answer, labels.ravel()) >= 0.97


# --- what a run of several cubes must do ------------------------------------------------------------------------------


def quick(scan: Any, store: Path, **options: Any) -> Any:
    return run(scan, store, recipe=RECIPE, **{**QUICK, "reduce": {"method": "pca", "n_components": 6}, **options})


@pytest.fixture(scope="module")
def quickly(scan, tmp_path_factory) -> tuple[Outcome, Reads]:
    """One such run, for reading only, and what it read."""
    with count_reads() as reads:
        return quick(scan, tmp_path_factory.mktemp("quick") / "run.zarr"), reads


def test_each_chunk_of_each_cube_is_read_once(scan, quickly):
    outcome, reads = quickly
    of_scan = {key: count for name in scan for key, count in reads.under(f"{name}.zarr").items()}
    assert set(of_scan.values()) == {1}
    chunks = sum(cube.data.npartitions for cube in scan.values())
    assert outcome.chunks_read == len(of_scan) == chunks
    assert outcome.bytes_read == sum(cube.nbytes for cube in scan.values())


def test_in_memory_and_from_disk_end_with_the_same_answer(scan, quickly, tmp_path):
    lazy = refold.open_run(quickly[0].store)
    loaded = refold.open_run(
        quick({name: cube.compute() for name, cube in scan.items()}, tmp_path / "loaded.zarr").store
    )
    assert adjusted_rand_score(lazy.labels.values.ravel(), loaded.labels.values.ravel()) >= 0.99
    xr.testing.assert_allclose(lazy.cluster_mean_eds, loaded.cluster_mean_eds, rtol=0.1, atol=0.5)


def test_loadings_fold_back_to_patterns_and_spectra(quickly):
    result = refold.open_run(quickly[0].store)
    patterns, spectra = result.components_diffraction, result.components_eds
    assert patterns.dims == ("component", "ky", "kx")
    assert spectra.dims == ("component", "energy")
    ky, kx = patterns.ky, patterns.kx
    assert patterns.isel(component=0).where(np.hypot(ky, kx) < 0.1).isnull().all()  # the beam was left out
    whole = np.concatenate([one.values[np.isfinite(one.values)] for one in (patterns[0], spectra[0])])
    np.testing.assert_array_equal(whole, result.components.values[0])


def test_the_plan_counts_every_stage(scan, quickly):
    told = refold.plan(scan, RECIPE)
    assert list(told.stages) == ["features", "fuse", "embed", "cluster", "labels", "statistics", "report"]
    outcome, _ = quickly
    again = refold.plan(scan, RECIPE, **QUICK, reduce={"method": "pca", "n_components": 6})
    assert again.chunks_read == outcome.chunks_read
    assert outcome.forecast["peak_memory"] > 0


@pytest.mark.parametrize("when", ["at the end", "in the middle"])
def test_stopped_while_fusing(scan, quickly, tmp_path, monkeypatch, when):
    place, whole = tmp_path / "run.zarr", quickly[0].store
    fuse = Work.fuse

    def stopping(self: Work) -> None:
        if when == "at the end":
            fuse(self)
        else:
            self.store.write("stages/fuse", xr.Dataset({"half": ("a", [1])}))
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Work, "fuse", stopping)
        with pytest.raises(KeyboardInterrupt):
            quick(scan, place)
    with count_reads() as reads:
        outcome = quick(scan, place)
    assert not [key for key in reads.of_chunks if "diffraction.zarr" in key or "eds.zarr" in key]
    assert [name for name, facts in outcome.stages.items() if facts["reused"]] == ["features"]
    assert contents(place) == contents(whole)


def test_weights_change_the_answer_only_from_fusing_on(scan, quickly, tmp_path):
    shutil.copytree(quickly[0].store, tmp_path / "run.zarr")
    heavier = {"eds": {"features": {"weight": 3}}}
    outcome = quick(scan, tmp_path / "run.zarr", cubes=heavier)
    assert [name for name, facts in outcome.stages.items() if facts["reused"]] == ["features"]


def test_a_picture_is_a_feature_and_another_grid_is_aligned(scan, tmp_path):
    eds = scan["eds"]
    picture = eds.sum("energy").astype(np.float64)
    with xr.set_options(keep_attrs=True):
        coarse = picture.coarsen(y=2, x=2).mean()
    plain = Recipe(fuse={"balance": "variance"}, cubes={"eds": {}, "haadf": {}})
    outcome = run({"eds": eds, "haadf": picture}, tmp_path / "same.zarr", recipe=plain)
    result = refold.open_run(outcome.store)
    assert result.cluster_mean_haadf.shape == (outcome.clusters, 1)
    aligned = plain.with_options(cubes={"haadf": {"features": {"align": "nearest"}}})
    assert run({"eds": eds, "haadf": coarse}, tmp_path / "coarse.zarr", recipe=aligned).clusters > 0
    with pytest.raises(CubeError, match=r"refold\.align"):
        refold.plan({"eds": eds, "haadf": coarse}, plain)


def test_a_cube_of_no_weight_is_averaged_and_not_learnt_from(scan, tmp_path):
    other = Recipe(cubes={"eds": {}, "diffraction": {"features": {"weight": 0}}})
    outcome = run(scan, tmp_path / "both.zarr", recipe=other)
    result = refold.open_run(outcome.store)
    alone = refold.open_run(run(scan["eds"], tmp_path / "alone.zarr").store)
    assert result.cluster_mean_diffraction.dims == ("cluster", "ky", "kx")
    assert adjusted_rand_score(result.labels.values.ravel(), alone.labels.values.ravel()) >= 0.99
    with pytest.raises(RecipeError, match="something to learn from"):
        refold.plan(scan, features={"weight": 0})


def test_cubes_whose_signal_dims_have_one_name_are_kept_apart(scan, tmp_path):
    eds = scan["eds"]
    other = eds.isel(energy=slice(0, 40))
    result = refold.open_run(run({"eds": eds, "low": other}, tmp_path / "run.zarr").store)
    assert result.cluster_mean_eds.dims == ("cluster", "energy")
    assert result.cluster_mean_low.dims == ("cluster", "energy_low")


@pytest.mark.parametrize(
    "features",
    [
        {"describe": "radial_profile"},
        {"describe": "virtual_detectors", "parameters": {"annuli": [[0, 0.3], [0.3, 1.0]]}},
        {"describe": "log_fourier", "select": "channels", "keep": 0.3},
        {"describe": "centre_of_mass"},
        {"select": "deviation", "keep": 0.2, "log": True},
        {"scale": "standard"},
    ],
)
def test_features_of_one_cube(scan, tmp_path, features):
    cube = scan["diffraction"]
    outcome = run(cube, tmp_path / "run.zarr", features=features, n_components=2)
    result = refold.open_run(outcome.store)
    assert outcome.chunks_read == cube.data.npartitions
    assert result.cluster_mean.dims == ("cluster", "ky", "kx")  # of patterns, whatever was learnt from
    assert result.labels.shape == SHAPE


@pytest.mark.parametrize("method", ["kmeans", "gaussian_mixture", "agglomerative"])
def test_other_methods_of_clustering(scan, tmp_path, truth, method):
    options = {"cluster": {"method": method, "n_clusters": 4}, "min_cluster_size": None}
    outcome = run(scan["eds"], tmp_path / "run.zarr", n_components=3, **options)
    labels = refold.open_run(outcome.store).labels.values
    assert outcome.clusters == 4
    assert adjusted_rand_score(truth.ravel(), labels.ravel()) > 0.9


def test_agglomeration_along_the_grid_gives_connected_clusters(scan, tmp_path):
    grid = {"method": "agglomerative", "n_clusters": 6, "parameters": {"connectivity": "grid"}}
    outcome = run(scan["eds"], tmp_path / "run.zarr", n_components=3, cluster=grid, min_cluster_size=None)
    labels = refold.open_run(outcome.store).labels.values
    assert [ndimage.label(labels == cluster)[1] for cluster in range(6)] == [1] * 6


def test_errors_name_the_cube(scan):
    with pytest.raises(CubeError, match="'diffraction', which the recipe names"):
        refold.plan({"eds": scan["eds"]}, RECIPE)
    with pytest.raises(RecipeError, match="dim 'kz'"):
        refold.plan(scan, rebin={"kz": 2})
    with pytest.raises(RecipeError, match=r"features\.keep without"):
        refold.plan(scan["eds"], features={"keep": 0.3})


def test_a_dataset_of_cubes_is_a_scan_and_needs_no_recipe(scan, tmp_path, truth):
    dataset = xr.Dataset(scan)
    outcome = run(dataset, tmp_path / "run.zarr", rebin={"ky": 2, "kx": 2})
    labels = refold.open_run(outcome.store).labels.values
    assert adjusted_rand_score(truth.ravel(), labels.ravel()) > 0.95
