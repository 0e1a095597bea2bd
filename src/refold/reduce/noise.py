"""From the scatter of a scan and that of its noise to components by signal-to-noise ratio."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from refold.errors import DataError, RefoldWarning
from refold.reduce.leading import fix_signs

Vector = npt.NDArray[np.float64]

_ROUNDING = 1e-12  # share of the largest variance of the scaled noise below which there is none


@dataclass(frozen=True)
class Adjusted:
    """Directions in which the noise is white and of unit variance, by falling variance of the data.

    Parameters
    ----------
    values : numpy.ndarray
        Shape (component,): variance of the data, which is one plus the signal-to-noise ratio.
    unmixing : numpy.ndarray
        Shape (component, feature): what gives the scores.
    components : numpy.ndarray
        Shape (component, feature): what each looks like; the largest value of each is positive.
    n_silent : int
        Directions left out, because neighbours do not differ along them though the scan does.
    """

    values: Vector
    unmixing: Vector
    components: Vector
    n_silent: int


def adjust(data: Vector, noise: Vector) -> Adjusted:
    """Solve the generalised eigenproblem of the covariance of the data and that of its noise.

    Parameters
    ----------
    data, noise : numpy.ndarray
        Shape (feature, feature): covariance matrices.

    Returns
    -------
    Adjusted
        As many components as the noise has dimensions.

    Raises
    ------
    DataError
        If there is no noise.

    Notes
    -----
    Channels are first divided by the deviation of their noise, which changes nothing but rounding: it is then that the
    rank of the noise is read off. Whitening and a second eigenproblem follow (Lee, Woodyatt and Berman 1990), both by
    LAPACK in float64.

    Examples
    --------
    >>> found = adjust(np.diag([9.0, 8.0]), np.diag([3.0, 1.0]))
    >>> found.values.tolist(), found.components.round(6).tolist()
    ([8.0, 3.0], [[0.0, 1.0], [1.732051, 0.0]])
    """
    from scipy.linalg import eigh

    deviation = np.sqrt(np.diag(noise))
    varying = deviation > 0
    if not varying.any():
        raise DataError(
            "no difference between neighbours in any channel", "noise", "check the data, or reduce them by PCA"
        )
    scale = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=varying)
    squares, axes = eigh(noise * scale * scale[:, None], check_finite=False)
    known = squares > _ROUNDING * squares[-1]
    white = scale[:, None] * axes[:, known] / np.sqrt(squares[known])
    values, turn = eigh(white.T @ data @ white, check_finite=False)
    unmixing = white @ turn[:, ::-1]
    components = noise @ unmixing
    turned = fix_signs(components)
    signs = np.where(np.sum(components * turned, axis=0) < 0, -1.0, 1.0)
    return Adjusted(
        np.maximum(values[::-1], 0.0),
        np.ascontiguousarray((unmixing * signs).T),
        np.ascontiguousarray(turned.T),
        int(np.count_nonzero(np.diag(data) > 0)) - int(known.sum()),
    )


def warn_of_silence(found: Adjusted, n_pairs: int) -> None:
    """Say along how many directions no noise is known.

    Parameters
    ----------
    found : Adjusted
        What was found.
    n_pairs : int
        Pairs of neighbours that were seen.

    Warns
    -----
    RefoldWarning
        If there are such directions.
    """
    if found.n_silent > 0:
        channels = found.n_silent + len(found.values)
        why = (
            f"there are but {n_pairs} pairs of neighbours"
            if n_pairs <= channels
            else "neighbours do not differ along them, as in data that were smoothed, clipped or reduced before"
        )
        warnings.warn(
            f"{found.n_silent} of {channels} directions are left out of the components, since no noise is known "
            f"there: {why}. Bin or crop channels, or use PCA, where they matter",
            RefoldWarning,
            stacklevel=4,
        )
