"""umap-learn is loaded without what is not called, and gives what it gives otherwise."""

from __future__ import annotations

import subprocess
import sys
import warnings

import numpy as np
import pytest

from refold.backends import CpuBackend
from refold.backends.umap_learn import needs_no_search, umap_class
from refold.embed import UMAP


def rows(n: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    centres = 8 * rng.normal(size=(5, 6))
    return (centres[rng.integers(0, 5, n)] + rng.normal(size=(n, 6))).astype(np.float32)


@pytest.mark.parametrize("densmap", [False, True])
def test_the_layout_is_that_of_umap_learn(densmap: bool) -> None:
    points = rows(300)
    ours = UMAP(n_neighbors=15, n_epochs=30, densmap=densmap, init="random").fit_transform(points)
    judge = umap_class()(
        n_neighbors=15,
        n_epochs=30,
        min_dist=0.0,
        densmap=densmap,
        init="random",
        random_state=0,
        n_jobs=1,
        precomputed_knn=CpuBackend()._knn(points, 15),
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"precomputed_knn\[2\]")
        np.testing.assert_array_equal(ours, judge.fit_transform(points))
    assert umap_class(searching=False) is not umap_class()


def test_nobody_else_sees_the_copies() -> None:
    code = """
import sys
from refold.backends.umap_learn import umap_class
lean = umap_class(searching=False)
assert not [name for name in sys.modules if name.partition(".")[0] in ("umap", "pynndescent")]
assert lean.fit.__globals__["__name__"] == "refold.backends.umap_learn.umap_"
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_a_version_that_wants_more_of_pynndescent_is_loaded_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    from refold.backends import umap_learn

    def refuse() -> None:
        return None

    monkeypatch.setattr(umap_learn, "_without_search", refuse)
    assert umap_class(searching=False) is umap_class()


@pytest.mark.parametrize("parameters", [{}, {"init": "tswspectral"}, {"init": "random", "output_dens": True}])
def test_what_searches_neighbours_gets_the_search(parameters: dict[str, object]) -> None:
    assert not needs_no_search(parameters)
