"""Channels of spectra that vary, in some windows and not in others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

import numpy as np
import xarray as xr

from refold.cube import signal_dims
from refold.errors import ParameterError
from refold.features.selection import Mask, Selection, share_of, strongest
from refold.features.xrays.lines import USUAL_RESOLUTION, line_energies, resolution_at

Window = tuple[float, float]
_EV = {"eV": 1.0, "keV": 1e3, "meV": 1e-3, "MeV": 1e6}
_WIDE = 3.0  # resolutions
_RESOLUTION = "eds_energy_resolution_MnKa"


def _pairs(windows: Sequence[Sequence[float]]) -> list[Window]:
    return [(float(low), float(high)) for low, high in windows]


class ChannelSelection(Selection):
    """Keep the channels of spectra that vary over the scan, within windows and without others.

    Parameters
    ----------
    threshold : float
        Keep channels whose variance is larger, in squared units of the cube, as scikit-learn's `VarianceThreshold`.
    keep : float, optional
        Of the channels in the windows, keep at most this share, those that vary most.
    include, exclude : sequence, optional
        Windows to look into, and windows to leave out: pairs ``(low, high)`` in the units of the axis, both ends
        included; and for X-ray spectra also elements, ``"Cu"``, or some lines of one, ``"Cu_Ka"`` or ``"Cu_L"``, each
        with a window about it. So ``exclude=["Cu", (0, 0.2)]`` leaves out the grid and the noise peak.
    width : float, optional
        Width of the window about a line, in the units of the axis. By default three times the resolution at its energy
        (full width at half maximum), which also covers tails and an axis that is some ten eV off, for a detector with
        the resolution that the scan states, or else 130 eV at Mn Kα.

    Attributes
    ----------
    mask_ : xarray.DataArray
        Over the signal dims: which channels are kept.
    deviation_, mean_ : xarray.DataArray
        Over the signal dims: standard deviation and mean.
    included_, excluded_ : list of tuple
        The windows, lines and all, in the units of the axis.
    n_features_ : int
        Channels kept.

    Notes
    -----
    Of equal variances those first on the axis are kept. A channel that never varies is never kept. For spectra of equal
    totals use `refold.normalise` before.

    Examples
    --------
    >>> import numpy as np, refold
    >>> counts = np.random.default_rng(0).poisson([0, 9, 3, 1, 5], (6, 7, 5))
    >>> energy = (np.arange(5) * 0.01, {"units": "keV"})
    >>> cube = refold.as_cube(counts, signal="energy", coords={"energy": energy})
    >>> model = ChannelSelection(exclude=[(0.035, 0.1)]).fit(cube)
    >>> model.transform(cube).energy.values
    array([0.01, 0.02, 0.03])
    """

    _clip = False
    _fitted: ClassVar[dict[str, Callable[[Any], Any]]] = {"included_": _pairs, "excluded_": _pairs}

    included_: list[Window]
    excluded_: list[Window]

    def __init__(
        self,
        threshold: float = 0.0,
        *,
        keep: float | None = None,
        include: Sequence[Any] | None = None,
        exclude: Sequence[Any] | None = None,
        width: float | None = None,
    ) -> None:
        self.threshold = threshold
        self.keep = keep
        self.include = include
        self.exclude = exclude
        self.width = width

    def _choose(self, cube: xr.DataArray, varies: Mask) -> Mask:
        if not self.threshold >= 0:
            raise ParameterError(f"threshold={self.threshold!r}", "a variance of 0 or more", "0 keeps all that varies")
        allowed = np.ones(varies.shape, dtype=bool)
        self.included_ = self._windows(cube, "include")
        self.excluded_ = self._windows(cube, "exclude")
        if self.include is not None:
            allowed &= _within(cube, self.included_)
        if self.exclude:
            allowed &= ~_within(cube, self.excluded_)
        variance = self.deviation_.values**2
        kept = allowed & varies & (variance > self.threshold)
        if self.keep is None:
            return kept
        return strongest(variance, kept, max(1, round(share_of("keep", self.keep) * int(allowed.sum()))))

    def _windows(self, cube: xr.DataArray, option: str) -> list[Window]:
        """Read the windows of an option; of an element one for each of its lines."""
        given = getattr(self, option)
        if isinstance(given, str) or not isinstance(given, Iterable | None):
            raise ParameterError(f"{option}={given!r}", "a list of windows and elements", f"try {option}=[{given!r}]")
        windows = []
        for part in given or ():
            windows += self._about_lines(cube, part) if isinstance(part, str) else [_window(option, part)]
        return windows

    def _about_lines(self, cube: xr.DataArray, name: str) -> list[Window]:
        axis = _axis(cube)
        units = axis.attrs.get("units")
        if units not in _EV:
            remedy = "give windows as (low, high), or say the units: cube.energy.attrs['units'] = 'keV'"
            raise ParameterError(f"{name!r} on an axis in {units!r}", f"one of {', '.join(_EV)}", remedy)
        if self.width is not None and not self.width > 0:
            raise ParameterError(f"width={self.width!r}", "a number above 0", "leave it out for the detector's")
        resolution = float(cube.attrs.get(_RESOLUTION) or USUAL_RESOLUTION)
        windows = []
        for energy in line_energies(name).values():
            at = energy / _EV[units]
            wide = _WIDE * resolution_at(energy, resolution) / _EV[units] if self.width is None else self.width
            windows.append((at - wide / 2, at + wide / 2))
        return windows


def _axis(cube: xr.DataArray) -> xr.DataArray:
    """The one signal coordinate, in numbers."""
    dims = signal_dims(cube)
    if len(dims) != 1 or cube[dims[0]].dtype.kind not in "iuf":
        raise ParameterError(f"windows on signal dims {dims}", "one dim of numbers", "use it on a cube of spectra")
    return cube[dims[0]]


def _window(option: str, pair: Any) -> Window:
    try:
        low, high = sorted(float(number) for number in pair)
    except (TypeError, ValueError) as error:
        wanted = "pairs (low, high) in the units of the axis, or names as 'Cu' or 'Cu_Ka'"
        raise ParameterError(f"{pair!r} in {option}", wanted, f"change {option}") from error
    if np.isnan(low) or np.isnan(high):
        raise ParameterError(f"{pair!r} in {option}", "numbers", f"change {option}")
    return low, high


def _within(cube: xr.DataArray, windows: Sequence[Window]) -> Mask:
    values = _axis(cube).values
    inside = np.zeros(values.shape, dtype=bool)
    for low, high in windows:
        inside |= (values >= low) & (values <= high)
    return inside
