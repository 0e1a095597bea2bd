"""Density clustering with soft membership: which library.

Each library labels the same points (3-D blobs of unequal size and 2 % of strays), then soft membership is computed by
hdbscan's own function and by refold's. First use is measured in a fresh process, compilation cached from before. All
libraries work in one process here, one after the other, and then again.

The tables of the design's page on clustering come from `python -m benchmarks.clustering`, whose `--sizes` are any.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from benchmarks.scans import Setup
from benchmarks.tables import Table, short

MIN_CLUSTER_SIZE, MIN_SAMPLES = 50, 10
SLOW_PAST = 20_000  # scikit-learn's takes minutes from here on
QUADRATIC_PAST = 200_000  # hdbscan's membership, and the reproducible fast-hdbscan

FIRST_USE = {
    "hdbscan": "import hdbscan; hdbscan.HDBSCAN(core_dist_n_jobs=1).fit(points)",
    "hdbscan, four jobs": "import hdbscan; hdbscan.HDBSCAN().fit(points)",
    "fast-hdbscan": "import fast_hdbscan; fast_hdbscan.HDBSCAN().fit(points)",
    "scikit-learn": "from sklearn.cluster import HDBSCAN; HDBSCAN(copy=True).fit(points)",
}


def points(n: int, clusters: int = 12, seed: int = 0) -> np.ndarray:
    """Blobs of unequal size and spread, and strays among them."""
    rng = np.random.default_rng(seed)
    centres, spread = rng.uniform(-10, 10, (clusters, 3)), rng.uniform(0.2, 0.8, clusters)
    which = rng.choice(clusters, n, p=rng.dirichlet(np.full(clusters, 3.0)))
    blobs = centres[which] + rng.normal(size=(n, 3)) * spread[which, None]
    strays = rng.random(n) < 0.02
    blobs[strays] = rng.uniform(-12, 12, (int(strays.sum()), 3))
    return blobs


class Seconds(NamedTuple):
    """Wall seconds, and those of all cores of this process and the ones it waited for."""

    wall: float
    cores: float


def timed(work: Callable[[], Any]) -> tuple[Seconds, Any]:
    """How long it took, and what came of it."""
    start = time.perf_counter(), sum(os.times()[:4])
    result = work()
    return Seconds(time.perf_counter() - start[0], sum(os.times()[:4]) - start[1]), result


def measure(n: int) -> Iterator[tuple[str, Seconds, Any]]:
    """Seconds of each way for so many points."""
    import fast_hdbscan
    import hdbscan
    import sklearn.cluster

    from refold.backends.soft import CondensedTree, soft_membership
    from refold.cluster import HDBSCAN

    data, common = points(n), {"min_cluster_size": MIN_CLUSTER_SIZE, "min_samples": MIN_SAMPLES}
    seconds, model = timed(lambda: hdbscan.HDBSCAN(**common, core_dist_n_jobs=1).fit(data))
    yield "hdbscan", seconds, model.labels_
    tree = timed(lambda: CondensedTree(model.condensed_tree_.to_numpy(), n))[1]
    n_labels = int(model.labels_.max()) + 1
    yield "  soft membership, refold", *timed(lambda: soft_membership(data, tree, model.labels_, n_labels))
    if n <= QUADRATIC_PAST:
        seconds, _ = timed(model.generate_prediction_data)
        yield "  prediction data, hdbscan", seconds, None
        yield "  soft membership, hdbscan", *timed(lambda: hdbscan.all_points_membership_vectors(model))
    yield "refold (labels and soft membership)", timed(lambda: HDBSCAN(**common).fit(data))[0], None
    fast_hdbscan.HDBSCAN(**common).fit(data[:2000])  # compiled
    seconds, model = timed(lambda: fast_hdbscan.HDBSCAN(**common).fit(data))
    yield "fast-hdbscan", seconds, model.labels_
    if n <= QUADRATIC_PAST:
        seconds, model = timed(lambda: fast_hdbscan.HDBSCAN(**common, reproducible=True).fit(data))
        yield "fast-hdbscan, reproducible", seconds, model.labels_
    if n <= SLOW_PAST:
        seconds, model = timed(lambda: sklearn.cluster.HDBSCAN(**common, copy=True).fit(data))
        yield "scikit-learn", seconds, model.labels_


def first_use(code: str) -> Seconds:
    """From starting Python to the labels of 500 points."""
    prepare = "import numpy as np; points = np.random.default_rng(0).normal(size=(500, 3))"
    script = [sys.executable, "-W", "ignore", "-c", f"{prepare}; {code}"]
    subprocess.run(script, check=True)  # fills the caches of compiled code
    return timed(lambda: subprocess.run(script, check=True))[0]


def uses(rounds: int) -> Table:
    """First use of each library."""
    found = {name: [first_use(code) for _ in range(rounds)] for name, code in FIRST_USE.items()}
    rows = [[name, *_medians(each)] for name, each in found.items()]
    return Table("First use, 500 points", ("library", "seconds", "of all cores"), rows)


def sizes(n: int, rounds: int) -> Table:
    """Seconds of each way, medians over the rounds; how its labels agree with those of the first."""
    from sklearn.metrics import adjusted_rand_score

    seconds: dict[str, list[Seconds]] = {}
    agrees: dict[str, str] = {}
    for _ in range(rounds):
        judge = None
        for name, taken, found in measure(n):
            seconds.setdefault(name, []).append(taken)
            labels = found if found is not None and np.ndim(found) == 1 else None
            judge = labels if judge is None else judge
            agrees[name] = "" if labels is None else f"{adjusted_rand_score(judge, labels):.4f}"
    rows = [[name, *_medians(each), agrees[name]] for name, each in seconds.items()]
    return Table(f"{n} points", ("way", "seconds", "of all cores", "ARI to hdbscan"), rows)


def _medians(found: list[Seconds]) -> tuple[str, str]:
    return short(median(each.wall for each in found)), short(median(each.cores for each in found))


def run(setup: Setup) -> Iterator[Table]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not setup.quick:
            yield uses(setup.rounds)
        for n in (5_000,) if setup.quick else (10_000, 100_000, *((1_000_000,) if setup.large else ())):
            yield sizes(n, setup.rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    print(uses(options.rounds), flush=True)
    for n in options.sizes:
        print(f"\n{sizes(n, options.rounds)}", flush=True)


if __name__ == "__main__":
    main()
