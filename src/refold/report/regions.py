"""Where in a region a number has most room."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["anchors"]

_SIDE = 256


def anchors(mask: NDArray[np.bool_], pixel: tuple[float, float]) -> tuple[float, float, float]:
    """Find the centre of the largest disc inside a mask.

    Parameters
    ----------
    mask : numpy.ndarray
        Two-dimensional.
    pixel : tuple of float
        Height and width of a pixel.

    Returns
    -------
    row, column : float
        The centre, in pixels.
    radius : float
        Of the disc, in the unit of `pixel`; 0 for an empty mask.

    Examples
    --------
    >>> anchors(np.ones((5, 9), bool), (1.0, 1.0))[0]
    2.0
    """
    from scipy.ndimage import distance_transform_edt

    if not mask.any():
        return 0.0, 0.0, 0.0
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    top, left = int(rows[0]), int(columns[0])
    part = mask[top : rows[-1] + 1, left : columns[-1] + 1]
    down, across = (max(-(-n // _SIDE), 1) for n in part.shape)
    part = np.pad(part[down // 2 :: down, across // 2 :: across], 1)
    distance = distance_transform_edt(part, sampling=(pixel[0] * down, pixel[1] * across))
    best = float(distance.max())
    if best == 0:
        return 0.0, 0.0, 0.0
    # the middle of all best places: a long band has many
    found = np.argwhere(distance >= best * 0.999)
    row, column = found[len(found) // 2] - 1
    return float(top + row * down + down // 2), float(left + column * across + across // 2), best
