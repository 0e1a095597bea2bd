"""More clusterings of one latent space: the run's own again, bit for bit; whole or not at all; switched, forgotten."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hdbscan import HDBSCAN
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture

import refold
from refold.engine import ZarrWriter
from refold.errors import DataError, ParameterError, RecipeError, RefoldWarning, StoreError, StoreExistsError
from refold.store import RunStore
from refold.store.locking import alone
from tests.guards import count_reads
from tests.runs import contents, one_object, phantom, run

REBIN = {"rebin": {"ky": 2, "kx": 2}}
ANSWER = ("labels", "probability", "membership")
STATISTICS = ("cluster_mean", "cluster_std", "cluster_size")


@pytest.fixture
def copy(small_run: Path, tmp_path: Path) -> Path:
    """The shared run, to be changed."""
    return Path(shutil.copytree(small_run, tmp_path / "copy.run.zarr"))


@pytest.fixture(scope="module")
def with_mixture(small_scan: Path, small_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shared run with a mixture of four; for reading only. It keeps features: nothing of the scan is read."""
    place = Path(shutil.copytree(small_run, tmp_path_factory.mktemp("mixture") / "run.zarr"))
    with count_reads() as reads:
        refold.recluster(place, "gmm4", n_clusters=4)
    assert not reads.under(f"{small_scan}/diffraction/c/")
    return place


def same(one: xr.Dataset, other: xr.Dataset, names: tuple[str, ...] = ANSWER) -> None:
    for name in names:
        xr.testing.assert_identical(one[name], other[name])


# --- what is found ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "recipe",
    [
        {"method": "hdbscan", "min_cluster_size": 20, "soft_labels": True, "parameters": {"alpha": 1.2}},
        {"method": "gaussian_mixture", "n_clusters": 4, "parameters": {"covariance_type": "tied"}},
        {"method": "kmeans", "n_clusters": 4, "random_state": 3},
        {"method": "agglomerative", "parameters": {"connectivity": "grid", "distance_threshold": 900.0}},
    ],
    ids=lambda recipe: recipe["method"],
)
def test_with_the_options_of_a_recipe_it_is_the_run_s_own_bit_for_bit(small_scan, copy, recipe):
    """And it is still there when the run was gone on with, for the landmarks and the latent space stayed."""
    options = {**recipe, **recipe.get("parameters", {})}
    options.pop("parameters", None)
    again = refold.recluster(copy, "again", **options).load()
    run(small_scan, copy, **REBIN, cluster=recipe)
    own = refold.open_run(copy)
    same(own, again)
    same(own, refold.open_run(copy, clustering="again"))
    for name in STATISTICS:
        xr.testing.assert_allclose(own[name], again[name], rtol=1e-5)
    mixture = ("mixture_means", "mixture_covariances", "mixture_weights")
    same(own, again, mixture) if recipe["method"] == "gaussian_mixture" else None
    assert refold.clusterings(copy)["run"].options == refold.clusterings(copy)["again"].options


def test_a_mixture_is_scikit_learns(with_mixture):
    found = refold.open_run(with_mixture, clustering="gmm4").load()
    rows = found.landmark_scores.values.astype(np.float64)
    judge = GaussianMixture(4, n_init=3, random_state=0).fit(rows)
    assert adjusted_rand_score(judge.predict(rows), found.landmark_label) > 0.99
    order = np.argsort([np.linalg.norm(found.mixture_means.values - mean, axis=1).argmin() for mean in judge.means_])
    spread = rows.std()
    np.testing.assert_allclose(found.mixture_means, judge.means_[order], atol=0.05 * spread)
    np.testing.assert_allclose(found.mixture_covariances, judge.covariances_[order], atol=0.05 * spread**2)
    assert found.mixture_covariances.dims == ("cluster", "latent", "other_latent")
    np.testing.assert_allclose(found.mixture_weights.sum(), 1)
    assert (found.labels >= 0).all()


def test_density_is_hdbscan_s_and_asked_again_it_is_read(copy):
    options = {"min_cluster_size": 15, "alpha": 1.3, "cluster_selection_method": "leaf", "min_samples": 6}
    found = refold.open_run(copy).refold.recluster("leaves", "hdbscan", **options)
    judge = HDBSCAN(core_dist_n_jobs=1, **options).fit(found.landmark_scores.values.astype(np.float64))
    assert adjusted_rand_score(judge.labels_, found.landmark_label) == 1.0
    summary = refold.open_run(copy).refold.clusterings()["leaves"]
    assert (summary.method, summary.options["alpha"]) == ("hdbscan", 1.3)
    assert summary.clusters == judge.labels_.max() + 1
    assert summary.noise == pytest.approx(float((found.labels < 0).mean()))
    before = contents(copy)
    refold.recluster(copy, "leaves", "hdbscan", **options)
    with pytest.raises(StoreExistsError, match=r"alpha=1\.3"):
        refold.recluster(copy, "leaves", n_clusters=4)
    assert contents(copy) == before


def test_without_features_the_scan_is_asked_for(small_scan, tmp_path):
    place = run(small_scan, tmp_path / "bare.run.zarr").store
    with pytest.warns(RefoldWarning, match="mean signals of the clusters are left out"):
        found = refold.recluster(place, "again", "hdbscan", min_cluster_size=12)
    assert not set(STATISTICS) & set(found)
    assert not refold.clusterings(place)["again"].statistics
    with pytest.raises(DataError, match="the one of the run"):
        refold.recluster(place, "again", "hdbscan", min_cluster_size=12, scan=phantom(seed=5).cube)
    found = refold.recluster(place, "again", "hdbscan", min_cluster_size=12, scan=small_scan)
    same(refold.open_run(place), found, (*ANSWER, *STATISTICS))


def test_coarser_grids_and_several_cubes(tmp_path):
    one, other = phantom(shape=(22, 24)), refold.synthetic.eds((22, 24), channels=32, phases=3, seed=0)
    cubes = {"diffraction": one.cube, "eds": other.cube}
    place = run(cubes, tmp_path / "run.zarr", rebin={"y": 2, "x": 2, "ky": 3}).store
    found, own = refold.recluster(place, "again", "hdbscan", min_cluster_size=12), refold.open_run(place)
    same(own, found)
    assert found.labels.shape == (22, 24)
    assert {"cluster_mean_diffraction", "cluster_mean_eds", "cluster_size"} <= set(found)
    for name in ("cluster_mean_eds", "cluster_std_diffraction", "cluster_size"):
        xr.testing.assert_allclose(own[name], found[name], rtol=1e-5)


# --- switching --------------------------------------------------------------------------------------------------------


def test_switching(with_mixture):
    own, mixture = refold.open_run(with_mixture), refold.open_run(with_mixture, clustering="gmm4")
    xr.testing.assert_identical(own, refold.open_run(with_mixture, clustering="run"))
    assert "clustering" not in own.attrs
    assert mixture.attrs["clustering"] == "gmm4"
    assert refold.Recipe.from_toml(mixture.attrs["recipe"]).cluster.n_clusters == 4
    assert json.loads(mixture.attrs["measured"])["clusters"] == mixture.sizes["cluster"] == 4
    same(own, mixture, ("scores", "residual", "components", "landmark_scores"))
    assert list(refold.clusterings(own)) == ["run", "gmm4"]
    store = RunStore.open(with_mixture)
    bound = [store.fingerprint_of_labels(name) for name in (None, "run", "gmm4")]
    assert bound[0] == bound[1] != bound[2] == refold.clusterings(own)["gmm4"].fingerprint
    assert (
        "clusterings/gmm4/labels"
        in json.loads((with_mixture / "zarr.json").read_text())["consolidated_metadata"]["metadata"]
    )
    xr.testing.assert_identical(xr.open_zarr(with_mixture, group="clusterings/gmm4").labels, mixture.labels)


def test_clusterings_of_one_run_are_compared_and_only_its_own_is_repeated(with_mixture):
    mixture = refold.open_run(with_mixture, clustering="gmm4")
    found = refold.compare(with_mixture, mixture)
    assert found.names[1].endswith("run.zarr (gmm4)")
    assert found.recipe["cluster.method"] == ("hdbscan", "gaussian_mixture")
    with pytest.raises(ParameterError, match="gmm4"):
        refold.stability(mixture, 2)


def test_what_the_embedding_was_is_forgotten_with_it(small_scan, with_mixture, tmp_path):
    place = Path(shutil.copytree(with_mixture, tmp_path / "run.zarr"))
    run(small_scan, place, **REBIN, landmarks=300)
    assert list(refold.clusterings(place)) == ["run"]
    assert not (place / "clusterings").exists()


@pytest.mark.parametrize(
    ("call", "error", "named"),
    [
        (lambda place: refold.recluster(place, "run", n_clusters=3), ParameterError, "run's own"),
        (lambda place: refold.recluster(place, "a/b", n_clusters=3), ParameterError, "a/b"),
        (lambda place: refold.recluster(place, "a--b", n_clusters=3), ParameterError, "a--b"),
        (lambda place: refold.recluster(place, "zarr.json", n_clusters=3), ParameterError, "zarr.json"),
        (lambda place: refold.recluster(place, "GMM4", n_clusters=3), ParameterError, "'GMM4' beside 'gmm4'"),
        (lambda place: refold.recluster(place, "mine", "kmedoids", 3), ParameterError, "kmedoids"),
        (lambda place: refold.recluster(place, "mine"), RecipeError, "n_clusters = None"),
        (
            lambda place: refold.recluster(place, "mine", n_clusters=3, covariance="full"),
            ParameterError,
            "covariance_t",
        ),
        (lambda place: refold.recluster(place, "mine", n_clusters=3, covariance_type="tide"), ParameterError, "tide"),
        (lambda place: refold.recluster(place, "mine", "kmeans", 3, min_samples=3), ParameterError, "min_samples"),
        (lambda place: refold.open_run(place, clustering="gmm5"), StoreError, "gmm4"),
        (lambda place: refold.open_run(place, clustering="../x"), ParameterError, "letters"),
        (lambda place: refold.forget_clustering(place, "run"), ParameterError, "run's own"),
        (lambda place: refold.forget_clustering(place, "gmm5"), StoreError, "run, gmm4"),
    ],
)
def test_errors_name_what_there_is(with_mixture, call, error, named):
    before = contents(with_mixture)
    with pytest.raises(error, match=named):
        call(with_mixture)
    assert contents(with_mixture) == before


@pytest.mark.parametrize(
    ("options", "error", "named"),
    [
        (
            {"cluster": {"parameters": {"min_sample": 3}}},
            RecipeError,
            r"cluster\.parameters\.min_sample .*'min_samples'",
        ),
        ({"cluster": {"parameters": {"alpha": -1.0}}}, ParameterError, "alpha"),
        ({"cluster": {"method": "kmeans", "n_clusters": 3, "parameters": {"tolerance": 1}}}, RecipeError, "'tol'"),
    ],
)
def test_parameters_of_a_recipe_are_refused_before_anything_is_read(small_scan, options: dict[str, Any], error, named):
    with pytest.raises(error, match=named):
        refold.plan(small_scan, **options)


# --- whole or not at all ----------------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
import refold
from refold.engine import ZarrWriter

visit = ZarrWriter.visit

def killing(self, *args):
    visit(self, *args)
    os.kill(os.getpid(), signal.SIGKILL)

ZarrWriter.visit = killing
refold.recluster(sys.argv[1], "gmm4", n_clusters=4)
"""


def test_killed_in_the_middle(copy, small_run, with_mixture):
    command = [sys.executable, "-c", KILLED, str(copy)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert list(refold.clusterings(copy)) == ["run"]
    xr.testing.assert_identical(refold.open_run(copy).drop_attrs(), refold.open_run(small_run).drop_attrs())
    with pytest.raises(StoreError, match="gmm4"):
        refold.open_run(copy, clustering="gmm4")
    refold.recluster(copy, "gmm4", n_clusters=4)
    assert contents(copy) == contents(with_mixture)


def test_stopped_while_it_is_replaced_the_old_one_stays(with_mixture, tmp_path, monkeypatch):
    place = Path(shutil.copytree(with_mixture, tmp_path / "run.zarr"))
    before = refold.open_run(place, clustering="gmm4").load()

    def dying(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(ZarrWriter, "visit", dying)
        with pytest.raises(KeyboardInterrupt):
            refold.recluster(place, "gmm4", n_clusters=3, overwrite=True)
    xr.testing.assert_identical(refold.open_run(place, clustering="gmm4").load(), before)
    assert refold.recluster(place, "gmm4", n_clusters=3, overwrite=True).sizes["cluster"] == 3
    assert list(refold.clusterings(place)) == ["run", "gmm4"]


def test_it_is_replaced_in_one_step(with_mixture, tmp_path, monkeypatch):
    place = Path(shutil.copytree(with_mixture, tmp_path / "run.zarr"))
    before = refold.open_run(place, clustering="gmm4").load()

    def dying(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    for last in ("keep", "clear"):  # the new one in its place; the record written
        group = RunStore(place)
        group.write("stages/clustering", refold.open_run(place)[["labels", "membership"]].drop_encoding())
        with monkeypatch.context() as patched:
            patched.setattr(RunStore, last, dying)
            with pytest.raises(KeyboardInterrupt):
                group.settle("gmm4", group.records["clusterings/gmm4"], "stages/clustering")
        if last == "keep":
            xr.testing.assert_identical(refold.open_run(place, clustering="gmm4").load(), before)
    for clusters in (3, 2):
        found = refold.recluster(place, "gmm4", n_clusters=clusters, overwrite=True).load()
        assert found.sizes["cluster"] == clusters
        assert len([item for item in (place / "clusterings").iterdir() if item.is_dir()]) == 1
        xr.testing.assert_identical(refold.recluster(place, "gmm4", n_clusters=clusters).load(), found)


def test_one_at_a_time(copy):
    before = contents(copy)
    with alone(copy):
        with pytest.raises(StoreError, match="makes or forgets"):
            refold.recluster(copy, "gmm4", n_clusters=4)
        with pytest.raises(StoreError, match="makes or forgets"):
            refold.forget_clustering(copy, "gmm4")
    assert contents(copy) == before


def tampered(place: Path, how: str) -> None:
    root, group = place / "zarr.json", place / "clusterings" / "gmm4"
    note = json.loads(root.read_text())
    record = note["attributes"]["refold"]["stages"]["clusterings/gmm4"]
    if how == "number of clusters":
        record["notes"]["clusters"] = 3
    elif how == "fingerprint":
        record["fingerprint"] = "0" * 32
    elif how == "notes":
        record["notes"] = None
    elif how == "group":
        shutil.rmtree(group)
    elif how == "landmarks":
        shutil.rmtree(group / "landmarks")
    elif how == "cut short":
        chunk = next(path for path in sorted((group / "labels" / "c").rglob("*")) if path.is_file())
        chunk.write_bytes(chunk.read_bytes()[:-1])
    else:
        described = json.loads((group / "labels" / "zarr.json").read_text())
        described["shape"] = [25, 22]
        text = json.dumps(described)
        size = (group / "labels" / "zarr.json").stat().st_size
        (group / "labels" / "zarr.json").write_text(text.ljust(size))
    root.write_text(json.dumps(note))


@pytest.mark.parametrize(
    "how", ["number of clusters", "fingerprint", "notes", "group", "landmarks", "cut short", "shape"]
)
def test_what_was_tampered_with_is_told_and_can_be_forgotten(with_mixture, small_run, tmp_path, how):
    place = Path(shutil.copytree(with_mixture, tmp_path / "run.zarr"))
    tampered(place, how)
    before = contents(place)
    with pytest.raises(StoreError, match=r"gmm4.*forget_clustering"):
        refold.open_run(place, clustering="gmm4")
    assert contents(place) == before
    same(refold.open_run(place), refold.open_run(small_run))
    refold.forget_clustering(place, "gmm4")
    assert contents(place) == contents(small_run)


# --- on the command line ----------------------------------------------------------------------------------------------


def test_commands(command, copy):
    status, out, _ = command(
        "cluster", copy, "--name", "mix", "--n-clusters", 3, "--set", "covariance_type=diag", "--json"
    )
    assert status == 0
    found = one_object(out)
    assert (found["clusters"], found["options"]["covariance_type"]) == (3, "diag")
    assert set(one_object(command("clusterings", copy, "--json")[1])) == {"run", "mix"}
    assert "gaussian_mixture" in command("clusterings", copy)[1]
    assert "mix" in command("info", copy)[1]
    found = one_object(command("compare", copy, copy, "--clustering", "mix", "--json")[1])
    assert found["b"] == f"{copy} (mix)"
    status, out, _ = command("report", copy, "--clustering", "mix", "--json")
    page = Path(one_object(out)["report"])
    assert page.name == "copy.run.mix.html"
    text = page.read_text(encoding="utf-8")
    assert "each Gaussian of the mixture" in text
    assert "clustering mix</h1>" in text
    assert command("cluster", copy, "--name", "mix", "--n-clusters", 4)[0] == 2
    assert "key=value" in command("cluster", copy, "--name", "b", "--n-clusters", 4, "--set", "diag")[2]
    assert command("forget-clustering", copy, "mix")[0] == 0
    assert list(one_object(command("clusterings", copy, "--json")[1])) == ["run"]
