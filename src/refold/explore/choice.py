"""What is selected: an outline drawn by hand, or whole clusters, and which of the rows in memory that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Choice"]


@dataclass(frozen=True, slots=True)
class Choice:
    """A selection of pixels.

    Attributes
    ----------
    selection : refold.Selection or None
        The outline; None where whole clusters are selected.
    clusters : tuple of int
        The clusters, after the edits. With an outline: only their pixels within it; empty for those of any.
    mask : numpy.ndarray
        Bool, one for each row in memory.
    pixels : int
        How many rows that is: pixels of the scan where it is shown whole.

    Notes
    -----
    Both the outline and the clusters are said in a way that applies to any pixel, so whoever needs more than the rows
    in memory, such as the mean signal, can ask them for the rest.
    """

    selection: Any
    clusters: tuple[int, ...]
    mask: NDArray[np.bool_]
    pixels: int
