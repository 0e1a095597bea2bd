"""Signal pixels of patterns that change most from one probe position to the next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import xarray as xr

from refold.errors import DataError, ParameterError
from refold.features.beam import Beam, find_beam, inside, read_beam
from refold.features.plane import plane_of, spacing
from refold.features.selection import Mask, Selection, share_of, strongest

_GROWN = 1.25  # the beam that was found is masked with its skirt: a quarter more, and one pixel at least


class DeviationSelection(Selection):
    """Keep the signal pixels whose standard deviation over the scan is largest.

    Parameters
    ----------
    keep : float
        Share of the signal pixels outside of the beam to keep.
    percentile : float, optional
        Keep what is at this percentile of the deviations outside of the beam or above, as `numpy.percentile` gives it;
        ``keep`` is then not looked at.
    log : bool
        Whether to select by, and give, log(1 + counts), so that faint reflections count beside bright ones.
    beam : {"find"}, None, or sequence of float
        The direct beam, which is left out: found as `find_beam` does and taken a quarter larger, at least one pixel;
        none; or ``(cy, cx, radius)`` in signal coordinates, which is taken as it is.

    Attributes
    ----------
    mask_ : xarray.DataArray
        Over the signal dims: which pixels are kept.
    deviation_, mean_ : xarray.DataArray
        Over the signal dims: standard deviation and mean of the values, of their logarithm with ``log``.
    beam_ : Beam or None
        The circle that was left out.
    n_features_ : int
        Signal pixels kept.

    Notes
    -----
    Negative counts, which are read-out noise, are taken as 0 first. A signal pixel that never varies is never kept.
    Of equal deviations those first in C order are kept, so that as many are kept as ``keep`` says; with ``percentile``
    all of them are. One sweep, which is also enough for the beam: with ``log`` it is looked for in the geometric mean
    pattern, in which reflections that come and go are fainter than in the mean.

    Examples
    --------
    >>> import numpy as np, refold
    >>> counts = np.random.default_rng(0).poisson(np.arange(16.0).reshape(4, 4), (5, 6, 4, 4))
    >>> cube = refold.as_cube(counts, signal=("ky", "kx"))
    >>> model = DeviationSelection(keep=0.25, log=False, beam=None).fit(cube)
    >>> features = model.transform(cube)
    >>> dict(features.sizes), features.ky.values.tolist()
    ({'y': 5, 'x': 6, 'feature': 4}, [3, 3, 3, 3])
    >>> model.fold(features.mean(("y", "x"))).dims
    ('ky', 'kx')
    """

    _fitted: ClassVar[dict[str, Callable[[Any], Any]]] = {"beam_": lambda beam: None if beam is None else Beam(*beam)}

    beam_: Beam | None

    def __init__(
        self, keep: float = 0.4, *, percentile: float | None = None, log: bool = True, beam: Any = "find"
    ) -> None:
        self.keep = keep
        self.percentile = percentile
        self.log = log
        self.beam = beam

    def _choose(self, cube: xr.DataArray, varies: Mask) -> Mask:
        outside = self._outside(cube)
        deviation = self.deviation_.values
        if self.percentile is None:
            n = max(1, round(share_of("keep", self.keep) * int(outside.sum())))
            return strongest(deviation, outside & varies, n)
        if not 0 <= self.percentile <= 100:
            raise ParameterError(f"percentile={self.percentile!r}", "a number from 0 to 100", "try percentile=60")
        enough: Mask = deviation >= np.percentile(deviation[outside], self.percentile)
        return outside & varies & enough

    def _outside(self, cube: xr.DataArray) -> Mask:
        """Find or take the beam, and mark what is not in it."""
        self.beam_ = self._beam(cube)
        if self.beam_ is None:
            return np.ones(self.deviation_.shape, dtype=bool)
        outside = ~inside(cube, self.beam_)
        if not outside.any():
            raise DataError(f"{self.beam_}, which covers all patterns", "a smaller one", "give beam=(cy, cx, radius)")
        return outside

    def _beam(self, cube: xr.DataArray) -> Beam | None:
        if self.beam is None:
            return None
        plane_of(cube)
        if not (isinstance(self.beam, str) and self.beam == "find"):
            return read_beam(self.beam)
        mean = self.mean_.copy(data=np.expm1(self.mean_.values)) if self.log else self.mean_
        found = find_beam(mean)
        return found._replace(radius=max(_GROWN * found.radius, found.radius + spacing(cube)))
