"""The latent space: where the embedding put the pixels, coloured by cluster."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from refold.errors import VariableError
from refold.report.canvas import Look, ThemeName, drawing, new_figure
from refold.report.colours import NOISE, ink_on
from refold.report.tally import Tally, labels_of
from refold.report.views import load, tiles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["MAX_POINTS", "Points", "draw_points", "latent_name", "latent_scatter"]

MAX_POINTS = 50_000
"""About as many points are drawn; more only hide one another."""
_FLOOR = 150
"""A cluster keeps at least about so many of its points, however rare it is."""
_DIMS = 3


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
    """

    positions: NDArray[np.float64]
    labels: NDArray[np.int64]
    name: str

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
        array = array.isel({dim: slice(0, _DIMS if name == "embedding" else 2)}).transpose(*labels.dims, dim)
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


def latent_scatter(
    dataset: xr.Dataset,
    *,
    theme: ThemeName = "light",
    width: float = 4.6,
    limit: int = MAX_POINTS,
    tally: Tally | None = None,
) -> Figure:
    """Draw the latent space, coloured by cluster, numbers at the middle of each.

    Parameters
    ----------
    dataset : xarray.Dataset
        A run with `embedding`; without one its first two `scores` are drawn.
    theme : {"light", "dark"}
        Colours of paper and ink.
    width : float
        Inches of the figure.
    limit : int
        About so many points are drawn, rare clusters more densely.
    tally : Tally, optional
        Counts of the labels, if they were made already.

    Returns
    -------
    matplotlib.figure.Figure
        One panel for two dimensions, every pair for three, a histogram for one.

    Raises
    ------
    VariableError
        If the run has neither.
    """
    tally = tally or Tally.of(dataset)
    points = Points.of(dataset, tally, limit)
    with drawing(theme) as look:
        dims = points.positions.shape[1]
        if dims < _DIMS:
            figure = new_figure(width, width * (0.9 if dims == 2 else 0.5))
            draw_points(
                figure.add_axes((0.07, 0.08, 0.91, 0.9) if dims == 2 else (0.06, 0.2, 0.9, 0.76)), points, tally, look
            )
            return figure
        pairs = list(combinations(range(dims), 2))
        figure = new_figure(width, width)
        for (i, j), place in zip(pairs, ((0.07, 0.55), (0.07, 0.06), (0.56, 0.06)), strict=True):
            _scatter(figure.add_axes((*place, 0.42, 0.43)), points, (i, j), tally, look)
        return figure


def draw_points(axes: Axes, points: Points, tally: Tally, look: Look) -> None:
    """Draw the first two dimensions, or a histogram of the only one, on axes that are there already."""
    if points.positions.shape[1] == 1:
        _histogram(axes, points, tally)
    else:
        _scatter(axes, points, (0, 1), tally, look)


def _scatter(axes: Axes, points: Points, pair: tuple[int, int], tally: Tally, look: Look) -> None:
    x, y = points.positions[:, pair[0]], points.positions[:, pair[1]]
    inches = axes.get_window_extent().width / axes.figure.dpi
    area = float(np.clip(12000 / max(len(x), 1), 0.8, 16.0)) * (inches / 4) ** 2
    noise = points.labels < 0
    options: dict[str, Any] = {"linewidths": 0, "rasterized": True}
    axes.scatter(x[noise], y[noise], s=area, c=NOISE, alpha=0.5, **options)
    colours = np.array([*tally.colours, NOISE])[np.searchsorted(tally.ids, points.labels[~noise])]
    order = np.random.default_rng(0).permutation(int((~noise).sum()))  # else the last cluster would hide the others
    if len(order):
        axes.scatter(x[~noise][order], y[~noise][order], s=area, c=colours[order], alpha=0.75, **options)
    _frame(axes, x, y)
    axes.set_xlabel(f"{points.name} {pair[0]}")
    axes.set_ylabel(f"{points.name} {pair[1]}")
    for number, colour in zip(tally.ids, tally.colours, strict=True):
        member = points.labels == number
        if member.any():
            _badge(axes, x[member], y[member], number, colour, look)


def _badge(axes: Axes, x: NDArray[np.float64], y: NDArray[np.float64], number: int, colour: str, look: Look) -> None:
    """Write a cluster's number on the point nearest to its middle, so that it stands on the cluster and not between."""
    nearest = int(np.argmin((x - np.median(x)) ** 2 + (y - np.median(y)) ** 2))
    axes.text(
        x[nearest], y[nearest], str(number), color=ink_on(colour), fontsize=7.5, ha="center", va="center_baseline",
        bbox={"boxstyle": "round,pad=0.25,rounding_size=0.5", "facecolor": colour, "edgecolor": look.paper, "lw": 1},
    )  # fmt: skip


def _frame(axes: Axes, x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
    """No ticks: an embedding has no unit. Limits leave out the farthest thousandth, which would shrink all the rest."""
    axes.set_xticks([])
    axes.set_yticks([])
    for set_limits, values in ((axes.set_xlim, x), (axes.set_ylim, y)):
        if not len(values):
            continue
        low, high = (float(v) for v in np.percentile(values, [0.05, 99.95]))
        margin = 0.06 * (high - low) or 1.0
        set_limits(low - margin, high + margin)


def _histogram(axes: Axes, points: Points, tally: Tally) -> None:
    values = points.positions[:, 0]
    groups = [values[points.labels == i] for i in tally.ids] + [values[points.labels < 0]]
    colours = [*tally.colours, NOISE]
    if len(values):
        axes.hist(groups, bins=80, stacked=True, color=colours, range=(float(values.min()), float(values.max()) or 1.0))
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(f"{points.name} 0")
