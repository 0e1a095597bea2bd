"""A run that was stopped anywhere, started again, ends with the same bytes as one that was not."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import xarray as xr

import refold
from refold.engine import Block, Where, ZarrWriter
from refold.errors import StoreExistsError
from refold.pipeline import STAGES
from refold.stages import Work
from tests.guards import count_reads
from tests.runs import contents, phantom, run

REBIN = {"rebin": {"ky": 2, "kx": 2}}
NAMES = [stage.name for stage in STAGES if stage.name != "fuse"]  # which this run has no use for
SEEN_AFTER = {
    "features": set(),
    "reduce": {"scores", "residual", "components", "explained_variance_ratio", "score_histogram"},
    "embed": {"landmark_pixel", "landmark_scores", "landmark_weight"},
    "cluster": {"landmark_label", "landmark_probability", "landmark_membership"},
    "labels": {"labels", "probability", "membership"},
    "statistics": {"cluster_mean", "cluster_std", "cluster_size"},
}


def check_only_whole_stages_are_seen(store: Path, finished: list[str]) -> None:
    seen = set().union(*(SEEN_AFTER[name] for name in finished))
    assert set(refold.open_run(store)) == seen
    assert set(xr.open_zarr(store)) == seen & (SEEN_AFTER["labels"] | SEEN_AFTER["statistics"])


@pytest.mark.parametrize(
    ("when", "name"),
    [
        *(("at the end of", name) for name in NAMES),
        *(("in the middle of", name) for name in ("features", "reduce", "labels")),
    ],
)
def test_stopped_in_any_stage(small_scan, small_run, tmp_path, monkeypatch, when, name):
    """At the end: everything is written but the record. In the middle: the stage dies at its second block."""
    place, done, visit = tmp_path / "run.zarr", getattr(Work, name), ZarrWriter.visit

    def stopping(self: Work) -> None:
        with monkeypatch.context() as inner:
            if when == "in the middle of":
                inner.setattr(ZarrWriter, "visit", dying)
            done(self)
        raise KeyboardInterrupt

    def dying(self: ZarrWriter, state: None, block: Block, where: Where) -> None:
        if where.pixels[0] > 0:
            raise KeyboardInterrupt
        visit(self, state, block, where)

    with monkeypatch.context() as patched:
        patched.setattr(Work, name, stopping)
        with pytest.raises(KeyboardInterrupt):
            run(small_scan, place, **REBIN)
    before = NAMES[: NAMES.index(name)]
    check_only_whole_stages_are_seen(place, before)
    outcome = run(small_scan, place, **REBIN)
    assert [stage for stage, facts in outcome.stages.items() if facts["reused"]] == before
    assert contents(place) == contents(small_run)


KILLED = """
import os, signal, sys
from pathlib import Path
from refold.engine import Block, Where, ZarrWriter
from refold.stages import Work
from tests.runs import run

scan, place, stage = sys.argv[1:]
visit, done, inside = ZarrWriter.visit, getattr(Work, stage), []

def killing(self, *args):
    visit(self, *args)
    if inside:
        os.kill(os.getpid(), signal.SIGKILL)

def entered(self):
    inside.append(True)
    return done(self)

ZarrWriter.visit = killing
setattr(Work, stage, entered)
run(scan, Path(place), rebin={"ky": 2, "kx": 2})
"""


def test_killed_in_the_middle_of_a_stage(small_scan, small_run, tmp_path):
    place, root, name = tmp_path / "run.zarr", Path(__file__).parents[2], "labels"
    command = [sys.executable, "-c", KILLED, str(small_scan), str(place), name]
    ended = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    before = NAMES[: NAMES.index(name)]
    check_only_whole_stages_are_seen(place, before)
    outcome = run(small_scan, place, **REBIN)
    assert [stage for stage, facts in outcome.stages.items() if facts["reused"]] == before
    assert contents(place) == contents(small_run)


@pytest.mark.slow
def test_an_option_redoes_its_stage_and_those_after_it(small_scan, tmp_path):
    place = tmp_path / "run.zarr"
    run(small_scan, place, **REBIN)
    changes = [
        ({}, None),
        ({"workers": 1}, None),
        ({"neighbours": 4}, "labels"),
        ({"neighbours": 4, "min_cluster_size": 20}, "cluster"),
        ({"neighbours": 4, "min_cluster_size": 20, "landmarks": 300}, "embed"),
        ({"landmarks": 300, "scaling": "poisson"}, "reduce"),
        ({"landmarks": 300, "scaling": "poisson", "log1p": True}, "features"),
    ]
    for options, first in changes:
        outcome = run(small_scan, place, **REBIN, **options)
        begins = NAMES.index(first) if first else len(NAMES)
        assert [facts["reused"] for facts in outcome.stages.values()] == [at < begins for at in range(len(NAMES))], (
            first
        )
    fresh = run(small_scan, tmp_path / "fresh.zarr", workers=1, **REBIN, **changes[-1][0])
    assert contents(place) == contents(fresh.store)


def test_a_finished_run_reads_nothing_of_the_scan(small_scan, tmp_path):
    run(small_scan, tmp_path / "run.zarr", **REBIN)
    with count_reads() as reads:
        outcome = run(small_scan, tmp_path / "run.zarr", **REBIN)
    assert not reads.under(f"{small_scan}/diffraction/c/")
    assert outcome.chunks_read == outcome.bytes_read == 0
    assert all(stage["reused"] for stage in outcome.stages.values())


def test_features_are_not_read_again_for_an_option_that_does_not_need_the_scan(small_scan, tmp_path):
    """Nor written, where a run without features is gone on with."""
    run(small_scan, tmp_path / "run.zarr")
    outcome = run(small_scan, tmp_path / "run.zarr", features=True)
    assert "features" not in outcome.stages
    assert all(stage["reused"] for stage in outcome.stages.values())


@pytest.mark.slow
def test_a_smaller_grid_leaves_nothing_of_the_larger_one(small_scan, tmp_path):
    place = tmp_path / "run.zarr"
    run(small_scan, place)
    crop = {"crop": {"y": (0.0, 11.0), "ky": (-0.5, 0.5)}}
    run(small_scan, place, **crop)
    assert contents(place) == contents(run(small_scan, tmp_path / "fresh.zarr", **crop).store)


def test_another_scan_is_refused_and_changes_nothing(small_scan, tmp_path):
    place = tmp_path / "run.zarr"
    run(small_scan, place)
    before = contents(place), (place / "zarr.json").read_bytes()
    with pytest.raises(StoreExistsError, match="another output"):
        run(phantom(seed=1).save(tmp_path / "other.zarr"), place)
    assert (contents(place), (place / "zarr.json").read_bytes()) == before
