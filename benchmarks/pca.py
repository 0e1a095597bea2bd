"""Principal components, from Zarr on disk.

Every contender starts from the same Zarr store of rebinned features and ends with components. *Error* is the largest
sine of an angle between the subspace found and the exact one (eigenvectors of the scatter matrix in double precision),
over the first 10 components and over all; the last ones lie near the noise. *Captured* is the variance that the
components explain, of what the exact ones explain. *Peak memory* is what the process held at most above what it held
before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import scans
from benchmarks.measure import Case, Contender, Runs, Work, alternate
from benchmarks.raw_pass import hyperspy_signal
from benchmarks.reading import bare_decode, zarr_array
from benchmarks.tables import PEAK, Column, Table, compare, fact

FIRST = 10
KEPT = 50


def exact(features: Path) -> tuple[Path, Path]:
    """Files of the scatter matrix and of the leading eigenvectors, in double precision; made once."""
    import scipy.linalg

    scatter_file, vectors_file = (features.with_name(f"{features.stem}-{name}.npy") for name in ("scatter", "vectors"))
    if not vectors_file.exists():
        array = zarr_array(str(features), None)
        width = int(np.prod(array.shape[2:]))
        scatter, total = np.zeros((width, width)), np.zeros(width)
        for start in range(0, array.shape[0], array.chunks[0]):
            rows = array[start : start + array.chunks[0]].reshape(-1, width).astype(np.float64)
            total += rows.sum(axis=0)
            scatter += rows.T @ rows
        scatter -= np.outer(total, total) / (array.shape[0] * array.shape[1])
        kept = min(width, KEPT)
        vectors = scipy.linalg.eigh(scatter, subset_by_index=[width - kept, width - 1])[1][:, ::-1]
        np.save(scatter_file, scatter)
        np.save(vectors_file, vectors)
    return scatter_file, vectors_file


def quality(case: Case, components: np.ndarray) -> dict[str, Any]:
    """Errors and captured variance of components, shape (component, feature)."""
    if "vectors" not in case:
        return {}
    found = np.linalg.qr(np.asarray(components, dtype=np.float64).T)[0]
    true = np.load(case["vectors"])[:, : found.shape[1]]
    scatter = np.load(case["scatter"], mmap_mode="r")

    def sine(kept: int) -> float:
        mine, theirs = found[:, :kept], true[:, :kept]
        return float(np.linalg.norm(mine - theirs @ (theirs.T @ mine), 2))

    captured = np.trace(found.T @ (scatter @ found)) / np.trace(true.T @ (scatter @ true))
    return {"error_first": sine(FIRST), "error_all": sine(found.shape[1]), "captured": float(captured)}


def refold_pca(count: int, solver: Any) -> Callable[[Case], Work]:
    def setup(case: Case) -> Work:
        import warnings

        import refold

        warnings.simplefilter("ignore")  # that components lie past the eigengap is no news here
        cube = refold.open(case["scan"])

        def work() -> Any:
            return refold.PCA(count, solver=solver).fit(cube)

        return work

    return setup


def refold_facts(case: Case, model: Any) -> dict[str, Any]:
    return {**quality(case, model.components_), "solver": model.solver_, "sweeps": model.n_sweeps_}


def bands(scan: str, rows: int | None = None) -> Iterator[np.ndarray]:
    """Pixels x features of each band of chunks, or of so many rows."""
    array = zarr_array(scan, None)
    for start in range(0, array.shape[0], array.chunks[0]):
        band = array[start : start + array.chunks[0]]
        band = band.reshape(band.shape[0] * band.shape[1], -1)
        yield from (band[at : at + (rows or len(band))] for at in range(0, len(band), rows or len(band)))


def sklearn_incremental(case: Case) -> Work:
    from sklearn.decomposition import IncrementalPCA

    def work() -> np.ndarray:
        model = IncrementalPCA(case["count"])
        for rows in bands(case["scan"], 1024):
            model.partial_fit(rows)
        return np.asarray(model.components_)

    return work


def sklearn_in_memory(solver: Any) -> Callable[[Case], Work]:
    def setup(case: Case) -> Work:
        from sklearn.decomposition import PCA

        def work() -> np.ndarray:
            rows = np.concatenate([band.astype(np.float32) for band in bands(case["scan"])])
            return np.asarray(PCA(case["count"], svd_solver=solver, random_state=0).fit(rows).components_)

        return work

    return setup


def dask_rows(scan: str) -> Any:
    """Pixels x features as a Dask array, a block a chunk."""
    import dask.array as da

    array = da.from_zarr(zarr_array(scan, None)).astype(np.float32)
    blocks = array.reshape(array.shape[0], array.shape[1], -1).to_delayed().ravel()
    width = int(np.prod(array.shape[2:]))
    sizes = [y * x for y in array.chunks[0] for x in array.chunks[1]]
    import dask

    flat = dask.delayed(lambda block: block.reshape(-1, width))
    parts = [da.from_delayed(flat(block), (size, width), np.float32) for block, size in zip(blocks, sizes, strict=True)]
    return da.concatenate(parts)


def dask_ml(case: Case) -> Work:
    from dask_ml.decomposition import PCA

    rows = dask_rows(case["scan"])
    return lambda: np.asarray(PCA(case["count"], svd_solver="randomized", random_state=0).fit(rows).components_)


def dask_compressed(iterations: int) -> Callable[[Case], Work]:
    def setup(case: Case) -> Work:
        import dask.array as da

        rows = dask_rows(case["scan"])

        def work() -> np.ndarray:
            centred = rows - rows.mean(axis=0)
            return np.asarray(
                da.linalg.svd_compressed(centred, case["count"], n_power_iter=iterations, seed=0)[2].compute()
            )

        return work

    return setup


def hyperspy_incremental(case: Case) -> Work:
    signal = hyperspy_signal(case["scan"])
    signal.change_dtype("float32")

    def work() -> np.ndarray:
        signal.decomposition(algorithm="PCA", output_dimension=case["count"], print_info=False)
        return np.asarray(signal.learning_results.factors).T

    return work


CONTENDERS = {
    "decode": Contender("bare decode of the features (numcodecs)", bare_decode),
    "refold": Contender("refold PCA", refold_pca(20, "auto"), facts=refold_facts),
    "refold-scatter": Contender("refold PCA, scatter matrix", refold_pca(20, "scatter"), facts=refold_facts),
    "refold-subspace": Contender("refold PCA, subspace iteration", refold_pca(20, "subspace"), facts=refold_facts),
    "refold-50": Contender("refold PCA, 50 components", refold_pca(50, "auto"), facts=refold_facts),
    "covariance": Contender(
        "scikit-learn PCA in memory, covariance", sklearn_in_memory("covariance_eigh"), facts=quality
    ),
    "randomized": Contender("scikit-learn PCA in memory, randomized", sklearn_in_memory("randomized"), facts=quality),
    "incremental": Contender("scikit-learn IncrementalPCA, batch 1024", sklearn_incremental, facts=quality, slow=True),
    "hyperspy": Contender("HyperSpy lazy PCA", hyperspy_incremental, ("hyperspy",), quality, slow=True),
    "dask-ml": Contender("dask-ml PCA", dask_ml, ("dask-ml",), quality),
    "compressed-0": Contender("dask svd_compressed", dask_compressed(0), facts=quality),
    "compressed-2": Contender("dask svd_compressed, 2 power iterations", dask_compressed(2), facts=quality),
}


def solver(runs: Runs) -> str:
    """Which solver it took, and in how many sweeps."""
    found = runs.samples[-1]
    return f"{found['solver']}, {found['sweeps']}" if "solver" in found else ""


COLUMNS: list[Column] = [
    (f"error, first {FIRST}", fact("error_first", digits=2)),
    ("error, all", fact("error_all", digits=2)),
    ("captured, %", lambda runs: "" if (share := runs.median("captured")) is None else f"{100 * share:.5f}"),
    PEAK,
    ("solver, sweeps", solver),
]


def run(setup: scans.Setup) -> Iterator[Table]:
    side, detector = (64, 64) if setup.quick else (256, 128)
    features = scans.features(setup.folder, scans.diffraction(setup.folder, side, detector))
    small = scans.features(setup.folder, scans.diffraction(setup.folder, 32, detector))
    scatter, vectors = exact(features)
    case = {"scan": str(features), "count": 20, "scatter": str(scatter), "vectors": str(vectors)}
    found = alternate(__name__, CONTENDERS, case, warm={"scan": str(small), "count": 20}, **setup.counts)
    title = f"{side**2} pixels x {(detector // 2) ** 2} features, 20 components"
    yield compare(title, found, base="refold", head="refold = 1", columns=COLUMNS)
    if setup.large:
        yield large(setup)


def large(setup: scans.Setup) -> Table:
    """262 144 x 16 384: past what a scatter matrix can hold."""
    scan = scans.diffraction(setup.folder, 512)
    small = {"scan": str(scans.diffraction(setup.folder, 32)), "count": 20}
    found = alternate(__name__, ("decode", "refold"), {"scan": str(scan), "count": 20}, warm=small, **setup.counts)
    return compare(
        "262144 pixels x 16384 features, 20 components",
        found,
        base="decode",
        head="bare decode = 1",
        columns=COLUMNS[3:],
    )
