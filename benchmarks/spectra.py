"""Moments of spectra: mean, variance and scatter matrix of an X-ray cube, all channels.

2 048 channels without rebinning: here the limit is whichever is slower, decoding the chunks or the BLAS forming the
scatter matrix (`ssyrk` in float32 over as many rows, from a buffer in memory, one triangle, all cores). Refold should
come to 80 % of it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks import scans
from benchmarks.measure import Case, Contender, Work, alternate
from benchmarks.reading import bare_decode
from benchmarks.tables import PEAK, Table, compare, rate, short

ROWS = 4096


def blas_limit(case: Case) -> Work:
    from scipy.linalg.blas import ssyrk

    rows = np.random.default_rng(0).random((ROWS, case["channels"]), dtype=np.float32)
    sums = np.zeros((case["channels"],) * 2, np.float32, order="F")

    def work() -> None:
        done = 0
        while done < case["pixels"]:
            some = min(ROWS, case["pixels"] - done)
            ssyrk(1.0, rows[:some].T, beta=1.0, c=sums, overwrite_c=1)
            done += some

    return work


def refold_moments(case: Case) -> Work:
    import refold

    cube = refold.open(case["scan"])
    moments = refold.Moments(scatter=True, n_features=case["channels"])
    return lambda: refold.sweep(cube, moments)


def numpy_moments(case: Case) -> Work:
    """What one writes by hand: float32 rows of each band of chunks, added up."""
    from benchmarks.reading import zarr_array

    array = zarr_array(case["scan"], None)

    def work() -> None:
        total, scatter = np.zeros(case["channels"]), np.zeros((case["channels"],) * 2)
        for start in range(0, array.shape[0], array.chunks[0]):
            rows = array[start : start + array.chunks[0]].reshape(-1, case["channels"]).astype(np.float32)
            total += rows.sum(axis=0)
            scatter += rows.T @ rows

    return work


CONTENDERS = {
    "decode": Contender("bare decode (numcodecs)", bare_decode),
    "blas": Contender("BLAS: ssyrk over as many rows", blas_limit),
    "refold": Contender("refold, Moments(scatter=True)", refold_moments),
    "numpy": Contender("zarr-python and NumPy, band by band", numpy_moments),
}


def run(setup: scans.Setup) -> Iterator[Table]:
    sides, channels = ((128, 64), 2048) if setup.quick else ((512, 64), 2048)
    scan, small = (scans.spectra(setup.folder, side, channels) for side in sides)
    cases = [
        {"scan": str(path), "pixels": side**2, "channels": channels}
        for path, side in zip((scan, small), sides, strict=True)
    ]
    found = alternate(__name__, CONTENDERS, cases[0], warm=cases[1], **setup.counts)
    shares = [
        max(decode, blas) / mine
        for decode, blas, mine in zip(
            *(found[key].all("seconds") for key in ("decode", "blas", "refold")), strict=False
        )
    ]
    note = f"Refold runs at {short(100 * float(np.median(shares)))} % of the slower limit." if shares else ""
    size = scans.n_bytes(scan)
    title = f"An X-ray cube of {sides[0]} x {sides[0]} pixels, {channels} channels, {size / 1e9:.2g} GB"
    yield compare(title, found, base="blas", head="ssyrk = 1", columns=[rate(size), PEAK], note=note)
