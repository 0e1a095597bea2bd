"""Whether outliers share a direction, or each goes its own way."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

Vector = npt.NDArray[np.float64]

_STARTS = 32  # rows that the search sets out from
_STEPS = 10  # of it: the convergence is cubic
_DRAWS = 20  # of either kind that a finding has to beat
_CLEARLY = 2.25  # times their mean; see docs/design/rare-phases.md
_USUAL = 0.998  # share of the typical pixels that lie less far along a direction than the rows of a group


# One thread: the matrices are small, and threads of BLAS wait for each other where another process is busy.
@threadpool_limits.wrap(limits=1, user_api="blas")  # type: ignore[untyped-decorator]  # ships no types
def shared_groups(
    directions: Vector, usual: Vector, *, least: int, most: int, rng: np.random.Generator
) -> list[npt.NDArray[np.int64]]:
    """Groups of rows that point the same way.

    Parameters
    ----------
    directions : numpy.ndarray
        Shape (row, feature): residuals of outliers, of length 1.
    usual : numpy.ndarray
        Shape (pixel, feature): those of typical pixels.
    least : int
        Fewest rows of a group.
    most : int
        Groups at most.
    rng : numpy.random.Generator
        Draws what a group has to beat.

    Returns
    -------
    list of numpy.ndarray
        Row numbers of each, the strongest group first.

    Notes
    -----
    Looked for is the direction u with the largest sum of (y u)^3 over the rows y. Noise of whatever covariance is as
    often on one side as on the other, and single outliers count for one; a phase is a shift to one side. To be taken
    for a group, the sum must clearly exceed what it is in two kinds of draws: rows turned around at random, which
    keeps all correlations of the noise; and each feature shuffled over the rows, which keeps how skewed it is.
    """
    left = np.arange(len(directions))
    groups: list[npt.NDArray[np.int64]] = []
    while len(groups) < most and len(left) >= 2 * least:
        rows = directions[left]
        gram = rows @ rows.T
        strength, mix = _pursue(gram)
        if strength <= _CLEARLY * _chance(rows, gram, rng):
            break
        axis = mix @ rows
        axis /= np.linalg.norm(axis)
        inside = rows @ axis > np.quantile(np.abs(usual @ axis), _USUAL)
        if inside.sum() < least:
            break
        groups.append(left[inside])
        left = left[~inside]
    return groups


def _chance(rows: Vector, gram: Vector, rng: np.random.Generator) -> float:
    """The sum of cubes that chance brings about."""
    found = []
    for _ in range(_DRAWS):
        signs = rng.choice([-1.0, 1.0], len(rows))
        shuffled = rng.permuted(rows, axis=0)
        found.append((_pursue(gram * signs * signs[:, None])[0], _pursue(shuffled @ shuffled.T)[0]))
    return float(np.max(np.mean(found, axis=0)))


def _pursue(gram: npt.NDArray[Any]) -> tuple[float, Vector]:
    """The largest sum of cubes along a direction, and the mix of rows that is this direction.

    The power method for a symmetric tensor of third order (Anandkumar et al. 2014, J. Mach. Learn. Res. 15, 2773),
    from many starts at once, on the rows' products alone.
    """
    gram = gram.astype(np.float32)
    starts = np.argsort(-(gram**3).sum(axis=0), kind="stable")[:_STARTS]
    mix = np.zeros((len(gram), len(starts)), np.float32)
    mix[starts, np.arange(len(starts))] = 1
    along = gram[:, starts]
    for _ in range(_STEPS):
        mix = along**2
        lengths = np.sqrt(np.maximum(np.einsum("ij,ij->j", mix, gram @ mix), 1e-30))
        mix /= lengths
        along = gram @ mix
    sums = (along**3).sum(axis=0)
    best = int(np.argmax(sums))
    return float(sums[best]), mix[:, best].astype(np.float64)
