"""A phantom, the whole pipeline on it, and the truth to compare with."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from refold.errors import StoreExistsError
from refold.pipeline import execute
from refold.source import synthetic
from refold.store import open_run

_SHAPE, _DETECTOR = (96, 96), (64, 64)
_OPTIONS: dict[str, Any] = {"rebin": {"ky": 2, "kx": 2}}


def demo(folder: Path, seed: int = 0) -> dict[str, Any]:
    """Make a 4D-STEM phantom on disk and run the whole pipeline on it, through the same code as `refold.run`.

    Parameters
    ----------
    folder : Path
        Where to put the phantom, the run and its page. If they are there already, the run goes on where it stopped.
    seed : int
        Seed of the phantom.

    Returns
    -------
    dict
        What the run did, and ``ari``: the adjusted Rand index of its labels against the truth, noise counted as a
        cluster of its own.

    Raises
    ------
    StoreExistsError
        If the folder is a file.
    """
    from sklearn.metrics import adjusted_rand_score

    began = time.perf_counter()
    if folder.exists() and not folder.is_dir():
        raise StoreExistsError(f"{folder}, which is a file", "a folder", "choose another with --output")
    folder.mkdir(parents=True, exist_ok=True)
    scan = folder / f"phantom-{seed}.zarr"
    phantom = synthetic.four_d_stem(_SHAPE, _DETECTOR, rare=(40,), seed=seed)
    if not scan.exists():
        phantom.save(scan)
    outcome = execute(scan, store=folder / f"phantom-{seed}.run.zarr", **_OPTIONS)
    labels = open_run(outcome.store).labels.values
    ari = float(adjusted_rand_score(phantom.labels.values.ravel(), labels.ravel()))
    return {**outcome.as_dict(), "ari": ari, "seconds": time.perf_counter() - began}
