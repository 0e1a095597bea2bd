"""Where a scree plot bends."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from refold.errors import ParameterError

_LEAST = 1e-30  # below this a share of the variance is rounding; its logarithm stays finite


def elbow_position(explained_variance_ratio: npt.ArrayLike, *, log: bool = True, max_points: int = 20) -> int:
    """Index of the elbow of a scree plot: the point farthest from the line between its ends.

    Parameters
    ----------
    explained_variance_ratio : array_like
        Shape (component,), largest first. The variance itself does as well: with `log`, a factor changes nothing.
    log : bool
        Whether to look at logarithms, as a scree plot does.
    max_points : int
        How many components to look at; the line ends at the next one.

    Returns
    -------
    int
        The position, from 0. The number of significant components is one more.

    Raises
    ------
    ParameterError
        If there is no component.

    References
    ----------
    Satopää, Albrecht, Irwin and Raghavan (2011), 31st Int. Conf. on Distributed Computing Systems Workshops, 166, as
    HyperSpy's ``estimate_elbow_position`` has it, whose answer this is.

    Examples
    --------
    >>> elbow_position([0.9, 0.05, 0.04, 0.001, 0.0009, 0.0008, 0.0007])
    3
    """
    curve = np.asarray(explained_variance_ratio, dtype=np.float64).ravel()
    if not curve.size:
        raise ParameterError("no components", "the share of the variance of each", "decompose first")
    curve = np.clip(curve, _LEAST, None)
    if log:
        curve = np.log(curve)
    last = min(max_points, curve.size - 1)
    if not last:
        return 0
    index = np.arange(last)
    distance = np.abs(last * (curve[0] - curve[:last]) + index * (curve[last] - curve[0])) / np.hypot(
        last, curve[last] - curve[0]
    )
    return int(np.argmax(np.nan_to_num(distance)))
