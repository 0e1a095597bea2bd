"""The nearest centre's cluster for pixels, as a run writes it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from refold.cluster.starting import nearest
from refold.engine import Block, Where


class NearestCentre:
    """Give pixels the cluster of their nearest centre.

    Parameters
    ----------
    centres : ndarray of float64, shape (cluster, feature)
        Of a fitted `KMeans`.

    Notes
    -----
    The answer for a pixel depends on the centres and that pixel alone. Picklable.

    Examples
    --------
    >>> rows = np.array([[0.0], [4.0], [np.nan]])
    >>> found = NearestCentre(np.array([[1.0], [5.0]]))(Block(rows, 1), Where((slice(0, 3),), (3,)))
    >>> found["labels"].tolist(), found["membership"].tolist()
    ([0, 1, -1], [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    """

    def __init__(self, centres: npt.NDArray[np.float64]) -> None:
        self.centres = np.ascontiguousarray(centres, np.float64)

    def __call__(self, block: Block, where: Where) -> dict[str, npt.NDArray[Any]]:
        """Answer for the pixels of a block.

        Parameters
        ----------
        block : Block
            What was clustered.
        where : Where
            Where on the scan's grid it lies.

        Returns
        -------
        dict of str to ndarray
            ``labels`` int32, ``probability`` and ``membership`` float32, 1 or 0, of the block's navigation shape.
        """
        labels = nearest(block, self.centres)[0].reshape(where.shape)
        membership = (labels[..., None] == np.arange(len(self.centres))).astype(np.float32)
        return {"labels": labels, "probability": (labels >= 0).astype(np.float32), "membership": membership}
