"""How the scores of a run are distributed: counted in the sweep that writes them, in deviations of each component."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from refold.engine import Block, Where

SCORE_EDGES = np.linspace(-8, 8, 129)
"""Edges of the bins, in standard deviations: an eighth of one each."""


class InDeviations:
    """Scores of a block in standard deviations of their component.

    Parameters
    ----------
    project : callable
        Gives the ``scores`` of a block, among others.
    deviations : numpy.ndarray
        Shape (component,): the root of the variance along each.
    """

    def __init__(self, project: Callable[[Block, Where], Any], deviations: npt.NDArray[np.float64]) -> None:
        self.project = project
        self.deviations = np.where(deviations > 0, deviations, 1)

    def __call__(self, block: Block, where: Where) -> npt.NDArray[Any]:
        """Scale the scores of a block."""
        scaled: npt.NDArray[Any] = self.project(block, where)["scores"] / self.deviations
        return scaled


def score_histogram(counts: npt.NDArray[np.int64]) -> xr.Dataset:
    """Lay counts of scores out as the declared variable.

    Parameters
    ----------
    counts : numpy.ndarray
        Shape (component, bin).

    Returns
    -------
    xarray.Dataset
        ``score_histogram (component, deviation)``, with the middle of each bin as coordinate. Scores past eight
        deviations, as rare phases have them, are in no bin: what the counts lack of all pixels.

    Examples
    --------
    >>> score_histogram(np.ones((2, 128), np.int64)).deviation.values[[0, -1]].tolist()
    [-7.9375, 7.9375]
    """
    middles = (SCORE_EDGES[:-1] + SCORE_EDGES[1:]) / 2
    return xr.Dataset({"score_histogram": (("component", "deviation"), counts)}, {"deviation": middles})
