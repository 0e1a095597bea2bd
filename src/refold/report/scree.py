"""How much of the variance each component explains, of one decomposition or of several side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from refold.errors import ParameterError, VariableError
from refold.reduce.elbow import elbow_position
from refold.report.canvas import Look, ThemeName, drawing, new_figure
from refold.report.colours import palette
from refold.report.views import load
from refold.report.words import plural

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["scree"]

_RATIO = "explained_variance_ratio"
_SHOWN = 30  # components, as in HyperSpy's plot


def scree(
    first: Any,
    *others: Any,
    n: int = _SHOWN,
    threshold: float | None = None,
    labels: Sequence[str] | None = None,
    theme: ThemeName = "light",
    width: float = 4.6,
) -> Figure:
    """Draw the explained variance ratio of each component, and where it bends: HyperSpy's ``plot_scree_plot``.

    Parameters
    ----------
    first, *others : Decomposition, fitted estimator, or xarray.Dataset
        What has an explained variance ratio: from `refold.decompose`; `refold.PCA` and its kin; a run. Several are
        drawn in one plot, such as plain against Poisson-normalised.
    n : int
        Components shown at most.
    threshold : float or int, optional
        What counts as signal: a share of the variance, drawn as a line, or a number of components. By default the elbow
        says, each decomposition's own; see `refold.elbow_position`.
    labels : sequence of str, optional
        One for each decomposition.
    theme : {"light", "dark"}
        Colours of paper and ink.
    width : float
        Inches of the figure.

    Returns
    -------
    matplotlib.figure.Figure
        Shares on a logarithmic scale, where noise makes a straight floor and signal stands out. Filled points are
        signal; the last of them has a ring.

    Raises
    ------
    VariableError
        If one explains no variance.
    ParameterError
        If there are not as many labels.
    """
    shares = [_shares_of(item) for item in (first, *others)]
    if labels is not None and len(labels) != len(shares):
        raise ParameterError(f"{len(labels)} labels", f"{len(shares)}, one for each", "give as many as are drawn")
    with drawing(theme) as look:
        figure = new_figure(width, width * 0.66)
        axes = figure.add_axes((0.19, 0.17, 0.79, 0.8))
        for i, (share, colour) in enumerate(zip(shares, palette(len(shares)), strict=True)):
            count = _significant(share, threshold)
            told = f"elbow at {count}" if threshold is None else plural(count, "component")
            label = told if labels is None else f"{labels[i]}, {told}"
            _draw(axes, share[:n], count, colour, label, look)
        if isinstance(threshold, float):
            axes.axhline(threshold, color=look.muted, lw=0.8, ls=(0, (4, 3)))
        _finish(axes, min(n, max(map(len, shares))))
        return figure


def _shares_of(item: Any) -> NDArray[np.float64]:
    found = (
        item.get(_RATIO) if isinstance(item, xr.Dataset) else getattr(item, _RATIO, getattr(item, f"{_RATIO}_", None))
    )
    if found is None:
        what = "a run" if isinstance(item, xr.Dataset) else f"a {type(item).__name__}"
        raise VariableError(
            found=f"{what} without {_RATIO}",
            wanted="components that explain variance, such as those of PCA",
            remedy="Reduce with PCA, or draw another figure.",
        )
    values = load(found) if isinstance(found, xr.DataArray) else np.asarray(found)
    return values.astype(float).ravel()


def _significant(share: NDArray[np.float64], threshold: float | None) -> int:
    if threshold is None:
        return elbow_position(np.nan_to_num(share)) + 1 if share.size and np.nanmax(share, initial=0) > 0 else 0
    return int(np.sum(share > threshold)) if isinstance(threshold, float) else int(threshold)


def _draw(axes: Axes, share: NDArray[np.float64], count: int, colour: str, label: str, look: Look) -> None:
    index = np.arange(len(share))
    drawn = np.isfinite(share) & (share > 0)
    size = 5.0 if len(share) <= 40 else 3.0
    axes.plot(index[drawn], share[drawn], color=colour, lw=0.9, alpha=0.6)
    signal, rest = drawn & (index < count), drawn & (index >= count)
    points: dict[str, Any] = {"ls": "none", "marker": "o", "markersize": size, "color": colour}
    axes.plot(index[signal], share[signal], label=label, **points)
    axes.plot(index[rest], share[rest], markerfacecolor=look.paper, markeredgewidth=0.9, **points)
    if 0 < count <= len(share) and drawn[count - 1]:
        ring: dict[str, Any] = {"ls": "none", "marker": "o", "markersize": size + 6, "markerfacecolor": "none"}
        axes.plot([count - 1], [share[count - 1]], markeredgecolor=colour, markeredgewidth=1.2, **ring)


def _finish(axes: Axes, size: int) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    if any(np.size(line.get_xdata()) for line in axes.lines):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(10, numticks=8))
        axes.legend(loc="upper right")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value * 100:.8f}".rstrip("0").rstrip(".") + " %"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.set(xlabel="component", ylabel="explained variance", xlim=(-0.8, max(size, 1) - 0.2))
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0, which="both")
    axes.spines["left"].set_visible(False)
