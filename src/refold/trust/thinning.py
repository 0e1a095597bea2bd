"""What the same scan would have given at a lower dose: counts thinned one by one, and projected as the run's were."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from refold.engine import Block, Where
from refold.errors import DataError
from refold.reduce import PCA


def thin(counts: npt.NDArray[Any], pixels: npt.NDArray[np.int64], dose: float, seed: int) -> npt.NDArray[np.float32]:
    """Keep each count with a probability of its own: binomial thinning.

    Parameters
    ----------
    counts : ndarray, shape (rows, channels)
        Whole numbers of 0 or more, of any dtype; rows with NaN keep it.
    pixels : ndarray of int64, shape (rows,)
        Flat index of each row on the scan's grid.
    dose : float
        Probability, between 0 and 1.
    seed : int
        Decides, together with pixel and channel, and nothing else: not chunks, blocks or threads.

    Returns
    -------
    ndarray of float32, shape (rows, channels)
        What is left of the counts.

    Raises
    ------
    DataError
        If the numbers are no counts.

    Notes
    -----
    Poisson counts that are thinned so are again Poisson counts, of ``dose`` times the mean, and independent of what was
    taken away. Drawn by inversion, 64 counts at a time, each time from a new number of SplitMix64; past 4096 counts
    from the normal distribution, rounded.

    Examples
    --------
    >>> left = thin(np.full((1, 10_000), 8), np.array([0]), 0.25, seed=0)
    >>> left.mean().round(1), left.var().round(1)
    (np.float32(2.0), np.float32(1.5))
    """
    from refold.trust.kernels import thin_counts  # numba takes half a second to import

    kept = np.empty(counts.shape, np.float32)
    wrong = thin_counts(counts, pixels, float(dose), np.uint64(seed % 2**64), kept)
    if wrong:
        raise DataError(
            f"{wrong} values in a block that are negative or no whole numbers",
            "counts, which alone can be thinned",
            "leave dose out, or make the run without steps that turn counts into something else (log1p, normalise)",
        )
    return kept


class ThinnedScores:
    """Scores of a block of counts as they are, and of each of its thinned copies: to be written by a `ZarrWriter`.

    Parameters
    ----------
    model : PCA
        The run's own. It is not fitted again: the question is where the same axes put the pixels.
    dose : float
        Probability of a count to be kept. What is left is divided by it, so that its mean stays.
    seeds : sequence of int
        One for each copy.
    """

    def __init__(self, model: PCA, dose: float, seeds: Sequence[int]) -> None:
        self.model = model
        self.dose = dose
        self.seeds = tuple(seeds)

    def __call__(self, block: Block, where: Where) -> npt.NDArray[np.float32]:
        """Scores, shape (*navigation, 1 + copies, component)."""
        counts = block.data.reshape(block.n_pixels, -1)
        scores = [self.model.project(block)["scores"]]
        for seed in self.seeds:
            kept = thin(counts, where.pixels, self.dose, seed)
            kept /= np.float32(self.dose)
            copy = Block(kept.reshape(block.data.shape), block.n_navigation)
            scores.append(self.model.project(copy)["scores"])
        return np.stack(scores, axis=block.n_navigation)
