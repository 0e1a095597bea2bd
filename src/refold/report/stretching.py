"""Bands of a cube as colours: which bands, and which of their values are black and white."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from refold.cube import ROLE, check_cube, signal_dims
from refold.engine import quantiles
from refold.errors import ParameterError
from refold.report.calibration import METRE, Axis, format_number
from refold.report.views import load

__all__ = ["CHANNEL", "Bands", "Stretched", "bands_of", "coloured", "composite", "stretch", "stretched"]

Selection = str | float | Sequence[float]

CHANNEL = "rgba"
"""The dim of a picture's colours: red, green, blue, and how opaque."""
NAMED = {"true": (665.0, 560.0, 490.0), "false": (842.0, 665.0, 560.0)}
"""Nanometres shown as red, green and blue: the bands 4, 3, 2 and 8, 4, 3 of Sentinel-2."""
_FAR = 50.0  # nanometres; a band further from a colour does not show it
_KEPT = 1 << 24  # values of bands that are kept in memory while a picture is made of them


@dataclass(frozen=True, slots=True)
class Bands:
    """Bands of a cube that were chosen to be shown.

    Attributes
    ----------
    cube : xarray.DataArray
        One or three of its bands, as lazy as it is.
    dim : str
        The signal dim.
    label : str
        Which bands, in words.
    """

    cube: xr.DataArray
    dim: str
    label: str


@dataclass(frozen=True, slots=True)
class Stretched:
    """Bands, and the values that become black and white.

    Attributes
    ----------
    bands : Bands
    limits : numpy.ndarray
        Shape (band, 2); NaN where no pixel is valid.
    """

    bands: Bands
    limits: NDArray[np.float64]

    @property
    def first(self) -> xr.DataArray:
        """The first band, on the navigation dims alone."""
        return self.bands.cube.isel({self.bands.dim: 0}, drop=True)


def bands_of(cube: xr.DataArray, bands: Selection = "true") -> Bands:
    """Choose the bands nearest to some positions along the signal, lazily.

    Parameters
    ----------
    cube : xarray.DataArray
        With one signal dim.
    bands : {"true", "false"}, or one or three numbers
        As for `composite`.

    Returns
    -------
    Bands

    Raises
    ------
    ParameterError
        As for `composite`.
    """
    cube = check_cube(cube)
    dims = signal_dims(cube)
    if len(dims) != 1:
        raise ParameterError(
            f"signal dims {dims}", "one, along which bands lie", "make spectra of it, or pictures by virtual detectors"
        )
    axis = Axis.of(cube, dims[0])
    places = _named(cube, axis, bands) if isinstance(bands, str) else _nearest(axis, bands)
    found = ", ".join(f"{float(axis.values[place]):.4g}" for place in places)
    label = f"{found} {axis.unit}" if axis.unit else f"{axis.name} {found}"
    return Bands(cube.isel({axis.name: places}), axis.name, label)


def _named(cube: xr.DataArray, axis: Axis, name: str) -> list[int]:
    """The bands that show red, green and blue; those that the file calls bad do not."""
    if name not in NAMED:
        raise ParameterError(f"bands={name!r}", f"one of {sorted(NAMED)}, or numbers", "name the bands by position")
    remedy = f"say which positions of {axis.name} are red, green and blue, as in bands=(r, g, b)"
    if axis.unit not in METRE:
        raise ParameterError(f"{axis.label}, which is no wavelength", "wavelengths in nm or µm", remedy)
    nanometres = axis.values * METRE[axis.unit] * 1e9
    distance = np.abs(nanometres - np.array(NAMED[name])[:, None])
    if "good" in cube.coords and cube.coords["good"].dims == (axis.name,):
        distance[:, ~np.asarray(cube.coords["good"].values, bool)] = np.inf
    if distance.min(axis=1).max() > _FAR:
        found = f"wavelengths from {nanometres.min():.0f} to {nanometres.max():.0f} nm"
        raise ParameterError(found, f"good bands near {NAMED[name]} nm, for {name} colour", remedy)
    return [int(place) for place in distance.argmin(axis=1)]


def _nearest(axis: Axis, bands: float | Sequence[float]) -> list[int]:
    wanted = _numbers(bands)
    if wanted.shape not in {(1,), (3,)}:
        raise ParameterError(f"bands={bands!r}", "one number, or three for red, green, blue", "change their number")
    gaps = np.abs(np.diff(np.sort(axis.values)))
    distance = np.abs(axis.values - wanted[:, None])
    if not distance.min(axis=1).max() <= (gaps.max() if gaps.size else np.inf):
        low, high = format_number(axis.values.min()), format_number(axis.values.max())
        raise ParameterError(f"bands={bands!r}", f"{axis.label} from {low} to {high}", "choose positions within")
    return [int(place) for place in distance.argmin(axis=1)]


def stretched(cube: xr.DataArray, bands: Selection, percent: Sequence[float]) -> Stretched:
    """Choose bands, and find their black and white; few enough values are read once, and stay in memory.

    Parameters
    ----------
    cube, bands, percent
        As for `composite`.

    Returns
    -------
    Stretched
    """
    low, high = _shares(percent)
    chosen = bands_of(cube, bands)
    if chosen.cube.size <= _KEPT:
        chosen = Bands(chosen.cube.copy(deep=False, data=load(chosen.cube)), chosen.dim, chosen.label)
    limits = quantiles(chosen.cube, [low, high], sweeps=6)
    return Stretched(chosen, np.ascontiguousarray(limits.T))


def coloured(picture: xr.DataArray) -> Stretched:
    """Take what `composite` made for bands again, with nothing left to stretch."""
    opaque = picture.isel({CHANNEL: 3}, drop=True) > 0
    bands = Bands(picture.isel({CHANNEL: slice(3)}).where(opaque), CHANNEL, str(picture.attrs.get("bands", "")))
    return Stretched(bands, np.array([[0.0, 255.0]] * 3))


def _shares(percent: Sequence[float]) -> tuple[float, float]:
    shares = _numbers(percent)
    if shares.shape != (2,) or not 0 <= shares[0] < shares[1] <= 100:
        raise ParameterError(f"percent={percent!r}", "two percentiles between 0 and 100, rising", "write (2, 98)")
    return float(shares[0]) / 100, float(shares[1]) / 100


def _numbers(given: Any) -> NDArray[np.float64]:
    """Read numbers; none where there are others than numbers."""
    try:
        return np.atleast_1d(np.asarray(given, np.float64))
    except (TypeError, ValueError):
        return np.empty(0)


def stretch(values: NDArray[Any], limits: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Turn bands into colours.

    Parameters
    ----------
    values : numpy.ndarray
        Shape (..., band), one or three bands.
    limits : numpy.ndarray
        Shape (band, 2): what becomes black and white. Where they are one number, that is grey.

    Returns
    -------
    numpy.ndarray
        Uint8, shape (..., 4): red, green, blue and opacity; all 0 where a band is not finite.

    Examples
    --------
    >>> stretch(np.array([[0.0], [3.0], [9.0], [np.nan]]), np.array([[1.0, 5.0]])).tolist()
    [[0, 0, 0, 255], [128, 128, 128, 255], [255, 255, 255, 255], [0, 0, 0, 0]]
    """
    valid = np.isfinite(values).all(axis=-1)
    low, span = limits[:, 0], limits[:, 1] - limits[:, 0]
    picture = np.zeros((*values.shape[:-1], 4), np.uint8)
    above = np.asarray(values[valid], np.float64) - low
    share = np.where(span > 0, above / np.where(span > 0, span, 1), 0.5 + 0.5 * np.sign(above))
    picture[valid, :3] = np.round(255 * np.clip(share, 0, 1))
    picture[valid, 3] = 255
    return picture


def composite(cube: xr.DataArray, bands: Selection = "true", *, percent: Sequence[float] = (2, 98)) -> xr.DataArray:
    """Make the colours of a picture of a cube, pixel by pixel, with percentile stretch.

    Parameters
    ----------
    cube : xarray.DataArray
        With one signal dim, as of reflectance, of spectra or of scores.
    bands : {"true", "false"}, or one or three numbers
        ``"true"``: the bands nearest to 665, 560 and 490 nm as red, green and blue; ``"false"``: 842, 665 and 560 nm,
        colour infrared. Bands that the coordinate ``good`` marks as bad are passed over. Otherwise positions along the
        signal, in its units: three for red, green and blue, one for greys.
    percent : sequence of float
        Percentiles of each band that become black and white.

    Returns
    -------
    xarray.DataArray
        Uint8, dims (*navigation, rgba), on the cube's coordinates and as lazy as the cube: red, green, blue, and 255
        where a pixel is shown. Pixels with anything in these bands that is not finite are 0 throughout. The attributes
        ``bands``, ``low`` and ``high`` say what is shown.

    Raises
    ------
    ParameterError
        If there are no such bands, or percentiles.

    Notes
    -----
    Percentiles are those of all valid pixels, as `numpy.percentile` has them. Of a lazy cube only the bands shown are
    computed: once to find the percentiles while they are 16 million values or fewer, else in one sweep for 8-bit, two
    for 16-bit, three for 32-bit and six for 64-bit numbers. The picture itself is computed when it is wanted.

    Examples
    --------
    >>> import refold
    >>> phantom = refold.synthetic.reflectance((8, 9), bands=40)
    >>> picture = composite(phantom.cube)
    >>> picture.dims, picture.dtype, picture.bands
    (('y', 'x', 'rgba'), dtype('uint8'), '669.2, 561.5, 507.7 nm')
    """
    chosen = bands_of(cube, bands)
    limits = stretched(cube, bands, percent).limits
    whole = chosen.cube.chunk({chosen.dim: -1}) if chosen.cube.chunks is not None else chosen.cube
    picture: xr.DataArray = xr.apply_ufunc(
        stretch,
        whole,
        kwargs={"limits": limits},
        input_core_dims=[[chosen.dim]],
        output_core_dims=[[CHANNEL]],
        dask="parallelized",
        output_dtypes=[np.uint8],
        dask_gufunc_kwargs={"output_sizes": {CHANNEL: 4}},
    )
    picture = picture.assign_coords({CHANNEL: (CHANNEL, ["red", "green", "blue", "alpha"], {ROLE: "signal"})})
    picture.attrs = {"bands": chosen.label, "low": limits[:, 0].tolist(), "high": limits[:, 1].tolist()}
    picture.name = "picture"
    return picture
