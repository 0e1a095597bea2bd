"""Preparing, and sums: what each step costs beside decoding.

Each row is a sweep over the scan with one step laid over it and a visitor that does nothing but ask for the block's
values: the step's cost is what is above the row without one. Bare decode is the limit. The second table has no disk in
it: sums over a cube in memory, where the limit is one read of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks import scans
from benchmarks.measure import Case, Contender, Work, alternate
from benchmarks.reading import Empty, bare_decode, in_threads, zarr_array
from benchmarks.tables import PEAK, Table, compare, rate


class Asking(Empty):
    """A visitor that asks for the values and does nothing with them."""

    def visit(self, state: None, block: Any, where: Any) -> None:
        assert block.data.size


def prepared(step: Callable[[Any, Any], Any]) -> Callable[[Case], Work]:
    def setup(case: Case) -> Work:
        import refold

        cube = step(refold, refold.open(case["scan"]))
        return lambda: refold.sweep(cube, Asking())

    return setup


def in_memory(visitor: str, **options: Any) -> Callable[[Case], Work]:
    def setup(case: Case) -> Work:
        import refold

        cube = refold.as_cube(zarr_array(case["scan"], None)[...], signal=("ky", "kx"))
        return lambda: refold.sweep(cube, getattr(refold, visitor)(**options))

    return setup


def numpy_moments(case: Case) -> Work:
    array = zarr_array(case["scan"], None)[...]
    return lambda: (array.mean(axis=(0, 1)), array.var(axis=(0, 1)))


def one_read(case: Case) -> Work:
    array = zarr_array(case["scan"], None)[...].reshape(-1).view(np.uint64)
    parts = np.array_split(array, 64)
    return lambda: in_threads(np.bitwise_or.reduce, parts)


STEPS = {
    "nothing": ("no step", lambda refold, cube: cube),
    "rebin": ("rebin 2 x 2 of the signal", lambda refold, cube: refold.rebin(cube, {"ky": 2, "kx": 2})),
    "rebin-yx": ("rebin 2 x 2 of the navigation", lambda refold, cube: refold.rebin(cube, {"y": 2, "x": 2})),
    "clip": ("clip to 0 … 10", lambda refold, cube: refold.clip(cube, 0, 10)),
    "mask": ("mask a disc, filled", lambda refold, cube: refold.mask(cube, circle=(0, 0, 0.2), fill=0)),
    "log1p": ("log1p", lambda refold, cube: refold.log1p(cube)),
    "normalise": ("normalise by the sum", lambda refold, cube: refold.normalise(cube, "total")),
    "rebin-log1p": ("rebin 2 x 2, log1p", lambda refold, cube: refold.log1p(refold.rebin(cube, {"ky": 2, "kx": 2}))),
}
PREPARING = {"decode": Contender("bare decode (numcodecs)", bare_decode)} | {
    key: Contender(title, prepared(step)) for key, (title, step) in STEPS.items()
}
SUMS = {
    "one-read": Contender("one read of the array, a thread a core", one_read),
    "moments": Contender("refold.Moments", in_memory("Moments")),
    "numpy": Contender("NumPy mean and var", numpy_moments),
}
CONTENDERS = PREPARING | SUMS


def run(setup: scans.Setup) -> Iterator[Table]:
    scan = scans.diffraction(setup.folder, 64 if setup.quick else 256)
    small = {"scan": str(scans.diffraction(setup.folder, 32))}
    case, size = {"scan": str(scan)}, scans.n_bytes(scan)
    found = alternate(__name__, PREPARING, case, warm=small, **setup.counts)
    columns = [rate(size), PEAK]
    title = f"Steps over a 4D-STEM scan of {size / 1e9:.2g} GB"
    yield compare(title, found, base="decode", head="bare decode = 1", columns=columns)
    found = alternate(__name__, SUMS, case, warm=small, **setup.counts)
    yield compare("Sums in memory", found, base="one-read", head="one read = 1", columns=columns)
