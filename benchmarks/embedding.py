"""Embedding landmarks and refolding pixels, against umap-learn and libraries of nearest neighbours.

Scores are the 20 principal components of a 4D-STEM phantom. *First use* runs from imports to the latent coordinates of
2 000 rows, in a process that knows nothing yet: with an empty cache of compiled code, as in a new environment or a new
container, and with what an earlier process left there. The searches find the ten nearest of the landmarks for each
pixel, in one thread, their indices built beforehand; *right* is the share of pixels for which all ten are the nearest.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.measure import Case, Contender, Work, alternate
from benchmarks.scans import Setup
from benchmarks.tables import PEAK, Column, Table, compare, fact, short

NEIGHBOURS, CLUSTERS = 10, 12


def scores(folder: Path, side: int) -> Path:
    """Scores of a phantom, in scan order."""
    import refold

    path = folder / f"scores-{side}x{side}.npy"
    if not path.exists():
        cube = refold.synthetic.four_d_stem((side, side), (32, 32), rare=(40,)).cube
        found = np.asarray(refold.PCA(n_components=20).fit(cube).transform(cube), np.float32)
        np.save(path, found.reshape(side * side, -1))
    return path


def landmarks(case: Case) -> np.ndarray:
    """Which pixels are landmarks, ascending."""
    total = len(np.load(case["scores"], mmap_mode="r"))
    return np.sort(np.random.default_rng(0).permutation(total)[: case["landmarks"]])


def split(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks, and the pixels that ask for them, in scan order."""
    rows, chosen = np.load(case["scores"]), landmarks(case)
    others = np.setdiff1d(np.arange(len(rows)), chosen)
    return rows[chosen], rows[others[: case["pixels"]]]


# --- embedding --------------------------------------------------------------------------------------------------------


def refold_umap(case: Case) -> Work:
    from refold import UMAP

    rows = split(case)[0]
    return lambda: UMAP().fit_transform(rows)


def learn_umap(case: Case, **options: Any) -> Work:
    import umap

    rows = split(case)[0]
    return lambda: umap.UMAP(**options).fit_transform(rows)


def learn_umap_seeded(case: Case) -> Work:
    return learn_umap(case, random_state=0, n_jobs=1)


def first_use(setup: Callable[[Case], Work], cache: str, *, keep: bool) -> Callable[[Case], Work]:
    """The same with the imports on the clock, and a cache of compiled code that is empty, or is kept."""

    def start(case: Case) -> Work:
        folder = Path(case["folder"]) / f"compiled-{cache}"
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
        os.environ["NUMBA_CACHE_DIR"] = str(folder)  # read when Numba is imported, which is on the clock

        def work() -> Any:
            return setup(case)()

        return work

    return start


# --- nearest landmarks ------------------------------------------------------------------------------------------------


def one_thread() -> None:
    """For all that was imported so far."""
    import threadpoolctl

    threadpoolctl.threadpool_limits(1)


def refold_search(case: Case) -> Work:
    from refold.backends.nearest import TiledIndex

    rows, asking = split(case)
    index = TiledIndex(rows)
    index.query(asking[:9], NEIGHBOURS)
    one_thread()
    return lambda: index.query(asking, NEIGHBOURS)[0]


def faiss_search(case: Case, *, lists: int = 0) -> Work:
    import faiss

    rows, asking = split(case)
    index = flat = faiss.IndexFlatL2(rows.shape[1])
    if lists:
        index = faiss.IndexIVFFlat(flat, rows.shape[1], lists)
        index.train(rows)
        index.nprobe = lists // 4
    index.add(rows)
    faiss.omp_set_num_threads(1)
    return lambda: index.search(asking, NEIGHBOURS)[1]


def faiss_lists(case: Case) -> Work:
    return faiss_search(case, lists=int(case["landmarks"] ** 0.5))


def usearch_search(case: Case) -> Work:
    from usearch.index import Index

    rows, asking = split(case)
    index = Index(ndim=rows.shape[1], metric="l2sq", dtype="f32")
    index.add(np.arange(len(rows)), rows, threads=1)
    return lambda: index.search(asking, NEIGHBOURS, threads=1).keys.astype(np.int64)


def pynndescent_search(case: Case) -> Work:
    import pynndescent

    rows, asking = split(case)
    index = pynndescent.NNDescent(rows, n_neighbors=30, random_state=0, n_jobs=1)
    index.prepare()
    index.query(asking[:9], NEIGHBOURS)
    return lambda: index.query(asking, NEIGHBOURS)[0]


def tree_search(case: Case) -> Work:
    from sklearn.neighbors import KDTree

    rows, asking = split(case)
    tree = KDTree(rows)
    return lambda: tree.query(asking, NEIGHBOURS)[1]


def products(case: Case) -> Work:
    rows, asking = split(case)
    lengths = (rows**2).sum(axis=1)
    one_thread()

    def work() -> np.ndarray:
        found = []
        for start in range(0, len(asking), 1000):
            apart = lengths - 2 * (asking[start : start + 1000] @ rows.T)
            near = np.argpartition(apart, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
            found.append(np.take_along_axis(near, np.take_along_axis(apart, near, axis=1).argsort(axis=1), axis=1))
        return np.concatenate(found)

    return work


def right(case: Case, found: np.ndarray) -> dict[str, Any]:
    """Share of rows that got their ten nearest, in any order; the judge measures a part of them in double precision."""
    rows, asking = split(case)
    part = slice(None, None, max(1, len(asking) // 500))
    apart = ((asking[part, None].astype(float) - rows[None]) ** 2).sum(axis=2)
    judge = np.sort(np.argsort(apart, axis=1, kind="stable")[:, :NEIGHBOURS], axis=1)
    return {"right": float((np.sort(found[part], axis=1) == judge).all(axis=1).mean())}


# --- refolding --------------------------------------------------------------------------------------------------------


def refold_answers(case: Case) -> Work:
    """Label, probability, membership and latent coordinates."""
    from refold.backprojection import Refolder

    rows, asking = split(case)
    rng, n = np.random.default_rng(0), len(rows)
    refolder = Refolder(
        SimpleNamespace(pixels_=landmarks(case), rows_=rows),
        labels=rng.integers(-1, CLUSTERS, n),
        probability=rng.random(n),
        membership=rng.random((n, CLUSTERS)),
        embedding=rng.random((n, 2)),
    )
    elsewhere = np.full(len(asking), -1)
    refolder.answer(asking[:9], elsewhere[:9])
    one_thread()
    return lambda: refolder.answer(asking, elsewhere)


def umap_transform(case: Case) -> Work:
    import umap

    rows, asking = split(case)
    model = umap.UMAP(random_state=0, n_jobs=1).fit(rows)
    return lambda: model.transform(asking)


CONTENDERS = {
    "refold": Contender("refold.UMAP", refold_umap),
    "umap": Contender("umap-learn, default", learn_umap),
    "umap-seeded": Contender("umap-learn, the same each time (random_state)", learn_umap_seeded, slow=True),
    "refold-new": Contender("refold, new environment", first_use(refold_umap, "refold", keep=False), fresh=True),
    "refold-next": Contender("refold, next process", first_use(refold_umap, "refold", keep=True), fresh=True),
    "umap-new": Contender(
        "umap-learn, new environment", first_use(learn_umap, "umap", keep=False), fresh=True, slow=True
    ),
    "umap-next": Contender("umap-learn, next process", first_use(learn_umap, "umap", keep=True), fresh=True, slow=True),
    "search": Contender("refold", refold_search, facts=right),
    "faiss": Contender("faiss, flat", faiss_search, ("faiss-cpu",), right),
    "faiss-lists": Contender("faiss, a quarter of its lists", faiss_lists, ("faiss-cpu",), right),
    "usearch": Contender("usearch", usearch_search, ("usearch",), right),
    "pynndescent": Contender("pynndescent", pynndescent_search, ("pynndescent",), right),
    "tree": Contender("scikit-learn KDTree", tree_search, facts=right),
    "products": Contender("matrix products and argpartition (NumPy)", products, facts=right),
    "answers": Contender("refold: label, probability, membership, place", refold_answers),
    "transform": Contender("umap-learn transform: place", umap_transform, slow=True),
}
EMBEDDING, FIRST_USE = ("refold", "umap", "umap-seeded"), ("refold-new", "umap-new", "refold-next", "umap-next")
SEARCH = ("search", "faiss", "faiss-lists", "usearch", "pynndescent", "tree", "products")
REFOLDING = ("answers", "transform")


def each(pixels: int) -> Column:
    """A column: seconds of one core for a million pixels."""
    return "core-s per million", lambda runs: short((runs.median("cores") or 0.0) * 1e6 / pixels)


def run(setup: Setup) -> Iterator[Table]:
    side, sizes, most = (64, (1000,), 1000) if setup.quick else (256, (5000, 10_000), 20_000)
    setup.folder.mkdir(parents=True, exist_ok=True)
    pixels = 1000 if setup.quick else 20_000
    case = {"scores": str(scores(setup.folder, side)), "folder": str(setup.folder), "pixels": pixels}
    keys = FIRST_USE[::2] if setup.quick else FIRST_USE
    found = alternate(__name__, keys, {**case, "landmarks": 2000}, **setup.counts)
    yield compare("First use, 2 000 rows", found, base="refold-next")
    # Past 4 096 rows umap-learn goes other ways, which are compiled too.
    small = {**case, "landmarks": min(4200, *sizes)}
    for n in sizes:
        found = alternate(__name__, EMBEDDING, {**case, "landmarks": n}, warm=small, **setup.counts)
        yield compare(f"{n} landmarks, warm", found, base="refold", columns=[PEAK])
    last = {**case, "landmarks": most}
    found = alternate(__name__, SEARCH, last, **setup.counts)
    columns = [each(pixels), ("right", fact("right", digits=4)), PEAK]
    yield compare(f"The ten nearest of {most} landmarks, {pixels} pixels", found, base="search", columns=columns)
    found = alternate(__name__, REFOLDING, last, **setup.counts)
    title = f"Answers from {most} landmarks, {pixels} pixels"
    yield compare(title, found, base="answers", columns=[each(pixels), PEAK])
