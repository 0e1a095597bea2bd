"""The latent space: where the embedding put the pixels, coloured by cluster."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from refold.report.canvas import Look, ThemeName, drawing, new_figure
from refold.report.colours import NOISE
from refold.report.ellipses import SIGMAS, draw_ellipses
from refold.report.points import DIMS, MAX_POINTS, Points, badge, limits_of, point_area
from refold.report.space import draw_space
from refold.report.tally import Tally

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_points", "latent_scatter"]


def latent_scatter(
    dataset: xr.Dataset,
    *,
    theme: ThemeName = "light",
    width: float = 4.6,
    limit: int = MAX_POINTS,
    sigmas: Sequence[float] = SIGMAS,
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
    sigmas : sequence of float
        Standard deviations at which the Gaussians of a mixture are outlined, each as thick as it is heavy; none for no
        outlines. Where there are more than two dimensions, those of the two that are drawn, summed over all others.
    tally : Tally, optional
        Counts of the labels, if they were made already.

    Returns
    -------
    matplotlib.figure.Figure
        One panel for two dimensions, a histogram for one. For three, every pair of them, and a view of the whole at
        the upper right.

    Raises
    ------
    VariableError
        If the run has neither.
    """
    tally = tally or Tally.of(dataset)
    points = Points.of(dataset, tally, limit)
    with drawing(theme) as look:
        dims = points.positions.shape[1]
        if dims < DIMS:
            figure = new_figure(width, width * (0.9 if dims == 2 else 0.5))
            whole = (0.07, 0.08, 0.91, 0.9) if dims == 2 else (0.06, 0.2, 0.9, 0.76)
            draw_points(figure.add_axes(whole), points, tally, look, sigmas)
            return figure
        pairs = list(combinations(range(dims), 2))
        figure = new_figure(width, width)
        for (i, j), place in zip(pairs, ((0.07, 0.55), (0.07, 0.06), (0.56, 0.06)), strict=True):
            _scatter(figure.add_axes((*place, 0.42, 0.43)), points, (i, j), tally, look, sigmas)
        draw_space(figure.add_axes((0.54, 0.53, 0.46, 0.46)), points, tally, look)
        return figure


def draw_points(axes: Axes, points: Points, tally: Tally, look: Look, sigmas: Sequence[float] = SIGMAS) -> None:
    """Draw the first two dimensions, or a histogram of the only one, on axes that are there already."""
    if points.positions.shape[1] == 1:
        _histogram(axes, points, tally)
    else:
        _scatter(axes, points, (0, 1), tally, look, sigmas)


def _scatter(
    axes: Axes, points: Points, pair: tuple[int, int], tally: Tally, look: Look, sigmas: Sequence[float]
) -> None:
    x, y = points.positions[:, pair[0]], points.positions[:, pair[1]]
    inches = axes.get_window_extent().width / axes.figure.dpi
    area = point_area(len(x), inches)
    noise = points.labels < 0
    options: dict[str, Any] = {"linewidths": 0, "rasterized": True}
    axes.scatter(x[noise], y[noise], s=area, c=NOISE, alpha=0.7, **options)
    colours = np.array([*tally.colours, NOISE])[np.searchsorted(tally.ids, points.labels[~noise])]
    order = np.random.default_rng(0).permutation(int((~noise).sum()))  # else the last cluster would hide the others
    if len(order):
        axes.scatter(x[~noise][order], y[~noise][order], s=area, c=colours[order], alpha=0.75, **options)
    _frame(axes, x, y)
    axes.set_xlabel(f"{points.name} {pair[0]}")
    axes.set_ylabel(f"{points.name} {pair[1]}")
    if points.gaussians is not None:
        draw_ellipses(axes, points.gaussians, pair, tally, look, sigmas)
    for number, colour in zip(tally.ids, tally.colours, strict=True):
        member = points.labels == number
        if member.any():
            badge(axes, x[member], y[member], number, colour, look)


def _frame(axes: Axes, x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
    """No ticks: an embedding has no unit. Limits leave out the farthest thousandth, which would shrink all the rest."""
    axes.set_xticks([])
    axes.set_yticks([])
    for set_limits, values in ((axes.set_xlim, x), (axes.set_ylim, y)):
        if len(values):
            set_limits(*limits_of(values))


def _histogram(axes: Axes, points: Points, tally: Tally) -> None:
    values = points.positions[:, 0]
    groups = [values[points.labels == i] for i in tally.ids] + [values[points.labels < 0]]
    colours = [*tally.colours, NOISE]
    if len(values):
        axes.hist(groups, bins=80, stacked=True, color=colours, range=(float(values.min()), float(values.max()) or 1.0))
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(f"{points.name} 0")
