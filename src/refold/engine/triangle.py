"""One half of a symmetric matrix of sums of products: the other half says the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from refold.engine import buffers

Vector = npt.NDArray[np.float64]

_PANEL = 256  # features: a product with fewer runs below the speed of the BLAS, more fill much of the other half


class Triangle:
    """The lower triangle of a symmetric matrix in float64, as panels of so many rows, up to the diagonal.

    Parameters
    ----------
    features : int
        Rows and columns of the matrix.

    Notes
    -----
    A panel is formed by one general product, which runs at the full speed of a BLAS where its routine for symmetric
    products (syrk) did not; what a panel holds above the diagonal is wasted, an eighth at 2048 features.

    Examples
    --------
    >>> triangle = Triangle(2)
    >>> triangle.add_product(np.array([[1.0, 2.0], [3.0, 4.0]]))
    >>> triangle.whole().tolist()
    [[10.0, 14.0], [14.0, 20.0]]
    """

    def __init__(self, features: int) -> None:
        self.features = features
        self.panels = [np.zeros((part.stop - part.start, part.stop)) for part in _parts(features)]
        self.outer: list[tuple[float, Vector]] = []

    @staticmethod
    def nbytes(features: int) -> int:
        """Bytes of such a triangle."""
        return 4 * features * (features + min(_PANEL, features))

    @staticmethod
    def product_nbytes(features: int) -> int:
        """Bytes of the product of one panel in float32."""
        return 4 * min(_PANEL, features) * features

    def add_product(self, rows: npt.NDArray[Any]) -> None:
        """Add the product of rows, shape (row, feature), with themselves; it is formed in their dtype."""
        for part, panel in zip(_parts(self.features), self.panels, strict=True):
            product = buffers.empty(panel.shape, rows.dtype)
            np.matmul(rows[:, part].T, rows[:, : part.stop], out=product)
            np.add(panel, product, out=panel)

    def add_outer(self, factor: float, vector: Vector) -> None:
        """Add a multiple of a vector's outer product with itself: noted only, and formed with all others at the end."""
        self.outer.append((factor, vector))

    def __iadd__(self, other: Triangle) -> Triangle:
        """Add another one of this size."""
        for panel, more in zip(self.panels, other.panels, strict=True):
            np.add(panel, more, out=panel)
        self.outer += other.outer
        return self

    def whole(self) -> Vector:
        """Both halves, symmetric to the last bit. The triangle is used up: its panels go as they are copied."""
        matrix = np.empty((self.features, self.features))
        factors = np.array([factor for factor, _ in self.outer])[:, None]
        vectors = np.array([vector for _, vector in self.outer]).reshape(-1, self.features)
        for part in _parts(self.features):
            panel = self.panels.pop(0)
            panel += (factors * vectors[:, part]).T @ vectors[:, : part.stop]
            matrix[part, : part.stop] = panel
            matrix[: part.start, part] = panel[:, : part.start].T
            corner = matrix[part, part]
            upper = np.triu_indices(len(corner), 1)
            corner[upper] = corner.T[upper]
        return matrix


def _parts(features: int) -> list[slice]:
    return [slice(start, min(start + _PANEL, features)) for start in range(0, features, _PANEL)]
