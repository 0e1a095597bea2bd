"""Which rows may be merged directly: neighbours in feature space, or neighbours on the scan's grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from refold.backends import Backend, choose
from refold.errors import ParameterError

Edges = npt.NDArray[np.int64]


def neighbour_graph(rows: npt.NDArray[Any], k: int, backend: Backend | None = None) -> Any:
    """Link each row to its nearest ones.

    Parameters
    ----------
    rows : ndarray, shape (rows, features)
        Finite rows.
    k : int
        Nearest rows, beside itself.
    backend : Backend, optional
        Where neighbours are searched; the best there is by default.

    Returns
    -------
    scipy.sparse.csr_matrix
        Of one piece, symmetric, shape (rows, rows).
    """
    singles = np.ascontiguousarray(rows, np.float32)
    index = (backend if backend is not None else choose("auto")).neighbours(singles)
    near, _ = index.query(singles, min(k + 1, len(singles)), workers=-1)
    edges = np.stack([np.repeat(np.arange(len(near)), near.shape[1]), near.ravel()])
    return _in_one_piece(edges, singles)


def grid_graph(pixels: npt.ArrayLike, grid: Sequence[int], rows: npt.NDArray[Any]) -> Any:
    """Link landmarks that are neighbours on the scan's grid.

    Where all pixels are landmarks these are the neighbours along each dim, four of them in a map. Else they are the
    landmarks whose Voronoi cells on the grid touch, which is to say, the edges of their Delaunay triangulation.

    Parameters
    ----------
    pixels : array_like of int, shape (rows,)
        Flat indices on the grid, all different.
    grid : sequence of int
        Navigation shape.
    rows : ndarray, shape (rows, features)
        What the landmarks look like, to link pieces that the grid leaves apart.

    Returns
    -------
    scipy.sparse.csr_matrix
        Of one piece, symmetric, shape (rows, rows).

    Raises
    ------
    ParameterError
        If there is not one pixel of the grid for each row.

    Examples
    --------
    >>> graph = grid_graph(np.arange(6), (2, 3), np.zeros((6, 1)))
    >>> graph[[0]].nonzero()[1].tolist(), graph[[4]].nonzero()[1].tolist()
    ([1, 3], [1, 3, 5])
    """
    flat = np.asarray(pixels, np.int64)
    shape = tuple(int(size) for size in grid)
    size = int(np.prod(shape, dtype=np.int64))
    if flat.shape != (len(rows),) or np.unique(flat).size != flat.size or flat.min() < 0 or flat.max() >= size:
        raise ParameterError(
            f"pixels of shape {flat.shape} for {len(rows)} rows on a grid of {shape}",
            "one pixel of the grid for each row, all different",
            "pass the landmarks' pixels_ and the navigation shape of the scan",
        )
    edges = _steps(flat, shape) if flat.size == size else _touching(np.stack(np.unravel_index(flat, shape), axis=1))
    return _in_one_piece(edges, rows)


def _steps(flat: npt.NDArray[np.int64], shape: tuple[int, ...]) -> Edges:
    """One step along each dim, where every pixel is a row."""
    row_of = np.empty(flat.size, np.int64)
    row_of[flat] = np.arange(flat.size)
    places = row_of.reshape(shape)
    pairs = []
    for axis in range(len(shape)):
        before, after = (places.swapaxes(0, axis)[part] for part in (slice(None, -1), slice(1, None)))
        pairs.append(np.stack([before.ravel(), after.ravel()]))
    return np.concatenate(pairs, axis=1)


def _touching(places: npt.NDArray[np.int64]) -> Edges:
    """Edges of the Delaunay triangulation; along a line, of each place and the next."""
    from scipy.spatial import Delaunay

    spread = places[:, np.ptp(places, axis=0) > 0]
    centred = spread - spread.mean(axis=0)
    n_dims = np.linalg.matrix_rank(centred) if centred.size else 0
    if n_dims < 2 or n_dims < spread.shape[1] or len(places) < n_dims + 2:
        # On a line, or too few for a triangulation: one after the other along the direction of most spread.
        along = centred @ np.linalg.svd(centred, full_matrices=False)[2][0] if centred.size else np.arange(len(places))
        order = np.argsort(along, kind="stable")
        return np.stack([order[:-1], order[1:]])
    starts, ends = Delaunay(spread).vertex_neighbor_vertices
    return np.stack([np.repeat(np.arange(len(spread)), np.diff(starts)), ends]).astype(np.int64)


def _in_one_piece(edges: Edges, rows: npt.NDArray[Any]) -> Any:
    """Make a symmetric graph of the edges, and link what they leave apart by the shortest tree between its pieces."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components, minimum_spanning_tree
    from scipy.spatial.distance import cdist

    n = len(rows)

    def graph_of(pairs: Edges) -> Any:
        one, other = pairs[:, pairs[0] != pairs[1]]
        both = np.concatenate([one, other]), np.concatenate([other, one])
        graph = coo_matrix((np.ones(both[0].size, np.int8), both), shape=(n, n)).tocsr()
        graph.data[:] = 1
        return graph

    graph = graph_of(edges)
    n_pieces, piece = connected_components(graph, directed=False)
    if n_pieces == 1:
        return graph
    _, members = np.unique(
        piece, return_index=True
    )  # one row stands for its piece: merging costs are of whole clusters
    # One is added to every distance, which changes no tree: a zero would be taken for no edge.
    tree = minimum_spanning_tree(cdist(rows[members], rows[members]) + 1).tocoo()
    return graph_of(np.concatenate([edges, np.stack([members[tree.row], members[tree.col]])], axis=1))
