"""What a backend can do: the few computations that run on a CPU or on a GPU, behind one Protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Density:
    """What density clustering found.

    Parameters
    ----------
    labels : ndarray of int, shape (rows,)
        Cluster of each row, in the library's own numbering; -1 is noise.
    probabilities : ndarray of float, shape (rows,)
        Strength with which a row belongs to its cluster; 0 for noise.
    membership : ndarray of float, shape (rows, clusters)
        Soft membership of every row in every cluster; a row sums to at most 1, the rest being noise.
    """

    labels: npt.NDArray[np.signedinteger[Any]]
    probabilities: npt.NDArray[np.floating[Any]]
    membership: npt.NDArray[np.floating[Any]]


class NeighbourIndex(Protocol):
    """Nearest-neighbour search over a fixed set of rows.

    The answer for a row is exact and *row-pure*: distances in double precision, ties to the lower index, the same bits
    whatever other rows are asked in the same call. A backend whose search is approximate, or rounds by batch, fetches
    more candidates than asked and settles them row by row. It pickles.
    """

    def query(
        self, rows: npt.NDArray[np.float32], k: int, workers: int = 1
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Indices and Euclidean distances (rows, k), nearest first."""
        ...


@runtime_checkable
class Backend(Protocol):
    """Where the manifold work runs."""

    @property
    def name(self) -> str:
        """Short name: ``cpu`` or ``gpu``."""
        ...

    @property
    def reason(self) -> str:
        """Why this backend was chosen, for the run's provenance."""
        ...

    def neighbours(self, rows: npt.NDArray[np.float32]) -> NeighbourIndex:
        """Build an index over rows."""
        ...

    def umap(self, rows: npt.NDArray[np.float32], parameters: Mapping[str, Any]) -> npt.NDArray[np.float32]:
        """Fit UMAP; `parameters` are umap-learn's. Returns (rows, n_components)."""
        ...

    def hdbscan(self, rows: npt.NDArray[np.floating[Any]], parameters: Mapping[str, Any]) -> Density:
        """Fit HDBSCAN with soft membership; `parameters` are the hdbscan package's."""
        ...
