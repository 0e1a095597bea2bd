"""Zero-loss alignment: the peak of each pixel found in one sweep, then moved to one channel, lazily."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import xarray as xr
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from refold.cube import check_cube, check_same_grid, n_pixels, navigation_dims
from refold.engine import Block, sweep
from refold.errors import CubeError, DataError, ParameterError
from refold.prepare.evenly import EvenAxis, Window, channels_between
from refold.prepare.pixel_map import PixelMap
from refold.prepare.shifting import Edges, Interpolation, shift

Method = Literal["correlation", "fit", "maximum"]
_METHODS = ("maximum", "fit", "correlation")  # in the order of their numbers in `peaks`
_EDGES = ("crop", "keep", "expand")
_INTERPOLATIONS = ("linear", "nearest")


class ZeroLoss(BaseEstimator):  # type: ignore[misc] # scikit-learn ships no types
    """Where the zero-loss peak of each pixel is, and cubes aligned by it.

    Parameters
    ----------
    method : {"correlation", "fit", "maximum"}
        ``"maximum"`` takes the highest channel. The others go below a channel from there: ``"correlation"`` to where
        the peak correlates best with its own mirror image, over twice its width at half height on either side;
        ``"fit"`` to the vertex of a parabola through the logarithms of all channels above half height, weighted by
        their counts, which is a Gaussian fitted in one step (Guo 2011, IEEE Signal Process. Mag. 28, 134). Neither
        needs a reference spectrum, so that one sweep is enough and a pixel's answer depends on that pixel alone.
    window : (float, float), optional
        Where the peak's maximum is looked for, in the units of the axis; everywhere by default.
    edges : {"crop", "keep", "expand"}
        The axis of the result: what all pixels have, the channels of the cube, or all that any pixel has.
    fill : float
        Stands where a pixel has nothing, unless cropped. NaN would make that pixel invalid for all that follows.
    interpolation : {"linear", "nearest"}
        Between channels, or shifts rounded to whole channels, which keeps counts as they are and their type.
    calibrate : bool
        Whether to put 0 of the axis where the zero loss is.

    Attributes
    ----------
    positions_ : xarray.DataArray
        ``(*navigation)``, in the units of the axis: where the peak was. NaN for invalid pixels, and where no value is
        positive or all are equal.
    shifts_ : xarray.DataArray
        ``(*navigation)``, in the units of the axis: by how much each pixel is moved.
    position_ : float
        Where the peak is after the shift, on the axis of the cube: the channel nearest to the median of the positions.

    Examples
    --------
    >>> from refold.cube import as_cube
    >>> energy = np.arange(-8.0, 9.0)
    >>> peaks = np.exp(-((energy - np.array([[0.0], [1.5], [-0.5]])) ** 2) / 8)
    >>> cube = as_cube(peaks, signal="energy", coords={"energy": energy})
    >>> model = ZeroLoss().fit(cube)
    >>> model.shifts_.values.round(2).tolist()
    [0.0, -1.5, 0.5]
    >>> model.transform(cube).isel(x=1).idxmax().item()
    0.0
    """

    def __init__(
        self,
        *,
        method: Method = "correlation",
        window: Window = None,
        edges: Edges = "crop",
        fill: float = 0.0,
        interpolation: Interpolation = "linear",
        calibrate: bool = True,
    ) -> None:
        self.method = method
        self.window = window
        self.edges = edges
        self.fill = fill
        self.interpolation = interpolation
        self.calibrate = calibrate

    def visitors(self, cube: xr.DataArray) -> tuple[PixelMap]:
        """What must see the whole cube: a map of positions, of 4 bytes a pixel."""
        cube = check_cube(cube)
        _check_choice("method", self.method, _METHODS)
        _check_choice("edges", self.edges, _EDGES)
        _check_choice("interpolation", self.interpolation, _INTERPOLATIONS)
        EvenAxis.of(cube)
        within = channels_between(cube, self.window)
        return (PixelMap(_Positions(within.start, within.stop, _METHODS.index(self.method)), n_pixels(cube)),)

    def settle(self, cube: xr.DataArray, results: tuple[Any, ...]) -> Self:
        """Take what the visitors found."""
        (channels,) = results
        if not np.isfinite(channels).any():
            raise DataError("no pixel with a peak", "a zero loss in some of them", "check the window and the cube")
        axis, found = EvenAxis.of(cube), channels.astype(np.float64)
        target = float(np.rint(np.nanmedian(found)))
        self._template = _template(cube)
        self.position_ = float(axis.position(target))
        self.positions_ = self._map(axis.position(found), "position", "position of the zero loss", axis.unit)
        self.shifts_ = self._map((target - found) * axis.step, "shift", "shift of the zero loss", axis.unit)
        return self

    def fit(self, cube: xr.DataArray, y: None = None, **options: Any) -> Self:
        """Find the peaks, in one sweep.

        Parameters
        ----------
        cube : xarray.DataArray
            Spectra on an even axis that has the zero loss, which is the highest peak of the window.
        y : None
            Ignored; scikit-learn's convention.
        **options
            Of `refold.sweep`: ``memory``, ``workers``, ``client``, ``progress``.

        Returns
        -------
        ZeroLoss
            Itself.

        Raises
        ------
        CubeError
            If the axis is not even, or there are several signal dims.
        ParameterError
            If the window has no channel, or an option is unknown.
        DataError
            If no pixel has a peak.
        """
        return self.settle(cube, sweep(cube, *self.visitors(cube), label="zero loss", **options))

    def transform(self, cube: xr.DataArray) -> xr.DataArray:
        """Move the spectra of this cube, or of one recorded with it, lazily.

        Parameters
        ----------
        cube : xarray.DataArray
            Spectra on the same navigation grid, and on an even axis in the same unit.

        Returns
        -------
        xarray.DataArray
            Lazy if the cube was. By whole channels (``"maximum"`` and ``"nearest"``) its type is kept; else float32,
            or float64 for what has 64 bits. A pixel without a peak is not moved.

        Raises
        ------
        CubeError
            If the grids or the units differ, or the axis is not even.
        DataError
            If the axis is to be cropped and the shifts leave less than half of it.
        """
        check_is_fitted(self)
        axis = EvenAxis.of(cube)
        check_same_grid({"the cube that was fitted": self._template, "this cube": cube})
        unit = str(self.shifts_.attrs.get("units", ""))
        if axis.unit and unit and axis.unit != unit:
            remedy = f"convert the axis: cube.assign_coords({axis.dim}=...)"
            raise CubeError(f"a cube along {axis.dim!r} in {axis.unit}", f"{unit}, as the zero loss", remedy)
        whole = self.method == "maximum" or self.interpolation == "nearest"
        offset = self.position_ if self.calibrate else 0.0
        return shift(cube, self.shifts_.values, whole=whole, edges=self.edges, fill=self.fill, origin=offset)

    @property
    def statistics_(self) -> dict[str, float]:
        """Mean, std, min, median and max of the shifts, in the units of the axis; and how many pixels have one."""
        check_is_fitted(self)
        return statistics_of(self.shifts_)

    def _map(self, values: npt.NDArray[Any], name: str, meaning: str, unit: str) -> xr.DataArray:
        attrs = {"long_name": meaning, **({"units": unit} if unit else {})}
        return xr.DataArray(values, self._template.coords, self._template.dims, name, attrs)


@dataclass(frozen=True)
class _Positions:
    """The position of each pixel's peak, in channels."""

    first: int
    last: int
    method: int

    def __call__(self, block: Block) -> npt.NDArray[np.float32]:
        from refold.prepare.peaks import find_peaks  # numba costs more to import than this package

        found = np.empty(block.n_pixels, np.float32)
        find_peaks(block.rows, block.valid, self.first, self.last, self.method, found)
        return found


def statistics_of(shifts: xr.DataArray) -> dict[str, float]:
    """Describe shifts in numbers; pixels without one are left out."""
    found = shifts.values[np.isfinite(shifts.values)]
    names = ("mean", "std", "min", "median", "max")
    return {name: float(getattr(np, name)(found)) for name in names} | {"pixels": float(found.size)}


def _template(cube: xr.DataArray) -> xr.DataArray:
    """The navigation grid of a cube with its coordinates, and no values."""
    dims = navigation_dims(cube)
    coords = {key: coord for key, coord in cube.coords.items() if set(coord.dims) <= set(dims)}
    shape = tuple(cube.sizes[dim] for dim in dims)
    return xr.DataArray(np.broadcast_to(np.float32(0), shape), coords, dims)


def _check_choice(name: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ParameterError(f"{name}={value!r}", " or ".join(map(repr, known)), "choose one of them")
