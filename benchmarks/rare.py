"""Rare phases: how many pixels, how far away, are found by their residual.

A phase of a few pixels in unit noise, at a right angle to all components. Each row: scans in which its component was
promoted, its pixels among those that showed it, and those of other phases.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np

from benchmarks.scans import Setup
from benchmarks.tables import Table


def tried(pixels: int, distance: float, seed: int, side: int = 256, features: int = 64) -> tuple[int, int, int]:
    """Components promoted; pixels of the phase that showed them, and other pixels."""
    import refold

    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.normal(size=(features, 5)))[0].T
    labels = rng.integers(0, 4, side * side)
    rare = rng.choice(side * side, pixels, replace=False)
    rows = rng.standard_normal((side * side, features), dtype=np.float32) + (20 * axes[labels]).astype(np.float32)
    rows[rare] += (distance * axes[4]).astype(np.float32)
    cube = refold.as_cube(rows.reshape(side, side, features), signal="energy")
    model = refold.promote_outliers(refold.PCA(3).fit(cube), cube)  # as many as the phases take: none is left for it
    hits = int(np.isin(model.outliers_, rare).sum())
    return model.n_promoted_, hits, len(model.outliers_) - hits


def detection(sizes: tuple[int, ...], distances: tuple[float, ...], seeds: int) -> Table:
    """One row for each size and distance."""
    rows = []
    for pixels in sizes:
        for distance in distances:
            found = np.array([tried(pixels, distance, seed) for seed in range(seeds)])
            mean = found.mean(axis=0)
            told = [f"{(found[:, 0] > 0).sum()} of {seeds}", f"{mean[1]:.1f}", f"{mean[2]:.1f}"]
            rows.append([str(pixels), f"{distance:g}", *told])
    head = ["pixels of 65 536", "deviations away", "promoted", "its pixels", "others"]
    return Table("Found by the residual, 64 features", head, rows)


def run(setup: Setup) -> Iterator[Table]:
    if setup.quick:
        yield detection((20,), (8.0,), 1)
    else:
        yield detection((0,), (0.0,), 20)
        yield detection((6, 10, 20, 40), (6.0, 7.0, 8.0, 10.0, 12.0), 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 20])
    parser.add_argument("--distances", type=float, nargs="+", default=[7.0, 8.0, 10.0, 12.0])
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    print(detection(tuple(options.sizes), tuple(options.distances), options.seeds), flush=True)


if __name__ == "__main__":
    main()
