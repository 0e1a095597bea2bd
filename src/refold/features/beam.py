"""Where the direct beam is: its centre and radius, from a mean pattern."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from refold.cube import check_cube, navigation_dims, signal_dims
from refold.engine import Moments, sweep
from refold.errors import DataError, ParameterError
from refold.features.plane import Floats, distances, plane_of

Mask = npt.NDArray[np.bool_]
_LEVELS = np.linspace(0.35, 0.85, 21)  # heights of the edge that are tried, of the brightest pixel
_BACKGROUND = 25  # percentile that is taken for it: the beam may cover most of the detector
_AS_STEADY = 0.01  # relative change of area from one height to the next; of heights as steady the uppermost is taken
_MERGED = 1.4  # times the steady radius, and a pixel: at that height the beam has run into its neighbours
_LEAST_SIDE = 5
_FILLED = 0.75  # of the circle, that must be bright: a beam stop, a crescent or a streak is no disc
_ROUND = 0.25  # how far the edge may stray, in radii, or
_STRAY = 0.75  # in pixels


class Beam(NamedTuple):
    """A circle in signal coordinates.

    Parameters
    ----------
    cy, cx : float
        Centre, along the first and the second signal dim.
    radius : float
        Radius, in the same units.
    """

    cy: float
    cx: float
    radius: float


def inside(cube: xr.DataArray, beam: Beam) -> Mask:
    """Tell which pixels of a pattern lie in the beam.

    Parameters
    ----------
    cube : xarray.DataArray
        A cube of patterns.
    beam : Beam
        The circle; its edge counts.

    Returns
    -------
    numpy.ndarray
        Shape of the signal dims.
    """
    within: Mask = distances(cube, beam) <= beam.radius
    return within


def read_beam(beam: Any) -> Beam:
    """Read a beam as a user gives it.

    Parameters
    ----------
    beam : sequence
        ``(cy, cx, radius)``.

    Returns
    -------
    Beam
        The same.

    Raises
    ------
    ParameterError
        If it is no such thing.
    """
    try:
        given = Beam(*(float(number) for number in beam))
    except (TypeError, ValueError):
        given = Beam(np.nan, np.nan, np.nan)
    if not np.isfinite(given).all() or given.radius < 0:
        wanted = "'find', None, or (cy, cx, radius) in signal coordinates, the radius not negative"
        raise ParameterError(f"beam={beam!r}", wanted, "change the beam")
    return given


def find_beam(scan: xr.DataArray) -> Beam:
    """Find the direct beam: the brightest disc of the mean pattern.

    Parameters
    ----------
    scan : xarray.DataArray
        A pattern over two dims; or a cube of patterns, whose mean is then taken in one sweep.

    Returns
    -------
    Beam
        Centre and radius in signal coordinates. The radius is that at half of the height: for a disc its rim. The
        centre may lie outside of the detector.

    Raises
    ------
    DataError
        If nothing stands out, or what stands out is no disc, as behind a beam stop.
    ParameterError
        If the pattern does not have two dims of numbers.

    Notes
    -----
    Pixels far brighter than all eight neighbours are taken for hot ones. Of the bright regions at half the brightest
    pixel's height that with the most counts is the beam. Where its area changes least with the height, as in
    py4DSTEM's probe size (Savitzky et al. 2021, Microsc. Microanal. 27, 712), its plateau is measured, and a circle is
    fitted to where neighbouring pixels cross half of that. So a beam that the detector cuts off, that is saturated, or
    that is only few pixels wide is found to a fraction of a pixel.

    Examples
    --------
    >>> ky, kx = np.mgrid[-16:16, -16:16]
    >>> pattern = 100.0 * (np.hypot(ky - 3, kx + 5) < 4.5) + 1
    >>> cube = xr.DataArray(pattern, dims=("ky", "kx"), coords={"ky": ky[:, 0], "kx": kx[0]})
    >>> [round(number) for number in find_beam(cube)]
    [3, -5, 5]
    """
    pattern = _pattern_of(scan)
    y, x = (pattern[dim].values.astype(np.float64) for dim in pattern.dims)
    order = np.argsort(y, kind="stable"), np.argsort(x, kind="stable")
    y, x = y[order[0]], x[order[1]]
    if min(pattern.shape) < _LEAST_SIDE or not (np.diff(y) > 0).all() or not (np.diff(x) > 0).all():
        wanted = f"{_LEAST_SIDE} or more different positions along each dim"
        raise DataError(f"a pattern of {pattern.shape} pixels", wanted, "give the beam as (cy, cx, radius), or None")
    image = _cleaned(pattern.values[np.ix_(*order)])
    region, level = _steady(image)
    points = _edge_points(image, region, level, y, x)
    beam = _circle(points)
    _check_disc(beam, points, image >= level, y, x)
    return beam


def _pattern_of(scan: xr.DataArray) -> xr.DataArray:
    """The mean pattern, over numbered signal dims."""
    if navigation_dims(scan):
        cube = check_cube(scan)
        dims = plane_of(cube)
        (moments,) = sweep(cube, Moments(n_features=int(np.prod([cube.sizes[dim] for dim in dims]))), label="beam")
        coords = {dim: cube[dim] for dim in dims}
        return xr.DataArray(moments.mean.reshape([cube.sizes[dim] for dim in dims]), coords, dims)
    if scan.ndim != 2:
        raise ParameterError(f"a pattern with dims {scan.dims}", "two", "give a mean pattern, or a cube of patterns")
    if set(signal_dims(scan)) == set(scan.dims):
        plane_of(scan)
    coords = {str(dim): scan[dim] for dim in scan.dims}
    return xr.DataArray(scan.values.astype(np.float64), coords, scan.dims)


def _cleaned(image: Floats) -> Floats:
    """Above the background, without hot pixels or gaps."""
    from scipy.ndimage import maximum_filter

    image = np.where(np.isfinite(image), image, 0.0)
    image = np.maximum(image, 0.0)
    image -= np.percentile(image, _BACKGROUND)
    ring = np.ones((3, 3), bool)
    ring[1, 1] = False
    image = np.minimum(image, maximum_filter(image, footprint=ring, mode="nearest"))
    if not image.max() > 0:
        raise _no_disc("a pattern in which nothing stands out")
    return image


def _steady(image: Floats) -> tuple[Mask, float]:
    """The beam's region and its height, where the region changes least with the height."""
    from scipy.ndimage import label

    top = float(image.max())
    parts, count = label(image >= top / 2)
    sums = np.bincount(parts.ravel(), image.ravel(), minlength=count + 1)
    sums[0] = 0
    peak = np.argmax(np.where(parts == sums.argmax(), image, -np.inf))
    levels = _LEVELS * image.flat[peak]
    regions = []
    for level in levels:
        parts, _ = label(image >= level)
        regions.append(parts == parts.flat[peak])
    areas = np.array([region.sum() for region in regions], np.float64)
    change = np.abs(np.gradient(np.log(areas)))
    smooth = np.convolve(np.pad(change, 2, mode="edge"), np.ones(5) / 5, mode="valid")
    best = int(np.flatnonzero(smooth <= smooth.min() + _AS_STEADY)[-1])
    # The height that is steadiest may be anywhere on the flank; the rim is at half of the plateau.
    half = float(np.median(image[regions[best]])) / 2
    parts, _ = label(image >= half)
    region = parts == parts.flat[peak]
    merged = np.sqrt(region.sum() / np.pi) > _MERGED * np.sqrt(areas[best] / np.pi) + 1
    return (regions[best], float(levels[best])) if merged else (region, half)


def _edge_points(image: Floats, region: Mask, level: float, y: Floats, x: Floats) -> Floats:
    """Where the height is crossed between a pixel of the region and its neighbour, of shape (point, 2)."""
    points = []
    for axis, along in ((0, y), (1, x)):
        values, within = np.moveaxis(image, axis, 0), np.moveaxis(region, axis, 0)
        one, other = values[:-1], values[1:]
        crossed = (within[:-1] & (other < level)) | (within[1:] & (one < level))
        at, across = np.nonzero(crossed)
        share = (level - one[crossed]) / (other[crossed] - one[crossed])
        place = along[at] + share * (along[at + 1] - along[at])
        pair = (place, x[across]) if axis == 0 else (y[across], place)
        points.append(np.stack(pair, axis=1))
    return np.concatenate(points)


def _circle(points: Floats) -> Beam:
    """Least squares (Kåsa 1976) on the points; those that stray are left out in further rounds."""
    if len(points) < 4:
        raise _no_disc(f"an edge of {len(points)} points")
    used = points
    for _ in range(4):
        middle = used.mean(axis=0)
        around = used - middle
        size = np.abs(around).max()
        matrix = np.column_stack([2 * around, np.full(len(around), size)])
        solution = np.linalg.lstsq(matrix, (around**2).sum(axis=1), rcond=None)[0]
        centre = solution[:2]
        square = solution[2] * size + (centre**2).sum()
        if not square > 0:
            raise _no_disc("an edge that is no circle")
        beam = Beam(*(float(number) for number in (*(middle + centre), np.sqrt(square))))
        stray = np.abs(np.hypot(*(points - beam[:2]).T) - beam.radius)
        kept = points[stray <= 3 * np.median(stray) + 1e-9 * beam.radius]
        if len(kept) < 4 or len(kept) == len(used):
            break
        used = kept
    return beam


def _check_disc(beam: Beam, points: Floats, bright: Mask, y: Floats, x: Floats) -> None:
    """Refuse what is no disc."""
    radius = np.hypot((y - beam.cy)[:, None], (x - beam.cx)[None, :])
    stray = float(np.median(np.abs(np.hypot(*(points - beam[:2]).T) - beam.radius)))
    step = float(max(np.median(np.diff(y)), np.median(np.diff(x))))
    within = radius <= max(beam.radius - step / 2, radius.min())  # the rim goes through pixels
    filled = float(bright[within].mean())
    if filled < _FILLED or stray > max(_ROUND * beam.radius, _STRAY * step):
        raise _no_disc(f"a bright region that fills {filled:.0%} of its circle")
    if beam.radius > np.hypot(np.ptp(y), np.ptp(x)) / 2:
        raise _no_disc(f"a disc of radius {beam.radius:.3g}, larger than the pattern")


def _no_disc(found: str) -> DataError:
    remedy = "give the beam as (cy, cx, radius) in signal coordinates, or None if it is not on the detector"
    return DataError(found, "a bright disc, the direct beam", remedy)
