"""How many landmarks a scan needs."""

from __future__ import annotations

import math

_FEWEST, _MOST = 5_000, 20_000
_PER_SIDE = 20


def landmarks_of(n_pixels: int) -> int:
    """Landmarks by default: 20 for each pixel along the side of a square scan, but 5 000 at least and 20 000 at most.

    Embedding takes seconds for some thousand landmarks, and reading the scan takes longer the larger it is. Growing
    with the square root keeps the first below the second, and leaves more for the phases of larger scans; see
    ``docs/design/landmarks.md``.

    Parameters
    ----------
    n_pixels : int
        Pixels of the scan.

    Examples
    --------
    >>> [landmarks_of(side * side) for side in (50, 96, 256, 512, 2048)]
    [2500, 5000, 5120, 10240, 20000]
    """
    return min(n_pixels, max(_FEWEST, min(_MOST, _PER_SIDE * math.isqrt(n_pixels))))
