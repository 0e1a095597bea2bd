"""Mean signals of clusters after edits: exactly, while they are made of whole clusters of the run, else estimated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from refold.errors import ParameterError
from refold.report.calibration import Axis
from refold.report.signals import Signals, cubes_of

__all__ = ["Mean", "Means", "Norm", "displayed", "normalised"]

Floats = NDArray[np.float64]
Norm = Literal["none", "peak", "area"]
Shown = Literal["linear", "sqrt", "log"]


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean signal.

    Attributes
    ----------
    values : numpy.ndarray
        Float64 (channel,) or (row, column).
    pixels : float
        Of which it is the mean.
    exact : bool
        Whether it is that; if not, it was put together of the means of the clusters that its pixels were in.
    """

    values: Floats
    pixels: float
    exact: bool


class Means:
    """Mean signals of a run, one cube of it.

    Parameters
    ----------
    run : xarray.Dataset
        With ``cluster_mean``.
    cube : str, optional
        Of a run of several.
    """

    def __init__(self, run: xr.Dataset, cube: str | None = None) -> None:
        self.signals = Signals.of(run, cube=cube)
        sizes = run["cluster_size"].values if "cluster_size" in run else None
        self.sizes = {label: float(sizes[place]) for place, label in enumerate(self.signals.ids) if sizes is not None}

    @classmethod
    def names(cls, run: xr.Dataset) -> tuple[str, ...]:
        """Cubes whose means a run has; one without a name for the only one."""
        return cubes_of(run)

    @property
    def axes(self) -> tuple[Axis, ...]:
        """One or two."""
        return self.signals.axes

    def pooled(self, parts: dict[int, int], whole: dict[int, int]) -> Mean | None:
        """Mean over pixels, by the clusters of the run that they are in.

        Parameters
        ----------
        parts : dict of int to int
            Pixels by cluster of the run; -1 for noise.
        whole : dict of int to int
            All the pixels of these clusters, counted likewise.

        Returns
        -------
        Mean or None
            None where the run knows no mean of any of them.
        """
        place = {label: i for i, label in enumerate(self.signals.ids)}
        known = {label: n for label, n in parts.items() if n and label in place}
        if not known:
            return None
        exact = known.keys() == {label for label, n in parts.items() if n} and all(
            whole.get(label) == n for label, n in known.items()
        )
        pixels = {label: self.sizes.get(label, float(n)) if exact else float(n) for label, n in known.items()}
        total = sum(pixels.values())
        values = sum(self.signals.mean[place[label]] * (n / total) for label, n in pixels.items())
        return Mean(np.asarray(values, np.float64), total, exact)

    def like(self, signal: xr.DataArray, pixels: float) -> Mean:
        """Bring a mean signal that was read elsewhere into the same form: the same channels, the same places.

        Parameters
        ----------
        signal : xarray.DataArray
            Of signal dims only.
        pixels : float
            Of which it is the mean.
        """
        found = Signals.of(xr.Dataset({"cluster_mean": signal.expand_dims("cluster")}))
        return Mean(found.mean[0], pixels, exact=True)


def normalised(values: Floats, norm: Norm, part: slice = slice(None)) -> Floats:
    """Scale a signal.

    Parameters
    ----------
    values : numpy.ndarray
        Float64 (channel,).
    norm : {"none", "peak", "area"}
        To a largest value, or a sum, of 1.
    part : slice
        Channels that count.

    Examples
    --------
    >>> normalised(np.array([1.0, 4.0, 5.0]), "peak", slice(0, 2)).tolist()
    [0.25, 1.0, 1.25]
    """
    if norm not in get_args(Norm):
        raise ParameterError(f"norm {norm!r}", f"one of {', '.join(get_args(Norm))}", "choose one of them")
    counted = values[part]
    counted = counted[np.isfinite(counted)]
    if norm == "none" or not counted.size:
        return values
    scale = float(counted.max() if norm == "peak" else counted.sum())
    return values / scale if scale > 0 else values


def displayed(values: Floats, display: Shown) -> Floats:
    """Scale intensities for the eye: the square root, or the logarithm of 1 and the values; below zero, zero.

    Examples
    --------
    >>> displayed(np.array([-1.0, 0.0, 9.0]), "sqrt").tolist()
    [0.0, 0.0, 3.0]
    """
    if display == "linear":
        return values
    positive = np.maximum(values, 0)
    return np.sqrt(positive) if display == "sqrt" else np.log1p(positive)
