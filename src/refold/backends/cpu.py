"""The backend that is always there: exact tiled neighbours, umap-learn, hdbscan."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from refold.backends.protocol import Density, NeighbourIndex
from refold.errors import ParameterError

_SCIPYS = {"manhattan": "cityblock"}  # names of metrics that SciPy does not know by the name that hdbscan does


@dataclass(frozen=True, slots=True)
class CpuBackend:
    """Run on the CPU.

    Parameters
    ----------
    reason : str
        Why it was chosen.
    """

    reason: str = "asked for"

    @property
    def name(self) -> str:
        """Short name."""
        return "cpu"

    def neighbours(self, rows: npt.NDArray[np.float32]) -> NeighbourIndex:
        """Build the exact index of `refold.backends.nearest`."""
        from refold.backends.nearest import TiledIndex

        return TiledIndex(rows)

    def umap(self, rows: npt.NDArray[np.float32], parameters: Mapping[str, Any]) -> npt.NDArray[np.float32]:
        """Fit umap-learn; Euclidean neighbours come from our exact index instead of its approximate one."""
        from refold.backends.umap_learn import needs_no_search, umap_class

        wanted = dict(parameters)
        ours = wanted.get("metric", "euclidean") == "euclidean" and "precomputed_knn" not in wanted
        umap = umap_class(searching=not (ours and needs_no_search(wanted)))
        unknown = sorted(set(wanted) - set(inspect.signature(umap.__init__).parameters))
        if unknown:
            raise ParameterError(f"UMAP parameters {unknown}", "parameters of umap-learn", "see help(umap.UMAP)")
        if ours:
            wanted["precomputed_knn"] = self._knn(rows, int(wanted["n_neighbors"]))
        with warnings.catch_warnings():
            # A fixed seed turns umap-learn's threads off, which is what was asked for.
            warnings.filterwarnings("ignore", "n_jobs value .* overridden", UserWarning)
            # Its `transform` of new rows is not used: pixels are refolded by their nearest landmarks.
            warnings.filterwarnings("ignore", r"precomputed_knn\[2\]", UserWarning)
            # A spectral start of a small or loose graph falls back to a random one, and says so.
            warnings.filterwarnings("ignore", "Spectral initialisation failed", UserWarning)
            embedding = umap(**wanted).fit_transform(rows)
        return np.ascontiguousarray(embedding, dtype=np.float32)

    def _knn(
        self, rows: npt.NDArray[np.float32], k: int
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32], None]:
        """The k nearest rows of each row, itself first, in the types that umap-learn's own search gives."""
        indices, distances = self.neighbours(rows).query(rows, k, workers=-1)
        return indices.astype(np.int32), distances.astype(np.float32), None

    def hdbscan(self, rows: npt.NDArray[np.floating[Any]], parameters: Mapping[str, Any]) -> Density:
        """Fit the hdbscan package; soft membership is read off its tree by `refold.backends.soft`."""
        import hdbscan

        from refold.backends.soft import CondensedTree, soft_membership

        points = np.require(rows, np.float64, ["C", "W"])  # its trees refuse read-only memory
        # One job: its others are processes, whose start costs more than what they do.
        model = hdbscan.HDBSCAN(**{"core_dist_n_jobs": 1, **parameters}).fit(points)
        labels, probabilities = np.asarray(model.labels_), np.asarray(model.probabilities_)
        most = int(parameters.get("max_cluster_size", 0))
        if (
            most
            and parameters.get("cluster_selection_epsilon", 0.0)
            and np.bincount(labels + 1)[1:].max(initial=0) > most
        ):
            apart = hdbscan.HDBSCAN(**{"core_dist_n_jobs": 1, **parameters, "cluster_selection_epsilon": 0.0}).fit(
                points
            )
            labels, probabilities = _with_parts(labels, probabilities, apart.labels_, apart.probabilities_, most)
        tree = CondensedTree(model.condensed_tree_.to_numpy(), points.shape[0])
        metric = {"metric": _SCIPYS.get(name := parameters.get("metric", "euclidean"), name)}
        metric |= {"p": parameters["p"]} if "p" in parameters else {}
        membership = soft_membership(points, tree, labels, int(labels.max()) + 1, **metric)
        return Density(labels, probabilities, membership)


def _with_parts(
    labels: npt.NDArray[Any],
    probabilities: npt.NDArray[Any],
    part_labels: npt.NDArray[Any],
    part_probabilities: npt.NDArray[Any],
    most: int,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Clusters, and in place of those of more than so many points the parts that an epsilon has merged into them.

    The library merges last and heeds no largest size when it does. Parts lie below their cluster in the tree, so what
    is put together here is a choice of clusters like any other.
    """
    too_large = np.append(np.bincount(labels + 1)[1:] > most, False)[labels]  # noise is the last, and never
    named = np.where(too_large & (part_labels >= 0), labels.max() + 1 + part_labels, np.where(too_large, -1, labels))
    _, renamed = np.unique(np.append(named, -1), return_inverse=True)  # -1 is there, and comes first
    return renamed[:-1].astype(np.int64) - 1, np.where(too_large, part_probabilities, probabilities)
