"""How far a run can be trusted: repeats in shared sweeps, a map of what they agree on, kept in the run."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy.ndimage import maximum_filter, minimum_filter
from sklearn.metrics import adjusted_rand_score

import refold
from refold.backprojection import backproject
from refold.engine.progress import Progress
from refold.errors import DataError, ParameterError, StoreError
from refold.trust import assessing, stability
from refold.trust.finished import FinishedRun
from tests.runs import OPTIONS, contents, phantom, run

TRUST = {"stability", "consensus", "consensus_probability"}


@pytest.fixture
def copied(small_run: Path, tmp_path: Path) -> Path:
    """A run that may be written to."""
    return Path(shutil.copytree(small_run, tmp_path / "copy.run.zarr"))


def watched(monkeypatch: pytest.MonkeyPatch) -> list:
    """The repeats that are made from now on."""
    seen: list = []
    make = assessing.make_repeats

    def making(*args):
        seen.extend(make(*args))
        return seen

    monkeypatch.setattr(assessing, "make_repeats", making)
    return seen


def test_the_numbers_are_those_of_label_maps_made_one_by_one(copied, monkeypatch):
    seen = watched(monkeypatch)
    found = stability(copied, repeats=3)
    whole = FinishedRun(copied)
    own = whole.labels[...]
    valid = np.isfinite(whole.scores.values).all(axis=-1)
    maps = [backproject(whole.scores, repeat.marks, labels=repeat.labels).labels.values for repeat in seen]
    np.testing.assert_allclose(found.ari, [adjusted_rand_score(own[valid], labels[valid]) for labels in maps])
    for i, one in enumerate(maps):
        for j, other in enumerate(maps):
            assert found.pairwise_ari[i, j] == pytest.approx(adjusted_rand_score(one[valid], other[valid]))
    np.testing.assert_array_equal(found.tables.repeat_clusters, [labels.max() + 1 for labels in maps])
    assert found.tables.agreeing_pixels.sum() == valid.sum()
    assert found.agreement == pytest.approx(float(found.maps.stability.mean()))


def test_as_many_sweeps_for_many_repeats_as_for_one(copied):
    """Three in which all draw their landmarks, one that asks all of them for every pixel; with a dose one before."""
    counted = []
    for repeats, options in ((1, {}), (5, {}), (2, {"dose": 0.5}), (2, {"dose": 0.5, "vary": ()})):
        progress = Progress()
        stability(copied, repeats=repeats, progress=progress, **options)
        counted.append(progress.tally.sweeps)
    assert counted == [4, 4, 5, 3]


def test_it_is_kept_in_the_run_and_read_from_there(copied):
    before = refold.open_run(copied)
    found = stability(copied, repeats=2)
    now = refold.open_run(copied)
    assert set(now) >= set(before) | TRUST
    assert now.stability.dims == before.labels.dims
    np.testing.assert_array_equal(now.labels, before.labels)
    progress = Progress()
    again = stability(now, repeats=2, progress=progress)
    assert progress.tally.sweeps == 0
    assert again.as_dict() == found.as_dict()
    assert stability(copied, repeats=3).ari.shape == (3,)


def test_it_stands_and_falls_with_the_labels(small_scan, copied):
    stability(copied, repeats=2)
    outcome = run(small_scan, copied, rebin={"ky": 2, "kx": 2})
    assert all(stage["reused"] for stage in outcome.stages.values())
    assert set(refold.open_run(copied)) >= TRUST
    run(small_scan, copied, rebin={"ky": 2, "kx": 2}, neighbours=3)
    assert not set(refold.open_run(copied)) & TRUST
    assert not (copied / "stages" / "stability").exists()


def test_chunks_and_threads_change_nothing(copied, tmp_path):
    other = Path(shutil.copytree(copied, tmp_path / "other.run.zarr"))
    one = stability(copied, repeats=2, dose=0.4, workers=1)
    two = stability(other, repeats=2, dose=0.4, workers=3, memory="3MB")
    assert one.as_dict() == two.as_dict()
    for name in TRUST:
        np.testing.assert_array_equal(one.maps[name], two.maps[name])


def test_fewer_counts_agree_less(copied):
    found = [stability(copied, repeats=2, vary=(), dose=dose).agreement for dose in (0.9, 0.005)]
    assert found[0] > 0.97
    assert found[1] < 0.9


def test_an_ambiguous_boundary_is_less_stable(tmp_path):
    """Two of three phases pass into each other over many pixels; all other boundaries are sharp."""
    made = {"shape": (48, 48), "phases": 3, "amorphous": 0, "grains": 3, "dose": 2000, "seed": 3}
    sharp, mixed = phantom(**made, mixing=0.0), phantom(**made, mixing=10.0)
    abundance = mixed.abundance.values
    passing = abundance[..., 2] == 0
    cube = np.where(passing[..., None, None], mixed.cube.values, sharp.cube.values)
    ward = {"method": "agglomerative", "n_clusters": 3}
    options = {**OPTIONS, "min_cluster_size": None, "n_components": 4, "landmarks": 400, "cluster": ward}
    place = tmp_path / "run.zarr"
    refold.run(refold.as_cube(cube, signal=("ky", "kx")), store=place, report=False, **options)
    found = stability(place, repeats=6)
    steadiness, truth = found.maps.stability.values, sharp.labels.values
    ambiguous = passing & (np.sort(abundance, axis=-1)[..., -2] > 0.25)
    edges = (maximum_filter(truth, 5) != minimum_filter(truth, 5)) & ~passing
    assert steadiness[ambiguous].mean() < 0.8
    assert steadiness[edges].mean() > 0.97
    doubted = found.maps.consensus_probability.values
    assert doubted[ambiguous].mean() < doubted[edges].mean()


def test_invalid_pixels_and_a_coarser_grid(tmp_path):
    cube = phantom(phases=2).cube.astype(np.float32).values
    cube[4:6, :, 0, 0] = np.nan
    scan = refold.as_cube(cube, signal=("ky", "kx"), coords={"y": np.arange(22)[::-1] * 0.5})
    place = run(scan, tmp_path / "run.zarr", rebin={"y": 2}).store
    found = stability(place, repeats=2)
    maps, whole = found.maps, refold.open_run(place)
    assert maps.stability.shape == whole.labels.shape
    np.testing.assert_array_equal(np.isnan(maps.stability), np.isnan(whole.residual))
    assert np.isnan(maps.stability).any()
    assert (maps.consensus.values[np.isnan(maps.stability)] == -1).all()


def test_it_reads_well_in_words_and_in_json(copied):
    found = stability(copied, repeats=4, dose=0.5)
    text = str(found)
    assert text.startswith("4 repeats with other landmarks, 50.0 % of the dose")
    assert len(text.splitlines()) == 7 + found.tables.sizes["cluster"]
    facts = json.loads(json.dumps(found.as_dict()))
    assert facts["repeats"] == len(facts["ari"]) == 4
    assert sum(entry["pixels"] for entry in facts["clusters"]) == int((refold.open_run(copied).labels >= 0).sum())


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"repeats": 0}, "1 or more"),
        ({"dose": 1.0}, "between 0 and 1"),
        ({"vary": ("seeds",)}, "some of"),
        ({"vary": ()}, "can differ"),
        ({"vary": "seed"}, "can differ"),  # without UMAP, HDBSCAN has none
    ],
)
def test_what_cannot_be_asked(small_run, options, wanted):
    with pytest.raises(ParameterError, match=wanted):
        stability(small_run, **options)


def test_runs_that_will_not_do(small_run, small_scan, tmp_path):
    with pytest.raises(StoreError, match="nothing at"):
        stability(tmp_path / "none.zarr")
    with pytest.raises(ParameterError, match="which store"):
        stability(xr.Dataset(refold.open_run(small_run).data_vars))
    logged = run(small_scan, tmp_path / "log.zarr", log1p=True).store
    with pytest.raises(DataError, match="no counts"):
        stability(logged, dose=0.5)
    bare = run(small_scan, tmp_path / "bare.zarr", features=False).store
    with pytest.raises(DataError, match="keeps no features"):
        stability(bare, dose=0.5)
    assert stability(bare, repeats=1, dose=0.5, scan=refold.open(small_scan)).ari.shape == (1,)


def check_it_is_whole(place: Path, untouched: Path) -> None:
    """Nothing is seen of what was not finished; asked again, it ends well, and nothing else has changed."""
    assert set(refold.open_run(place)) == set(refold.open_run(untouched))
    xr.testing.assert_identical(xr.open_zarr(place).load(), xr.open_zarr(untouched).load())
    stability(place, repeats=2)
    assert not (place / "stages" / "thinned").exists()
    rest = {name: text for name, text in contents(place).items() if "stages/stability" not in name}
    assert rest == contents(untouched)


def test_stopped_it_leaves_the_run_whole(copied, small_run, monkeypatch):
    """With the thinned copies written, and another stability there before."""
    stability(copied, repeats=2)

    def stopping(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(assessing, "make_repeats", stopping)
        with pytest.raises(KeyboardInterrupt):
            stability(copied, repeats=2, dose=0.5)
    check_it_is_whole(copied, small_run)


KILLED = """
import os, signal, sys
from refold.trust import assessing, stability

def killing(*args):
    os.kill(os.getpid(), signal.SIGKILL)

assessing.tables_to_dataset = killing
stability(sys.argv[1], repeats=2)
"""


def test_killed_it_leaves_the_run_whole(copied, small_run):
    """With the maps written, and nothing missing but the tables and the record."""
    command = [sys.executable, "-c", KILLED, str(copied)]
    ended = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, timeout=300, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert (copied / "stages" / "stability" / "consensus").exists()
    check_it_is_whole(copied, small_run)
