"""Scenes of known classes: a run is no worse than the plain chain in memory. Skipped where they are not at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

import refold
from refold.cube import as_cube

BROAD = {"landmarks": 1.0, "min_cluster_size": 200, "min_samples": 200}


def samson(folder: Path):
    """Spectra and, of each pixel, the material that there is most of."""
    from scipy.io import loadmat

    spectra = loadmat(folder / "samson_1.mat")["V"].T.reshape(95, 95, 156)
    return np.ascontiguousarray(spectra), loadmat(folder / "end3.mat")["A"].argmax(axis=0).reshape(95, 95)


def indian_pines(folder: Path):
    """Spectra, and the class of each pixel; -1 where nobody knows."""
    truth = np.load(folder / "Indian_pines_gt.npy").astype(int) - 1
    return np.load(folder / "Indian_pines_corrected.npy"), truth


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "load", "options", "floor"),
    [
        ("samson", samson, BROAD, 0.73),
        ("indian_pines", indian_pines, BROAD, 0.22),
        ("indian_pines", indian_pines, {}, 0.22),
    ],
)
def test_no_worse_than_the_chain_in_memory(shared_data, tmp_path, name, load, options, floor):
    folder = shared_data / "hyperspectral" / name
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    values, truth = load(folder)
    scene = as_cube(values, signal="wavelength")
    labels = refold.run(scene, store=tmp_path / "scene.run.zarr", report=False, **options).labels.values
    counted = (truth >= 0) & (labels >= 0)
    assert counted.sum() > 0.9 * (truth >= 0).sum()
    assert round(adjusted_rand_score(truth[counted], labels[counted]), 2) >= floor
