"""What a run must show on phantoms of known truth: bounded memory, and every phase found, the rare one too."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from sklearn.metrics import adjusted_rand_score

import refold
from refold.pipeline import execute
from refold.source import synthetic
from tests.guards import limit_memory


def say(text: str) -> None:
    """Show what was measured, with `pytest -s`."""
    sys.stdout.write(f"{text}\n")


# --- quality ----------------------------------------------------------------------------------------------------------


def found(scan: synthetic.Phantom | Path, truth: np.ndarray, store: Path, **options: Any) -> tuple[float, float, float]:
    """Adjusted Rand index of the labels; recall and precision of the cluster that has most of the rare phase."""
    outcome = execute(scan, store=store, report=False, rebin={"ky": 2, "kx": 2}, **options)
    labels = refold.open_run(outcome.store)["labels"].values
    rare = truth == truth.max()
    inside = labels[rare][labels[rare] >= 0]
    cluster = np.bincount(inside).argmax() if inside.size else -2
    caught = labels == cluster
    hits = (caught & rare).sum()
    return adjusted_rand_score(truth.ravel(), labels.ravel()), hits / rare.sum(), hits / max(1, caught.sum())


def check_found(phantom: synthetic.Phantom, folder: Path, shares: dict[float, float]) -> None:
    """Landmarks as a share of the pixels, and the index that they must reach."""
    scan, truth = phantom.save(folder / "phantom.zarr"), phantom.labels.values
    for share, wanted in shares.items():
        index, recall, precision = found(scan, truth, folder / "run.zarr", landmarks=share)
        say(f"{phantom.scene.shape}, {share:.0%} landmarks: ARI {index:.4f}, rare {recall:.2f} / {precision:.2f}")
        assert index >= wanted
        assert recall >= 0.9
        assert precision >= 0.9


def test_every_phase_of_a_small_scan_is_found(tmp_path):
    phantom = synthetic.four_d_stem((96, 96), (32, 32), rare=(40,), seed=0)
    check_found(phantom, tmp_path, {1.0: 0.98, 0.3: 0.97})


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_a_rare_phase_of_40_pixels_in_65536_is_found(tmp_path, seed):
    phantom = synthetic.four_d_stem((256, 256), (64, 64), rare=(40,), seed=seed)
    check_found(phantom, tmp_path, {1.0: 0.98, 0.1: 0.97})


# --- memory -----------------------------------------------------------------------------------------------------------

RUN = """
import json, sys
from refold.pipeline import execute

scan, store, memory, options = sys.argv[1:]
outcome = execute(scan, store=store, memory=memory, workers=2, **json.loads(options))
print(json.dumps(outcome.as_dict()))
"""


def uncompressed(phantom: synthetic.Phantom, path: Path) -> int:
    """Write a phantom so that its bytes on disk are those of its counts, and say how many."""
    cube = phantom.cube
    chunks = (*phantom.block_shape(), *phantom.signal_shape)
    group = zarr.create_group(path)
    options: dict[str, Any] = {
        "compressors": None,
        "fill_value": None,
        "dimension_names": [str(dim) for dim in cube.dims],
    }
    target = group.create_array("diffraction", shape=cube.shape, dtype=cube.dtype, chunks=chunks, **options)
    refold.sweep(cube, refold.ZarrWriter(target), memory="300MB")
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def run_within(limit: int, scan: Path, store: Path, memory: str, **options: Any) -> dict[str, Any]:
    """Do a whole run in a process of its own; its peak resident memory must stay below a limit and its forecast."""
    forecast = refold.plan(scan, memory=memory, workers=2, **options)
    used = limit_memory(limit, RUN, scan, store, memory, json.dumps(options), timeout=3000)
    outcome: dict[str, Any] = json.loads(used.stdout.splitlines()[-1])
    say(f"peak {used.peak / 1e6:.0f} MB, forecast {forecast.peak_memory / 1e6:.0f} MB, {outcome['seconds']:.0f} s")
    assert used.peak <= forecast.peak_memory
    return outcome


@pytest.mark.slow
def test_a_scan_of_300_mb_runs_within_100_mb_for_data(tmp_path):
    phantom = synthetic.four_d_stem((192, 192), (64, 64), seed=0, chunks=(16, 16))
    assert uncompressed(phantom, tmp_path / "scan.zarr") > 300_000_000
    options = {"rebin": {"ky": 2, "kx": 2}, "embed": "none", "landmarks": 3000}
    outcome = run_within(600_000_000, tmp_path / "scan.zarr", tmp_path / "run.zarr", "100MB", **options)
    assert outcome["clusters"] > 1


@pytest.mark.slow
def test_a_scan_of_4_gb_runs_whole_within_1500_mb(tmp_path):
    phantom = synthetic.four_d_stem((512, 512), (88, 88), rare=(40,), seed=0, chunks=(16, 16))
    assert uncompressed(phantom, tmp_path / "scan.zarr") > 4_000_000_000
    outcome = run_within(1_500_000_000, tmp_path / "scan.zarr", tmp_path / "run.zarr", "1GB", rebin={"ky": 2, "kx": 2})
    labels = refold.open_run(outcome["store"])["labels"].values
    assert adjusted_rand_score(phantom.labels.values.ravel(), labels.ravel()) > 0.95
    assert Path(outcome["report"]).is_file()
