"""What is drawn of a cluster's signal: its mean and its deviation, cube by cube, made small enough for paper."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, prod
from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from refold.errors import ParameterError, VariableError
from refold.report.calibration import Axis
from refold.report.tally import clusters_of
from refold.report.views import load

__all__ = ["BINS", "SIDE", "Display", "Signals", "choose_display", "cubes_of", "shrink"]

Display = Literal["linear", "sqrt", "log"]
Floats = NDArray[np.float64]
Places = NDArray[np.intp]

SIDE = 256
"""Largest side of a drawn pattern."""
BINS = 2048
"""Largest number of drawn channels."""
_MEAN, _STD = "cluster_mean", "cluster_std"
_SPARSEST = 16  # features fill at least one in so many pixels of the image that they are folded back to


@dataclass(frozen=True, slots=True)
class Signals:
    """Mean signals of all clusters in one cube, made small enough to draw.

    Attributes
    ----------
    ids : tuple of int
        Clusters, as `labels` numbers them.
    mean, std : numpy.ndarray
        (cluster, channel) or (cluster, row, column); `std` is None where the run has none.
    axes : tuple of Axis
        One or two.
    display, spread : {"linear", "sqrt", "log"}
        How intensities and how deviations are drawn.
    cube : str
        Name of the cube; empty for the only one.
    """

    ids: tuple[int, ...]
    mean: Floats
    std: Floats | None
    axes: tuple[Axis, ...]
    display: Display
    spread: Display = "linear"
    cube: str = ""

    @property
    def is_image(self) -> bool:
        """Whether a signal is a picture, not a line."""
        return len(self.axes) == 2

    @property
    def is_number(self) -> bool:
        """Whether a signal is one number, as of an image on the scan's grid."""
        return len(self.axes) == 1 and len(self.axes[0].values) == 1

    @classmethod
    def of(
        cls,
        dataset: xr.Dataset,
        display: Display | None = None,
        *,
        cube: str | None = None,
        side: int = SIDE,
        bins: int = BINS,
    ) -> Signals:
        """Read the mean signals of a run.

        Parameters
        ----------
        dataset : xarray.Dataset
        display : {"linear", "sqrt", "log"}, optional
            By default chosen from the spread of the values: see `choose_display`.
        cube : str, optional
            Which, in a run of several; by default the first of `cubes_of`.
        side, bins : int
            Largest side of a pattern and largest number of channels; more are averaged.

        Raises
        ------
        VariableError
            If the run has no `cluster_mean`, or none of that cube.
        ParameterError
            If there is no such display.

        Notes
        -----
        Features that remember where in a pattern they came from (two coordinates along `feature`, such as ky and kx)
        are put back there; what was not kept is NaN. Sides of length one are left out.
        """
        names = cubes_of(dataset)
        name = names[0] if cube is None and names else cube
        if name is None or name not in names:
            raise VariableError(
                found="a run without cluster_mean" if not names else f"cubes {', '.join(map(repr, names))}",
                wanted="cluster_mean (cluster, *signal)" + (f" of the cube {cube!r}" if cube else ""),
                remedy="Let refold.cluster_statistics make it.",
            )
        if display not in {None, "linear", "sqrt", "log"}:
            raise ParameterError(
                found=f"display {display!r}",
                wanted="'linear', 'sqrt' or 'log'",
                remedy="Leave it out to let it choose.",
            )
        array = dataset[_variable(_MEAN, name)].transpose("cluster", ...)
        axes, places = _geometry(array)
        shape, limit = tuple(len(a.values) for a in axes), bins if len(axes) == 1 else side
        mean, std = _read(array, shape, places, limit), None
        if _variable(_STD, name) in dataset:
            std = _read(dataset[_variable(_STD, name)].transpose(*array.dims), shape, places, limit)
        spread = "linear" if std is None else choose_display(std)
        return cls(clusters_of(array), mean, std, axes, display or choose_display(mean), display or spread, name)


def cubes_of(dataset: xr.Dataset) -> tuple[str, ...]:
    """Names of the cubes whose means a run has: those of ``cluster_mean_<cube>``; empty text for ``cluster_mean``."""
    found = [str(name) for name in dataset.data_vars if "cluster" in dataset[name].dims]
    names = [name.removeprefix(_MEAN).removeprefix("_") for name in found if f"{name}_".startswith(f"{_MEAN}_")]
    return tuple(sorted(names))


def _variable(kind: str, cube: str) -> str:
    return f"{kind}_{cube}" if cube else kind


def _geometry(array: xr.DataArray) -> tuple[tuple[Axis, ...], Places | None]:
    """Axes to draw along, and the place of each channel on them unless channels are in order already."""
    dims = [str(d) for d in array.dims[1:]]
    if len(dims) == 1 and dims[0].partition("_")[0] == "feature":  # feature_<cube> where several cubes have features
        return _features(array, dims[0])
    dims = [d for d in dims if array.sizes[d] > 1] or dims[:1]
    if dims and len(dims) <= 2:
        return tuple(Axis.of(array, d) for d in dims), None
    channels = prod(array.shape[1:])  # no way to draw it but as it lies in memory
    return (Axis("channel", np.arange(channels, dtype=float), "", 1.0),), None


def _features(array: xr.DataArray, dim: str) -> tuple[tuple[Axis, ...], Places | None]:
    """Fold features back to where their coordinates say they came from, if that is a place of its own for each."""
    n = array.sizes[dim]
    known = sorted(
        (str(name) for name, c in array.coords.items() if c.dims == (dim,) and name != dim and _clean(c)),
        reverse=True,  # ky before kx
    )
    if len(known) == 1:
        axis = Axis.of(array.swap_dims({dim: known[0]}), known[0])
        if len(np.unique(axis.values)) == n:
            return (axis,), None
    if len(known) == 2:
        (down, row), (across, column) = (_grid_of(array.coords[name]) for name in known)
        size = len(down.values) * len(across.values)
        places = row * len(across.values) + column
        if size <= _SPARSEST * n and len(np.unique(places)) == n:
            return (down, across), places
    return (Axis.of(array, dim),), None


def _clean(coordinate: xr.DataArray) -> bool:
    return coordinate.dtype.kind in "iuf" and bool(np.isfinite(coordinate.values).all())


def _grid_of(coordinate: xr.DataArray) -> tuple[Axis, Places]:
    """Axis of all values of a coordinate, in the order in which they come, and the place of each on it."""
    values, first, place = np.unique(coordinate.values, return_index=True, return_inverse=True)
    if len(first) > 1 and first[0] > first[-1]:  # the coordinate fell
        values, place = values[::-1], len(values) - 1 - place
    name = str(coordinate.name)
    grid = xr.DataArray(np.zeros(len(values)), dims=name, coords={name: (name, values, coordinate.attrs)})
    return Axis.of(grid, name), place


def _read(array: xr.DataArray, shape: tuple[int, ...], places: Places | None, limit: int) -> Floats:
    """Every cluster's signal, one at a time, as drawn."""
    drawn = []
    for i in range(array.sizes["cluster"]):
        values = load(array.isel(cluster=i)).astype(np.float64).ravel()
        if places is not None:
            image = np.full(prod(shape), np.nan)
            image[places] = values
            values = image
        drawn.append(shrink(values.reshape(shape), limit))
    return np.array(drawn).reshape(len(drawn), *(drawn[0].shape if drawn else (0,) * len(shape)))


def shrink(values: Floats, limit: int) -> Floats:
    """Average neighbours until no side is longer than `limit`; NaN is left out, unless there is nothing else."""
    if max(values.shape) <= limit:
        return values
    known = np.isfinite(values)
    total, number = np.where(known, values, 0.0), known.astype(np.float64)
    for axis, size in enumerate(values.shape):
        starts = np.arange(0, size, ceil(size / limit))
        total, number = np.add.reduceat(total, starts, axis=axis), np.add.reduceat(number, starts, axis=axis)
    return np.divide(total, number, out=np.full_like(total, np.nan), where=number > 0)


def choose_display(mean: Floats) -> Display:
    """Choose how to draw intensities: the more the strongest tower over the typical, the flatter the scale.

    Examples
    --------
    >>> choose_display(np.array([[1.0, 2.0, 3.0]])), choose_display(np.array([[1.0] * 99 + [5000.0]]))
    ('linear', 'log')
    """
    values = np.abs(mean[np.isfinite(mean)])
    values = values[values > 0]
    if not values.size:
        return "linear"
    ratio = float(values.max() / np.median(values))
    return "log" if ratio > 1000 else "sqrt" if ratio > 12 else "linear"
