"""How far channels stand out of their neighbours, counted in one sweep, and from which height on that is a spike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from refold.engine import Block, Where, sweep
from refold.errors import ParameterError
from refold.prepare.blocks import check_number, is_count
from refold.prepare.evenly import Window, channels_between, spectral_dim

Noise = Literal["poisson", "white"]
Mask = Window | npt.NDArray[np.bool_] | xr.DataArray
Array = npt.NDArray[Any]
_RANGE = {"poisson": (-8, 24), "white": (-24, 40)}  # powers of 2 that are told apart
_EXTREME, _BEYOND = 0.99, 2.75  # so many times what 99 % stay under: about 6 deviations where counts are many
_LINE = 0.01  # of the pixels: a line of a spectrum stands out in more of them, a spike does not
_BANDS, _ENOUGH = 64, 2000  # most bands of channels, with at least so many values each


@dataclass
class Heights:
    """Heights counted.

    Parameters
    ----------
    counts : numpy.ndarray of int64
        Shape (channel, bin).
    n_pixels : int
        Valid pixels.
    """

    counts: Array
    n_pixels: int


class HeightCounts:
    """Visitor: how many channels stand out by how much, by channel. Pixels that are not valid are left out.

    Parameters
    ----------
    n_channels : int
        Of the cube.
    width : int
        Most channels of a spike.
    noise : {"poisson", "white"}
        Whether heights count in deviations of counts, or as they are.
    """

    def __init__(self, n_channels: int, width: int, noise: Noise) -> None:
        self.n_channels = n_channels
        self.width = width
        self.noise: Noise = noise

    @property
    def nbytes(self) -> int:
        """Bytes of one state."""
        return 8 * self.n_channels * (len(edges_of(self.noise)) - 1)

    def start(self) -> Heights:
        """Nothing counted."""
        return Heights(np.zeros((self.n_channels, len(edges_of(self.noise)) - 1), np.int64), 0)

    def visit(self, state: Heights, block: Block, where: Where) -> None:
        """Count a block."""
        from refold.prepare.outliers import count_heights  # numba costs more to import than this package

        lowest, relative = _RANGE[self.noise][0], self.noise == "poisson"
        state.n_pixels += count_heights(block.rows, block.valid, self.width, relative, lowest, state.counts)

    def merge(self, one: Heights, other: Heights) -> Heights:
        """Add."""
        one.counts += other.counts
        one.n_pixels += other.n_pixels
        return one

    def finish(self, state: Heights) -> Heights:
        """Leave it as it is."""
        return state


def edges_of(noise: Noise) -> npt.NDArray[np.float64]:
    """Edges of the bins of heights: eight from each power of 2 to the next."""
    low, high = _RANGE[noise]
    powers = np.ldexp(1.0, np.arange(low, high))
    return np.append((powers[:, None] * 2.0 ** (np.arange(8) / 8)).ravel(), np.ldexp(1.0, high))


def choose_threshold(heights: Heights, noise: Noise, masked: Array) -> tuple[float, Array]:
    """Choose from which height on a channel is a spike, and tell which channels hold lines of the spectrum.

    Spikes are rare: 99 % of the values are noise, which says how far noise goes, and a channel that stands out in many
    pixels is a line of the spectrum, such as a sharp zero loss.

    Parameters
    ----------
    heights : Heights
        Counted.
    noise : {"poisson", "white"}
        As they were.
    masked : numpy.ndarray of bool
        Shape (channel,): left out.

    Returns
    -------
    threshold : float
        2.75 times the height that 99 % of all values stay under, in the band of channels in which that is largest; or
        times the median height, where hardly any value has one. Infinity where nothing stands out.
    lines : numpy.ndarray of bool
        Shape (channel,): where more than 1 % of the pixels, and more than one, reach as high as that in a typical band.
    """
    counts, edges = np.where(masked[:, None], 0, heights.counts), edges_of(noise)
    typical = max(_median(counts, edges), float(np.median(_extremes(counts, heights.n_pixels, edges))))
    prominent = int(np.searchsorted(edges, _BEYOND * typical))
    lines = counts[:, prominent:].sum(axis=1) > max(1.0, _LINE * heights.n_pixels)
    counts[lines] = 0
    largest = max(_median(counts, edges), float(_extremes(counts, heights.n_pixels, edges).max()))
    return (_BEYOND * largest if counts.any() else float("inf")), lines


def _extremes(counts: Array, n_pixels: int, edges: Array) -> npt.NDArray[np.float64]:
    """For each band of channels, the height that 99 % of its values stay under, those without a height among them."""
    bands = np.array_split(counts, max(1, min(_BANDS, len(counts), len(counts) * n_pixels // _ENOUGH)))
    return np.asarray([_height(band.sum(axis=0), len(band) * n_pixels, _EXTREME, edges) for band in bands])


def _median(counts: Array, edges: Array) -> float:
    """Median of all heights."""
    return _height(counts.sum(axis=0), int(counts.sum()), 0.5, edges)


def _height(counts: Array, n_values: int, share: float, edges: Array) -> float:
    """Find the edge that this share of so many values stays under, of which most may have no height; 0 if they do."""
    under = np.append(n_values - counts[::-1].cumsum()[::-1], n_values)
    return float(edges[np.argmax(under >= share * n_values)]) if under[0] < share * n_values else 0.0


def spike_histogram(
    cube: xr.DataArray, *, width: int = 3, noise: Noise = "poisson", mask: Mask = None, **options: Any
) -> xr.Dataset:
    """Count by how much channels stand out of their neighbours: what a threshold for spikes is picked from.

    Parameters
    ----------
    cube : xarray.DataArray
        Spectra, in order along their axis, which need not be even.
    width : int
        Most channels of a spike.
    noise : {"poisson", "white"}
        What deviation the noise has: the root of the counts, or the same everywhere. For ``"poisson"`` heights are
        divided by the root of what stands above and below them, so that one threshold fits dim and bright channels; for
        ``"white"`` they are in the cube's own units.
    mask : (float, float) or array of bool, optional
        Channels to leave out: a window in the units of the axis, such as that of the zero loss, or True for each.
    **options
        Of `refold.sweep`: ``memory``, ``workers``, ``client``, ``progress``.

    Returns
    -------
    xarray.Dataset
        ``count (height)``, int64: channels of all valid pixels, lines and masked ones left out, by the lower edge of
        their bin, eight bins an octave; its attribute ``threshold`` is the automatic one. ``line (channel)``: where so
        many pixels stand out that this is no spike.

    Raises
    ------
    CubeError
        If there are several signal dims.
    ParameterError
        If an option does not fit.

    Notes
    -----
    One sweep. The *height* is the smaller of the derivative's rise before and fall after, added up over at most
    ``width`` channels; so edges have none. The automatic threshold is 2.75 times the height that 99 % of the values
    stay under, in the band of channels (64 at most) in which that is largest.

    Examples
    --------
    >>> from refold.cube import as_cube
    >>> counts = np.random.default_rng(0).poisson(100, (1, 50, 64))
    >>> counts[0, 20, 30] += 1000
    >>> heights = spike_histogram(as_cube(counts, signal="energy"))
    >>> heights["count"].sel(height=slice(heights["count"].threshold, None)).sum().item()
    1
    """
    dim = spectral_dim(cube)
    visitor = height_counts(cube, width, noise)
    (heights,) = sweep(cube, visitor, label="spikes", **options)
    return as_histogram(cube[dim], heights, noise, masked_channels(cube, mask))


def height_counts(cube: xr.DataArray, width: int, noise: Noise) -> HeightCounts:
    """Make the visitor for a cube, and check what it is made from."""
    dim = spectral_dim(cube)
    if noise not in _RANGE:
        raise ParameterError(f"noise={noise!r}", "'poisson' or 'white'", "choose one of them")
    size = cube.sizes[dim]
    wanted, remedy = f"a whole number of channels, from 1 to {size - 1}", "give the most channels that a spike has"
    width = check_number("width", width, wanted, remedy, fits=lambda number: is_count(number) and 1 <= number < size)
    return HeightCounts(size, int(width), noise)


def as_histogram(axis: xr.DataArray, heights: Heights, noise: Noise, masked: Array) -> xr.Dataset:
    """Lay out what was counted."""
    threshold, lines = choose_threshold(heights, noise, masked)
    counts = heights.counts[~(lines | masked)].sum(axis=0)
    meaning = "height over its deviation" if noise == "poisson" else "height"
    count = xr.Variable("height", counts, {"long_name": "channels of all pixels", "threshold": threshold})
    edges = xr.Variable("height", edges_of(noise)[:-1], {"long_name": meaning})
    line = xr.Variable(axis.dims, lines, {"long_name": "a line of the spectrum: no spike is looked for here"})
    coords = {"height": edges, str(axis.name): axis.variable}
    return xr.Dataset({"count": count, "line": line}, coords, {"noise": noise, "pixels": heights.n_pixels})


def masked_channels(cube: xr.DataArray, mask: Mask) -> Array:
    """Read a mask of channels: a window in the units of the axis, or True for each that is left out."""
    size = cube.sizes[spectral_dim(cube)]
    masked = np.zeros(size, bool)
    if mask is None:
        return masked
    values = np.asarray(mask)
    if values.dtype.kind == "b":
        if values.shape != masked.shape:
            raise ParameterError(f"a mask of shape {values.shape}", f"one of {masked.shape}", "one for each channel")
        return values
    masked[channels_between(cube, values.tolist())] = True
    return masked
