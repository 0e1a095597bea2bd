"""Three dimensions of the latent space, seen from one side."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from refold.errors import VariableError
from refold.report.canvas import Look, ThemeName, drawing, new_figure, quiet
from refold.report.colours import NOISE, to_rgb
from refold.report.points import DIMS, MAX_POINTS, Points, badge, latent_name, limits_of, point_area
from refold.report.tally import Tally

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_space", "latent_space"]

Floats = NDArray[np.float64]
_VIEW = (22.0, -58.0)
_FAINTEST, _STRONGEST = 0.35, 0.9


def latent_space(
    dataset: xr.Dataset,
    *,
    theme: ThemeName = "light",
    width: float = 4.6,
    elevation: float = _VIEW[0],
    azimuth: float = _VIEW[1],
    limit: int = MAX_POINTS,
    tally: Tally | None = None,
) -> Figure:
    """Draw the first three dimensions of the latent space as seen from one side, coloured by cluster.

    Parameters
    ----------
    dataset : xarray.Dataset
        A run whose `embedding` has three dimensions or more.
    theme : {"light", "dark"}
        Colours of paper and ink.
    width : float
        Inches of the figure.
    elevation, azimuth : float
        Degrees above the plane of the first two dimensions, and around the third.
    limit : int
        About so many points are drawn, rare clusters more densely.
    tally : Tally, optional
        Counts of the labels, if they were made already.

    Returns
    -------
    matplotlib.figure.Figure
        A parallel projection, in which near points are drawn over far ones.

    Raises
    ------
    VariableError
        If the run has no embedding of three dimensions.
    """
    tally = tally or Tally.of(dataset)
    points = Points.of(dataset, tally, limit) if latent_name(dataset) == "embedding" else None
    if points is None or points.positions.shape[1] < DIMS:
        raise VariableError(
            found="a run without an embedding of three dimensions",
            wanted="embedding (*navigation, latent) with three of latent",
            remedy="Embed with n_components=3, or draw latent_scatter.",
        )
    with drawing(theme) as look:
        figure = new_figure(width, width * 0.96)
        draw_space(figure.add_axes((0.02, 0.02, 0.96, 0.96)), points, tally, look, (elevation, azimuth))
        return figure


def draw_space(axes: Axes, points: Points, tally: Tally, look: Look, view: tuple[float, float] = _VIEW) -> None:
    """Draw three dimensions on axes that are there already: a box from behind, and the points in it, far ones first."""
    quiet(axes)
    axes.set_aspect("equal")
    base = _base(*view)
    _draw_box(axes, base, points.name, look)
    if not len(points.positions):
        return
    ends = np.array([limits_of(column) for column in points.positions[:, :DIMS].T])
    unit = (points.positions[:, :DIMS] - ends.mean(axis=1)) / np.diff(ends, axis=1).ravel() * 2
    inside = (np.abs(unit) <= 1).all(axis=1)
    x, y, near = (unit[inside] @ base.T).T
    labels = points.labels[inside]
    order = np.argsort(near, kind="stable")
    table = to_rgb([*tally.colours, NOISE])
    colours = table[np.where(labels < 0, len(tally.ids), np.searchsorted(tally.ids, labels))]
    depth = (near - near.min()) / max(float(np.ptp(near)), 1e-12) if len(near) else near
    alpha = (_FAINTEST + (_STRONGEST - _FAINTEST) * depth) * np.where(labels < 0, 0.6, 1.0)
    inches = axes.get_window_extent().width / axes.figure.dpi
    axes.scatter(
        x[order], y[order], s=point_area(len(x), inches), c=np.column_stack([colours, alpha])[order], linewidths=0,
        rasterized=True, zorder=2,
    )  # fmt: skip
    for number, colour in zip(tally.ids, tally.colours, strict=True):
        member = labels == number
        if member.any():
            badge(axes, x[member], y[member], number, colour, look)


def _base(elevation: float, azimuth: float) -> Floats:
    """Directions on the paper: to the right, up, and towards the reader."""
    e, a = np.deg2rad([elevation, azimuth])
    return np.array(
        [
            [-np.sin(a), np.cos(a), 0.0],
            [-np.sin(e) * np.cos(a), -np.sin(e) * np.sin(a), np.cos(e)],
            [np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)],
        ]
    )


def _draw_box(axes: Axes, base: Floats, name: str, look: Look) -> None:
    """The three faces of the box that lie behind, and a name along one edge in each direction."""
    near = np.where(base[2] >= 0, 1.0, -1.0)
    corners = np.array(list(product((-1.0, 1.0), repeat=DIMS)))
    flat = corners @ base.T
    axes.set(xlim=(flat[:, 0].min() - 0.16, flat[:, 0].max() + 0.16), ylim=(flat[:, 1].min() - 0.26, flat[:, 1].max()))
    for i, one in enumerate(corners):
        for j in range(i):
            apart = np.flatnonzero(one != corners[j])
            shared = [k for k in range(DIMS) if k not in apart]
            if len(apart) == 1 and any(one[k] == -near[k] for k in shared):  # an edge of a face behind
                axes.plot(flat[[i, j], 0], flat[[i, j], 1], color=look.line, lw=0.8, zorder=1)
    middles = np.array([[0.0, near[1], -near[2]], [near[0], 0.0, -near[2]], [-near[0], near[1], 0.0]])
    other = np.array([near[0], -near[1], 0.0])
    if (other @ base[0]) < (middles[2] @ base[0]):
        middles[2] = other  # the edge at the left
    for k, middle in enumerate(middles):
        x, y = base[:2] @ middle
        dx, dy = base[0, k], base[1, k]
        angle = (np.rad2deg(np.arctan2(dy, dx)) + 90) % 180 - 90
        away = (-0.11, 0.0) if k == DIMS - 1 else (0.0, -0.06)
        axes.text(
            x + away[0], y + away[1], f"{name} {k}", color=look.muted, rotation=90.0 if k == DIMS - 1 else angle,
            rotation_mode="anchor", ha="center", va="center" if k == DIMS - 1 else "top",
        )  # fmt: skip
