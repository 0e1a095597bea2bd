"""Alternating nonnegative least squares: loadings by a sweep, factors from its sums, sped up by extrapolation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from refold.reduce.nonnegative.unmixing import Sums

Vector = npt.NDArray[np.float64]
Look = Callable[[Vector], Sums]

_REACH, _GROWTH, _RETREAT = 0.5, 1.1, 2.0  # of the extrapolation: at first, after a gain, after a loss


@dataclass(frozen=True)
class Alternated:
    """Factors, and how they came about.

    Parameters
    ----------
    factors : numpy.ndarray
        Shape (component, feature): the best that were looked at.
    sums : Sums
        What the rows say of them.
    errors : tuple of float
        Length of X - W H at each look.
    converged : bool
        Whether it fell by less than the tolerance in the end.
    """

    factors: Vector
    sums: Sums
    errors: tuple[float, ...]
    converged: bool

    @property
    def error(self) -> float:
        """Length of X - W H for these factors."""
        return self.sums.error


def alternate(look: Look, start: Vector, *, tol: float, max_iter: int) -> Alternated:
    """Improve factors until the error falls no more.

    Parameters
    ----------
    look : callable
        Gives the sums of all rows for factors: a sweep.
    start : numpy.ndarray
        Shape (component, feature), nonnegative.
    tol : float
        Relative fall of the error in one look below which to stop.
    max_iter : int
        Looks at most.

    Returns
    -------
    Alternated
        The best factors that were looked at, so that the error is theirs.

    Notes
    -----
    Both halves are solved to their optimum, so the error never rises but by extrapolating beyond the new factors, which
    halves the looks or better; a step that went too far is taken back (Ang and Gillis 2019, Neural Comput. 31, 417).
    """
    best: tuple[Vector, Sums] | None = None
    at = improved = start
    errors: list[float] = []
    reach, ceiling = _REACH, 1.0
    for _ in range(max_iter):
        sums = look(at)
        errors.append(sums.error)
        plain = at is improved
        if best is not None and not sums.error < best[1].error:
            if plain or sums.error == best[1].error:  # the optimum, to rounding
                return Alternated(*best, tuple(errors), converged=True)
            ceiling, reach, at = reach, reach / _RETREAT, improved
            continue
        gain = np.inf if best is None else 1.0 - sums.error / best[1].error
        best = at, sums
        if gain < tol or not sums.error > 0:
            return Alternated(*best, tuple(errors), converged=True)
        before, improved = improved, sums.factors(at)
        at = improved if len(errors) == 1 else np.maximum(improved + reach * (improved - before), 0.0)
        reach, ceiling = min(ceiling, reach * _GROWTH), min(1.0, ceiling * (1 + _GROWTH) / 2)
    assert best is not None
    return Alternated(*best, tuple(errors), converged=False)
