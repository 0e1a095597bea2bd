"""Spikes (cosmic rays, X-rays, hot pixels of a moment) found in spectra and replaced, lazily."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Self

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from refold.cube import check_cube, navigation_dims
from refold.engine import sweep
from refold.errors import CubeError, ParameterError
from refold.prepare.blocks import check_number, is_count, lay, rechunked, with_data
from refold.prepare.evenly import spectral_dim
from refold.prepare.mending import Finder, Interpolate, Mend
from refold.prepare.spike_heights import HeightCounts, Mask, Noise, as_histogram, height_counts, masked_channels

Threshold = float | Literal["auto"]


class Spikes(BaseEstimator):  # type: ignore[misc] # scikit-learn ships no types
    """Which channels of which pixels are spikes, and cubes without them.

    Parameters
    ----------
    threshold : float or "auto"
        Height from which on a channel is a spike, as on the axis of `refold.spike_histogram`; chosen from that by
        default, which takes a sweep.
    width : int
        Most channels of a spike.
    noise : {"poisson", "white"}
        What deviation the noise has: the root of the counts, or the same everywhere.
    margin : int
        Channels on either side of a spike that are replaced with it. A pixel of which none would be left stays as it
        is.
    interpolate : {"linear", "spline"}
        A line between the channels beside a spike, or a cubic through two on either side.
    add_noise : bool
        Whether to draw counts about that (``"poisson"``), or to add a normal deviation as large as the pixel's
        channels have between them (``"white"``).
    mask : (float, float) or array of bool, optional
        Channels in which there are no spikes: a window in the units of the axis, such as that of the zero loss, or
        True for each.
    random_state : int
        Of the noise, 0 or more; that depends on it and on the pixel's own values, not on how the cube is cut.

    Attributes
    ----------
    threshold_ : float
        The height.
    histogram_ : xarray.Dataset or None
        As of `refold.spike_histogram`; None if a threshold was given.
    skipped_ : numpy.ndarray of bool
        Shape (channel,): masked, or a line of the spectrum.
    """

    def __init__(
        self,
        *,
        threshold: Threshold = "auto",
        width: int = 3,
        noise: Noise = "poisson",
        margin: int = 1,
        interpolate: Interpolate = "linear",
        add_noise: bool = False,
        mask: Mask = None,
        random_state: int = 0,
    ) -> None:
        self.threshold = threshold
        self.width = width
        self.noise = noise
        self.margin = margin
        self.interpolate = interpolate
        self.add_noise = add_noise
        self.mask = mask
        self.random_state = random_state

    def visitors(self, cube: xr.DataArray) -> tuple[HeightCounts, ...]:
        """What must see the whole cube: counts of heights, or nothing where the threshold is given."""
        cube = check_cube(cube)
        counts = height_counts(cube, self.width, self.noise)
        masked_channels(cube, self.mask)
        if self.interpolate not in ("linear", "spline"):
            raise ParameterError(f"interpolate={self.interpolate!r}", "'linear' or 'spline'", "choose one of them")
        check_number("margin", self.margin, "a whole number, 0 or more", "change it", fits=is_count)
        if self.add_noise:
            check_number("random_state", self.random_state, "a whole number, 0 or more", "change it", fits=is_count)
        if isinstance(self.threshold, str) and self.threshold == "auto":
            return (counts,)
        wanted = "'auto' or a height above 0"
        check_number("threshold", self.threshold, wanted, "change it", fits=lambda height: height > 0)
        return ()

    def settle(self, cube: xr.DataArray, results: tuple[Any, ...]) -> Self:
        """Take what the visitors found."""
        masked = masked_channels(cube, self.mask)
        self.histogram_ = as_histogram(cube[spectral_dim(cube)], results[0], self.noise, masked) if results else None
        if self.histogram_ is None:
            self.threshold_, self.skipped_ = float(self.threshold), masked
        else:
            self.threshold_ = float(self.histogram_["count"].attrs["threshold"])
            self.skipped_ = masked | self.histogram_["line"].values
        return self

    def fit(self, cube: xr.DataArray, y: None = None, **options: Any) -> Self:
        """Choose the threshold, in one sweep; in none where it is given.

        Parameters
        ----------
        cube : xarray.DataArray
            Spectra, in order along their axis, which need not be even.
        y : None
            Ignored; scikit-learn's convention.
        **options
            Of `refold.sweep`.

        Returns
        -------
        Spikes
            Itself.

        Raises
        ------
        CubeError
            If there are several signal dims.
        ParameterError
            If an option does not fit.
        """
        visitors = self.visitors(cube)
        return self.settle(cube, sweep(cube, *visitors, label="spikes", **options) if visitors else ())

    def transform(self, cube: xr.DataArray) -> xr.DataArray:
        """Replace the spikes, lazily; all other values stay as they are, bit for bit.

        Parameters
        ----------
        cube : xarray.DataArray
            Spectra with the channels of those that were fitted.

        Returns
        -------
        xarray.DataArray
            Of the same type, integers rounded; lazy if the cube was. Pixels that are not valid are left alone.

        Raises
        ------
        CubeError
            If it has other channels.
        """
        cube = self._checked(cube)
        seed = int(self.random_state) if self.add_noise else 0
        step = Mend(self._finder, cube.dtype.newbyteorder("="), self.interpolate, self.add_noise, seed)
        return with_data(cube, lay(cube, step)).rename(cube.name)

    def count(self, cube: xr.DataArray) -> xr.DataArray:
        """Count the channels that are replaced in each pixel, lazily.

        Parameters
        ----------
        cube : xarray.DataArray
            The cube as it is given to `transform`. To have both from one read, compute them together.

        Returns
        -------
        xarray.DataArray
            ``(*navigation)``, int32, margins included; lazy if the cube was.
        """
        cube = self._checked(cube)
        dims = navigation_dims(cube)
        coords = {key: coord for key, coord in cube.coords.items() if set(coord.dims) <= set(dims)}
        count = _Count(self._finder)
        data: Any = count(cube.values) if cube.chunks is None else da.map_blocks(
            count, cube.data, dtype=np.int32, drop_axis=cube.ndim - 1, meta=np.empty((0,) * len(dims), np.int32),
            token="refold-count-spikes",
        )  # fmt: skip
        attrs = {"long_name": "channels replaced", "units": "1"}
        return xr.DataArray(data, coords, dims, "replaced", attrs)

    def _checked(self, cube: xr.DataArray) -> xr.DataArray:
        check_is_fitted(self)
        cube = check_cube(cube)
        dim = spectral_dim(cube)
        if cube.sizes[dim] != len(self.skipped_):
            remedy = "crop or rebin after the spikes are removed, or fit again"
            raise CubeError(f"{cube.sizes[dim]} channels", f"{len(self.skipped_)}, as were fitted", remedy)
        return rechunked(cube, {dim: -1})

    @property
    def _finder(self) -> Finder:
        skipped = tuple(np.flatnonzero(self.skipped_).tolist())
        margin = int(min(self.margin, len(self.skipped_)))
        return Finder(self.threshold_, skipped, int(self.width), margin, self.noise == "poisson")


@dataclass(frozen=True)
class _Count:
    """How many channels of each pixel of a block are replaced."""

    finder: Finder

    def __call__(self, block: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
        rows = np.ascontiguousarray(block.reshape(-1, block.shape[-1]))
        return np.asarray(self.finder(rows)[0].sum(axis=1), np.int32).reshape(block.shape[:-1])


@dataclass(frozen=True)
class Despiked:
    """A cube without spikes, and where they were.

    Parameters
    ----------
    cube : xarray.DataArray
        The cube, spikes replaced; lazy if it was.
    replaced : xarray.DataArray
        ``(*navigation)``, int32: channels replaced in each pixel; lazy if the cube was. To have both from one read,
        compute them together: ``dask.compute(despiked.cube, despiked.replaced)``.
    threshold : float
        Height from which on a channel was a spike.
    histogram : xarray.Dataset or None
        What an automatic threshold was chosen from.
    """

    cube: xr.DataArray
    replaced: xr.DataArray
    threshold: float
    histogram: xr.Dataset | None = field(default=None, repr=False)


def remove_spikes(
    cube: xr.DataArray,
    threshold: Threshold = "auto",
    *,
    width: int = 3,
    noise: Noise = "poisson",
    margin: int = 1,
    interpolate: Interpolate = "linear",
    add_noise: bool = False,
    mask: Mask = None,
    random_state: int = 0,
    **options: Any,
) -> Despiked:
    """Replace spikes of spectra by what stands beside them, lazily.

    Parameters
    ----------
    cube : xarray.DataArray
        Spectra, in order along their axis, which need not be even.
    threshold, width, noise, margin, interpolate, add_noise, mask, random_state
        As of `Spikes`.
    **options
        Of `refold.sweep`.

    Returns
    -------
    Despiked
        ``cube`` and ``replaced``, lazy; ``threshold``, and the ``histogram`` it was chosen from.

    Raises
    ------
    CubeError
        If there are several signal dims.
    ParameterError
        If an option does not fit.

    Notes
    -----
    One sweep for an automatic threshold, none for a given one; the spikes are replaced as the cube is read.

    Examples
    --------
    >>> from refold.cube import as_cube
    >>> counts = np.full((1, 3, 6), 20, "uint16")
    >>> counts[0, 1, 3] = 900
    >>> mended = remove_spikes(as_cube(counts, signal="energy"), threshold=8, margin=0)
    >>> mended.cube.values[0, 1].tolist(), mended.replaced.values.tolist()
    ([20, 20, 20, 20, 20, 20], [[0, 1, 0]])
    """
    model = Spikes(
        threshold=threshold,
        width=width,
        noise=noise,
        margin=margin,
        interpolate=interpolate,
        add_noise=add_noise,
        mask=mask,
        random_state=random_state,
    ).fit(cube, **options)
    return Despiked(model.transform(cube), model.count(cube), model.threshold_, model.histogram_)
