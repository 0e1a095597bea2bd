"""How rows and columns are weighted before components are sought."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from refold.engine import MomentsResult
from refold.errors import DataError

Vector = npt.NDArray[np.float64]
Scaling = Literal["standard", "poisson"] | None
SCALINGS = (None, "standard", "poisson")
_NAMED = 5


def row_factors(rows: npt.NDArray[Any]) -> Vector:
    """Inverse root of each row's sum, 0 where the row sums to nothing (Keenan and Kotula 2004).

    Parameters
    ----------
    rows : numpy.ndarray
        Shape (pixel, feature).

    Returns
    -------
    numpy.ndarray
        Shape (pixel,), float64.

    Notes
    -----
    Adding along a contiguous axis is done row by row, so a factor depends on its own row alone.

    Examples
    --------
    >>> row_factors(np.array([[1.0, 3.0], [0.0, 0.0]])).tolist()
    [0.5, 0.0]
    """
    sums: Vector = np.add.reduce(np.ascontiguousarray(rows), axis=1, dtype=np.float64)
    factors = np.zeros_like(sums)
    filled = sums > 0
    factors[filled] = 1 / np.sqrt(sums[filled])
    return factors


def column_factors(moments: MomentsResult, scaling: Scaling, dtype: np.dtype[Any]) -> Vector | None:
    """Factor of each feature, from the moments of all pixels.

    Parameters
    ----------
    moments : MomentsResult
        With ``weighting="poisson"`` if the scaling is.
    scaling : {None, "standard", "poisson"}
        Inverse standard deviations, or inverse roots of column means.
    dtype : numpy.dtype
        Of the rows, which says what counts as constant.

    Returns
    -------
    numpy.ndarray or None
        Shape (feature,); 0 for a column without counts; None where there is no scaling.

    Raises
    ------
    DataError
        If a channel is constant and was to be divided by its deviation; or if counts are negative.

    References
    ----------
    Keenan and Kotula (2004), Surf. Interface Anal. 36, 203.
    """
    if scaling is None:
        return None
    if scaling == "standard":
        _refuse_constant(moments, dtype)
        return 1 / np.sqrt(moments.variance)
    negative = np.flatnonzero(moments.minimum < 0)
    if negative.size:
        raise DataError(
            f"values below 0 in {_listed(negative)}",
            "counts, for scaling='poisson'",
            "clip the data at 0, or choose another scaling",
        )
    means = moments.total / moments.count
    factors = np.zeros_like(means)
    filled = means > 0
    factors[filled] = 1 / np.sqrt(means[filled])
    return factors


def noise_floor(dtype: np.dtype[Any]) -> float:
    """Eigenvalues below this share of the largest are rounding, for rows of this dtype."""
    return 1e-7 if dtype == np.float32 else 1e-14


def refuse_flat(moments: MomentsResult, factors: Vector | None, dtype: np.dtype[Any], *, center: bool) -> None:
    """Raise if nothing varies.

    Parameters
    ----------
    moments : MomentsResult
        Of the whole cube.
    factors : numpy.ndarray or None
        Factor of each feature.
    dtype : numpy.dtype
        Of the rows, which says what rounding leaves.
    center : bool
        Whether about the mean.

    Raises
    ------
    DataError
        If all valid pixels are the same; or all zero, where they are not centred.
    """
    squares, noise = moments.variance, (10 * np.finfo(dtype).eps * moments.mean) ** 2
    if not center:
        squares, noise = squares + moments.mean**2, np.zeros_like(noise)
    weights = 1.0 if factors is None else factors**2
    if not np.sum(squares * weights) > np.sum(noise * weights):
        found = "the same values in every valid pixel" if center else "zeros in every valid pixel"
        raise DataError(f"{found}, {moments.count} of them", "pixels that differ", "check the data and the crop")


def refuse_hopeless(moments: MomentsResult) -> None:
    """Raise if there is no pixel to learn from, and say why there is none.

    Parameters
    ----------
    moments : MomentsResult
        Of the whole cube.

    Raises
    ------
    DataError
        If no pixel is valid.
    """
    if moments.count:
        return
    never = np.flatnonzero(moments.n_not_finite == moments.n_pixels)
    if never.size:
        raise DataError(
            f"{_listed(never)} not finite in any of the {moments.n_pixels} pixels",
            "pixels that are finite in every channel",
            "crop or mask these channels, or fill them",
        )
    if moments.n_empty:
        raise DataError(
            f"no counts in any of the {moments.n_empty} valid pixels",
            "pixels with counts",
            "choose another scaling, or other data",
        )
    raise DataError(
        f"something not finite in each of the {moments.n_pixels} pixels",
        "pixels that are finite in every channel",
        "fill or crop what is not finite",
    )


def _refuse_constant(moments: MomentsResult, dtype: np.dtype[Any]) -> None:
    # What rounding of a constant leaves, with a margin.
    noise = (10 * np.finfo(dtype).eps * np.abs(moments.mean)) ** 2
    constant = np.flatnonzero(moments.variance <= noise)
    if constant.size:
        raise DataError(
            f"{_listed(constant)} constant over all {moments.count} pixels",
            "channels that vary, for scaling='standard'",
            "crop or mask these channels, or choose another scaling",
        )


def _listed(channels: npt.NDArray[np.int64]) -> str:
    named = ", ".join(str(channel) for channel in channels[:_NAMED])
    more = f" and {channels.size - _NAMED} more" if channels.size > _NAMED else ""
    return f"channel{'s' if channels.size > 1 else ''} {named}{more}"
