"""A sample of a run's pixels in the latent space, and what every picture of it shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from refold.errors import VariableError
from refold.report.canvas import Look
from refold.report.colours import ink_on
from refold.report.ellipses import Gaussians
from refold.report.tally import Tally, labels_of
from refold.report.views import load, tiles

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["DIMS", "MAX_POINTS", "Points", "badge", "latent_name", "limits_of", "point_area"]

MAX_POINTS = 50_000
"""About as many points are drawn; more only hide one another."""
_FLOOR = 150
"""A cluster keeps at least about so many of its points, however rare it is."""
DIMS = 3
"""Dimensions of an embedding that are drawn."""


@dataclass(frozen=True, slots=True)
class Points:
    """A sample of pixels in the latent space.

    Attributes
    ----------
    positions : numpy.ndarray
        (point, dimension), all finite.
    labels : numpy.ndarray
        Cluster of each, -1 for noise.
    name : str
        What the dimensions are.
    gaussians : Gaussians or None
        Shapes of the clusters in that space, where they are those of a mixture.
    """

    positions: NDArray[np.float64]
    labels: NDArray[np.int64]
    name: str
    gaussians: Gaussians | None = None

    @classmethod
    def of(cls, dataset: xr.Dataset, tally: Tally, limit: int = MAX_POINTS, seed: int = 0) -> Points:
        """Sample the embedding of a run, or its scores where there is none.

        Parameters
        ----------
        dataset : xarray.Dataset
        tally : Tally
        limit : int
            About so many points in all.
        seed : int
            Of the sample.

        Notes
        -----
        Each pixel is kept with a probability that depends on its cluster's size, so rare clusters are not lost. The
        variable is read tile by tile.
        """
        labels = labels_of(dataset)
        name = latent_name(dataset)
        if name is None:
            raise VariableError(
                found="a run with neither embedding nor scores of each pixel",
                wanted="one of them",
                remedy="Let the run embed or reduce.",
            )
        array = dataset[name]
        (dim,) = (d for d in array.dims if d not in labels.dims)
        array = array.isel({dim: slice(0, DIMS if name == "embedding" else 2)}).transpose(*labels.dims, dim)
        keep = _rates(tally, limit)
        positions, kept_labels = [], []
        for number, tile in enumerate(tiles(tuple(labels.sizes.values()), 1 << 20)):
            where = dict(zip(labels.dims, tile, strict=True))
            part = load(labels.isel(where)).astype(np.int64).ravel()
            draw = np.random.default_rng([seed, number]).random(part.size)
            chosen = draw < keep[np.searchsorted(tally.ids, np.maximum(part, -1)) + (part >= 0)]
            if not chosen.any():
                continue
            values = load(array.isel(where)).astype(np.float64).reshape(part.size, -1)[chosen]
            finite = np.isfinite(values).all(axis=1)
            positions.append(values[finite])
            kept_labels.append(part[chosen][finite])
        dims = array.sizes[dim]
        return cls(
            np.concatenate(positions) if positions else np.empty((0, dims)),
            np.concatenate(kept_labels) if kept_labels else np.empty(0, np.int64),
            "latent" if name == "embedding" else "component",
            Gaussians.of(dataset, name, tally),
        )


def latent_name(dataset: xr.Dataset) -> str | None:
    """Name what can be scattered: the embedding, else the scores, if they are known for each pixel."""
    navigation = set(labels_of(dataset).dims)
    for name in ("embedding", "scores"):
        if name in dataset and navigation < set(dataset[name].dims) and dataset[name].ndim == len(navigation) + 1:
            return name
    return None


def _rates(tally: Tally, limit: int) -> NDArray[np.float64]:
    """Share of pixels to keep: of noise first, then of each cluster."""
    sizes = np.array([tally.noise + tally.invalid, *tally.sizes], dtype=float)
    floor = np.minimum(_FLOOR, limit / max(len(sizes), 1))
    rate = np.maximum(limit / max(tally.pixels, 1), floor / np.maximum(sizes, 1))
    rate[0] = limit / max(tally.pixels, 1)
    return np.asarray(np.minimum(rate, 1.0))


def badge(axes: Axes, x: NDArray[np.float64], y: NDArray[np.float64], number: int, colour: str, look: Look) -> None:
    """Write a cluster's number on the point nearest to its middle, so that it stands on the cluster and not between."""
    nearest = int(np.argmin((x - np.median(x)) ** 2 + (y - np.median(y)) ** 2))
    wide = axes.get_window_extent().width / axes.figure.dpi
    axes.text(
        x[nearest], y[nearest], str(number), color=ink_on(colour), fontsize=7.5 if wide > 2.6 else 5.5, ha="center",
        va="center_baseline",
        bbox={"boxstyle": "round,pad=0.25,rounding_size=0.5", "facecolor": colour, "edgecolor": look.paper, "lw": 1},
    )  # fmt: skip


def point_area(n: int, inches: float) -> float:
    """Area of a point among `n` on axes so many inches wide."""
    return float(np.clip(12000 / max(n, 1), 0.8, 16.0)) * (inches / 4) ** 2


def limits_of(values: NDArray[np.float64]) -> tuple[float, float]:
    """Both ends of an axis, less the farthest thousandth."""
    low, high = (float(v) for v in np.percentile(values, [0.05, 99.95]))
    margin = 0.06 * (high - low) or 1.0
    return low - margin, high + margin
