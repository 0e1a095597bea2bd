"""The whole run, from the raw scan to every pixel's label.

A 4D-STEM scan on disk becomes labels. `refold run` is timed from starting the command to its end, the report included.
HyperSpy's row is what one would type today: lazy rebin, saved; lazy PCA; umap-learn on the scores of all pixels;
hdbscan on that; timed from its first import. Both in a new process every round. The larger scan is given to it only
with `--large`: on 2 cores it had not ended after 15 minutes.

*Less landmarks* is the run less the fixed cost of embedding and clustering the landmarks, which does not grow with the
scan. It is given as a multiple of bare decode, the time in which the chunks can be decoded at all. *ARI* is the
adjusted Rand index of the labels against the phantom's truth. Memory is that of the process that does the work.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import scans
from benchmarks.measure import Case, Contender, Runs, Work, alternate
from benchmarks.raw_pass import a_folder, hyperspy_signal, removed
from benchmarks.reading import bare_decode
from benchmarks.tables import Column, Table, compare, fact, short

CLI = "from refold.cli import main; main()"
FIXED = ("embed", "cluster")


def command(*arguments: str) -> dict[str, Any]:
    """Do a command of refold's in a process of its own; what it says in JSON."""
    done = subprocess.run(
        [sys.executable, "-c", CLI, *arguments, "--json"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"refold {arguments[0]}: {done.stderr.strip()[-300:]}")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def truth(scan: str, labels: np.ndarray) -> float:
    """Adjusted Rand index against the phantom's own labels."""
    import zarr
    from sklearn.metrics import adjusted_rand_score

    return float(
        adjusted_rand_score(np.asarray(zarr.open_array(Path(scan) / "labels", mode="r")[...]).ravel(), labels.ravel())
    )


def refold_run(case: Case) -> Work:
    folder = a_folder(case)
    options = ("--rebin", "ky=2,kx=2", "--seed", "0", *(("--memory", case["memory"]) if case.get("memory") else ()))
    return lambda: (folder, command("run", case["scan"], "-o", str(folder / "scan.run.zarr"), *options))


def refold_facts(case: Case, result: Any) -> dict[str, Any]:
    import zarr

    folder, told = result
    ari = truth(case["scan"], np.asarray(zarr.open_array(folder / "scan.run.zarr" / "labels", mode="r")[...]))
    stages = {name: stage["seconds"] for name, stage in told["stages"].items()}
    fixed = sum(stages[name] for name in FIXED)
    facts = {"fixed": fixed, "stages": stages, "peak": told["peak_memory"], "inside": told["seconds"], "ari": ari}
    return {**facts, **removed(case, folder)}


def hyperspy_run(case: Case) -> Work:
    folder = a_folder(case)

    def work() -> tuple[Path, np.ndarray]:
        import hdbscan
        import hyperspy.api as hs
        import umap

        hyperspy_signal(case["scan"]).rebin(scale=(1, 1, 2, 2)).save(folder / "features.hspy", compression=None)
        signal = hs.load(folder / "features.hspy", lazy=True)
        shape = signal.data.shape[:2]
        signal.change_dtype("float32")
        signal.decomposition(algorithm="PCA", output_dimension=20, print_info=False)
        scores = np.asarray(signal.learning_results.loadings)
        latent = umap.UMAP(n_neighbors=30, min_dist=0.0).fit_transform(scores)
        smallest = max(25, latent.shape[0] // 1000)
        return folder, hdbscan.HDBSCAN(min_cluster_size=smallest, min_samples=10).fit(latent).labels_.reshape(shape)

    return work


def hyperspy_facts(case: Case, result: Any) -> dict[str, Any]:
    return {"ari": truth(case["scan"], result[1]), **removed(case, result[0])}


CONTENDERS = {
    "decode": Contender("bare decode (numcodecs)", bare_decode),
    "refold": Contender("refold run", refold_run, facts=refold_facts, fresh=True),
    "hyperspy": Contender(
        "HyperSpy rebin and PCA, umap-learn, hdbscan",
        hyperspy_run,
        ("hyperspy", "umap-learn", "hdbscan"),
        hyperspy_facts,
        fresh=True,
        slow=True,
    ),
}


def less_fixed(decode: Runs) -> Column:
    """Run less landmarks, as a multiple of bare decode, round by round."""

    def tell(runs: Runs) -> str:
        pairs = zip(runs.samples, decode.samples, strict=False)
        found = [(mine["seconds"] - mine["fixed"]) / limit["seconds"] for mine, limit in pairs if "fixed" in mine]
        return short(float(np.median(found))) if found else ""

    return "less landmarks, bare decode = 1", tell


def stages(runs: Runs) -> str:
    """Where the time of refold's runs went: medians."""
    names = runs.samples[-1]["stages"]
    told = [f"{name} {np.median([each['stages'][name] for each in runs.samples]):.1f}" for name in names]
    rest = np.median([each["seconds"] - sum(each["stages"].values()) for each in runs.samples])
    return f"Seconds of refold's stages: {', '.join(told)}; starting, importing and the report {rest:.1f}."


def run(setup: scans.Setup) -> Iterator[Table]:
    """One size at which the peers end within minutes, and one where they take half an hour or more."""
    if setup.quick:
        yield of_size(setup, 48, 64, tuple(CONTENDERS))
        return
    yield of_size(setup, 256, 128, tuple(CONTENDERS))
    yield of_size(setup, 512, 128, tuple(CONTENDERS) if setup.large else ("decode", "refold"))


def of_size(setup: scans.Setup, side: int, detector: int, names: tuple[str, ...]) -> Table:
    scan = scans.diffraction(setup.folder, side, detector)
    small = scans.diffraction(setup.folder, 32, detector)
    case = {"scan": str(scan), "folder": str(setup.folder)}
    counts = {"rounds": setup.slow_rounds} if setup.quick else setup.counts  # half a minute each, of starting up
    chosen = {name: CONTENDERS[name] for name in names}
    found = alternate(__name__, chosen, case, warm={"scan": str(small)}, **counts)
    columns = [
        less_fixed(found["decode"]),
        ("landmarks, s", fact("fixed")),
        ("peak memory, GB", fact("peak", 1e9)),
        ("written, GB", fact("written", 1e9)),
        ("ARI", fact("ari")),
    ]
    title = f"{side} x {side} patterns of {detector} x {detector}, {scans.n_bytes(scan) / 1e9:.2g} GB"
    note = stages(found["refold"]) if found["refold"].samples else ""
    return compare(title, found, base="refold", head="refold = 1", columns=columns, note=note)
