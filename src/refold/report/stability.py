"""How stable a clustering is: where repeats agree, which repeats do, and which clusters come back."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from refold.errors import VariableError
from refold.report.canvas import Look, ThemeName, drawing, new_figure
from refold.report.colours import ink_on
from refold.report.layout import place, sheet
from refold.report.maps import draw_scalar
from refold.report.tally import Tally, clusters_of, navigation_of, validity_of
from refold.report.views import load

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["agreement", "has_stability", "stability_map"]

Floats = NDArray[np.float64]

_COLOURS = "cividis"
_MAP = 4.4
_SIDE = 3.3
_GAP = 0.75
_LEAST = 4.3
_LIMITS = (0.0, 0.5, 0.75, 1.0)
_ROOM = 0.27
"""Inches of a cell of the matrix in which its number has room."""


def has_stability(dataset: xr.Dataset) -> bool:
    """Whether a run knows the stability of each pixel."""
    return "stability" in dataset and set(dataset["stability"].dims) == set(navigation_of(dataset))


def _agreement(dataset: xr.Dataset) -> Floats | None:
    """Adjusted Rand index of every two labellings, the run's own first; None if none were compared."""
    if "repeat_ari" not in dataset or "pairwise_ari" not in dataset:
        return None
    own = load(dataset["repeat_ari"]).astype(float)[None]
    return np.block([[np.ones((1, 1)), own], [own.T, load(dataset["pairwise_ari"]).astype(float)]])


def _jaccard(dataset: xr.Dataset) -> xr.DataArray | None:
    found = dataset.get("cluster_jaccard")
    return None if found is None or not found.size else found


def stability_map(
    dataset: xr.Dataset, *, theme: ThemeName = "light", width: float = _MAP, tally: Tally | None = None
) -> Figure:
    """Draw how often repeats agree on each pixel's cluster, beside how well repeats and clusters agree.

    Parameters
    ----------
    dataset : xarray.Dataset
        A run with `stability`, as `refold.stability` makes it; `repeat_ari` and `pairwise_ari`, the agreement of the
        repeats with the run and with one another, and `cluster_jaccard` (repeat, cluster) are drawn if it has them.
    theme : {"light", "dark"}
        Colours of paper and ink.
    width : float
        Inches of the map.
    tally : Tally, optional
        Counts of the labels, if they were made already.

    Returns
    -------
    matplotlib.figure.Figure
        The map from 0 to 1; the adjusted Rand index of the run and every repeat, each with each; each cluster's Jaccard
        index over the repeats, mean and range, beside Hennig's limits of a dissolved cluster (0.5) and of a stable one
        (0.75) [1]_.

    Raises
    ------
    VariableError
        If the run has no `stability` of each pixel.

    References
    ----------
    .. [1] C. Hennig, "Cluster-wise assessment of cluster stability", Comput. Stat. Data Anal. 52 (2007) 258.
    """
    navigation = navigation_of(dataset)
    if not has_stability(dataset):
        raise VariableError(
            found=f"no stability on {', '.join(navigation)}",
            wanted="the share of repeats that agree on each pixel",
            remedy="Let refold.stability repeat the clustering.",
        )
    array = dataset["stability"].transpose(*navigation)
    matrix, jaccard = _agreement(dataset), _jaccard(dataset)
    beside = matrix is not None or jaccard is not None
    with drawing(theme) as look:
        page = sheet(array, look, width=width, side=_SIDE + _GAP if beside else 0.0, strip=2.6 if beside else 1.1)
        draw_scalar(page, array, limits=(0.0, 1.0), colours=_COLOURS, label="stability", validity=validity_of(dataset))
        if beside:
            high = float(page.figure.get_size_inches()[1]) - 2 * page.pad
            least = _least(matrix, jaccard)
            if high < least:
                page.grow(least - high)
            _panels(page.inches, width + _GAP, max(high, least), matrix, jaccard, tally or Tally.of(dataset), look)
        return page.figure


def agreement(dataset: xr.Dataset, *, theme: ThemeName = "light", tally: Tally | None = None) -> Figure | None:
    """Draw what `stability_map` has beside its map, alone; None where a run has neither of it."""
    matrix, jaccard = _agreement(dataset), _jaccard(dataset)
    if matrix is None and jaccard is None:
        return None
    with drawing(theme) as look:
        wide, high = _SIDE + 0.5, _least(matrix, jaccard)
        figure = new_figure(wide, high)

        def put(x: float, y: float, width: float, height: float) -> Axes:
            return place(figure, x, high - y - height, width, height)

        _panels(put, 0.5, high, matrix, jaccard, tally or Tally.of(dataset), look)
        return figure


def _least(matrix: Floats | None, jaccard: xr.DataArray | None) -> float:
    """Inches that the panels need from top to bottom."""
    return _LEAST if matrix is not None and jaccard is not None else _LEAST / 2


def _panels(
    put: Callable[[float, float, float, float], Axes],
    left: float,
    high: float,
    matrix: Floats | None,
    jaccard: xr.DataArray | None,
    tally: Tally,
    look: Look,
) -> None:
    bars = 1.1 if matrix is not None else high - 0.8
    if jaccard is not None:
        _bars(put(left, 0.4, _SIDE - 0.05, bars), jaccard, tally, look)
    if matrix is not None:
        foot = bars + 1.05 if jaccard is not None else 0.4
        side = min(high - foot - 0.3, _SIDE - 0.6)
        _matrix(put(left, high - 0.3 - side, side, side), matrix)


def _matrix(axes: Axes, values: Floats) -> None:
    """Every two labellings; the diagonal is left out, since each agrees with itself."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    n = len(values)
    between = np.where(np.eye(n, dtype=bool), np.nan, values)
    known = between[np.isfinite(between)]
    low = min(0.0, float(known.min())) if known.size else 0.0
    axes.imshow(between, cmap=_COLOURS, vmin=low, vmax=1, interpolation="none")
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(length=0)
    every = ceil(n / 10)
    names = ["run", *(str(i) for i in range(1, n))]
    axes.set_xticks(range(0, n, every), names[::every])
    axes.set_yticks(range(0, n, every), names[::every])
    axes.set_xlabel("repeat")
    said = f": {known.mean():.2f} on average, {known.min():.2f} at least" if known.size else ""
    axes.set_title(f"ARI{said}", loc="left", pad=6)
    if axes.get_window_extent().width / axes.figure.dpi / n < _ROOM:
        return
    for (i, j), value in np.ndenumerate(between):
        if np.isfinite(value):
            ground = to_hex(colormaps[_COLOURS]((value - low) / (1 - low)))
            axes.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=6.5, color=ink_on(ground))


def _bars(axes: Axes, jaccard: xr.DataArray, tally: Tally, look: Look) -> None:
    ids, values = clusters_of(jaccard), load(jaccard.transpose(..., "cluster")).astype(float)
    values = np.nan_to_num(values).reshape(-1, len(ids))
    mean, low, high = values.mean(axis=0), values.min(axis=0), values.max(axis=0)
    colours = dict(zip(tally.ids, tally.colours, strict=True))
    where = np.arange(len(ids))
    axes.bar(where, mean, color=[colours.get(i, look.muted) for i in ids], width=0.8)
    axes.vlines(where, low, high, color=look.ink, lw=1)
    axes.set(ylim=(0, 1.02), xlim=(-0.6, len(ids) - 0.4), yticks=_LIMITS)
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    every = ceil(len(ids) / 16)
    axes.set_xticks(where[::every], [str(i) for i in ids[::every]])
    axes.tick_params(axis="x", length=0)
    axes.set_xlabel("cluster")
    worst = int(np.argmin(mean))
    axes.set_title(f"Jaccard: {mean[worst]:.2f} at least (cluster {ids[worst]})", loc="left", pad=6)
