"""k-means, against Spectral Python.

A remote-sensing cube of float32, five classes, at most 50 iterations, all from the same start. Refold works from Zarr
on disk; Spectral Python and scikit-learn load the cube into memory first, on the clock. *Agree* is the share of pixels
labelled as Spectral Python labels them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import scans
from benchmarks.measure import Case, Contender, NotThereYetError, Work, alternate
from benchmarks.reading import bare_decode, zarr_array
from benchmarks.tables import PEAK, Table, compare, fact

CLASSES, ITERATIONS = 5, 50


def start(case: Case) -> np.ndarray:
    """Where all begin: five pixels spread over the scan."""
    array = zarr_array(case["scan"], None)
    at = [(number + 1) * array.shape[0] // (CLASSES + 1) for number in range(CLASSES)]
    return np.stack([array[row, -1 - row] for row in at])


def spy(case: Case) -> Work:
    import logging

    import spectral

    spectral.settings.show_progress = False
    logging.getLogger("spectral").setLevel(logging.ERROR)
    first = start(case)

    def work() -> np.ndarray:
        image = zarr_array(case["scan"], None)[...]
        found = spectral.kmeans(image, CLASSES, ITERATIONS, start_clusters=first.astype(np.float64))
        return np.asarray(found[0])

    return work


def sklearn_in_memory(case: Case) -> Work:
    from sklearn.cluster import KMeans

    first = start(case)

    def work() -> np.ndarray:
        image = zarr_array(case["scan"], None)[...]
        model = KMeans(CLASSES, init=first, n_init=1, max_iter=ITERATIONS, tol=0)
        return np.asarray(model.fit_predict(image.reshape(-1, image.shape[-1]))).reshape(image.shape[:-1])

    return work


def refold_kmeans(case: Case) -> Work:
    import refold

    known: Any = getattr(refold, "KMeans", None)
    if known is None:
        raise NotThereYetError("not there yet")
    cube, first = refold.open(case["scan"]), start(case)

    def work() -> np.ndarray:
        model = known(CLASSES, init=first, max_iter=ITERATIONS, tol=0)
        return np.asarray(model.fit_predict(cube)).reshape(cube.shape[:-1])

    return work


def agreement(case: Case, labels: np.ndarray) -> dict[str, Any]:
    """Share of the pixels that are labelled as Spectral Python labels them; it comes first in every round."""
    judge = Path(case["scan"]).with_suffix(".labels.npy")
    if not judge.exists():
        np.save(judge, labels)
    return {"agree": float((np.load(judge) == labels).mean())}


CONTENDERS = {
    "spy": Contender("spectral.kmeans, in memory", spy, ("spectral",), agreement, slow=True),
    "sklearn": Contender("scikit-learn KMeans, in memory", sklearn_in_memory, facts=agreement),
    "refold": Contender("refold.KMeans, from disk", refold_kmeans, facts=agreement),
    "decode": Contender("bare decode (numcodecs)", bare_decode),
}


def run(setup: scans.Setup) -> Iterator[Table]:
    side = 250 if setup.quick else 1000
    case, small = ({"scan": str(scans.reflectance(setup.folder, size))} for size in (side, 125))
    for name in (case, small):
        Path(name["scan"]).with_suffix(".labels.npy").unlink(missing_ok=True)
    found = alternate(__name__, CONTENDERS, case, warm=small, **setup.counts)
    title = f"{side} x {side} pixels, 173 bands, {CLASSES} classes, {ITERATIONS} iterations"
    columns = [("agree", fact("agree", digits=4)), PEAK]
    yield compare(title, found, base="spy", head="spectral = 1", columns=columns)
