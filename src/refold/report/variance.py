"""How much of the variance the components explain."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from refold.errors import VariableError
from refold.report.canvas import ThemeName, drawing, new_figure
from refold.report.views import load
from refold.report.words import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["scree"]

_ACCENT = "#0072b2"


def scree(dataset: xr.Dataset, *, theme: ThemeName = "light", width: float = 4.6) -> Figure:
    """Draw the explained variance ratio of each component, and its sum.

    Parameters
    ----------
    dataset : xarray.Dataset
        A run with `explained_variance_ratio`.
    theme : {"light", "dark"}
        Colours of paper and ink.
    width : float
        Inches of the figure.

    Returns
    -------
    matplotlib.figure.Figure
        Two panels above one another: each component's share on a logarithmic scale, where noise makes a straight
        floor and signal stands out, and the share of all so far.

    Raises
    ------
    VariableError
        If the run has no such variable.
    """
    if "explained_variance_ratio" not in dataset:
        raise VariableError(
            found="a run without explained_variance_ratio",
            wanted="a run whose reduction explains variance, such as PCA",
            remedy="Reduce with PCA.",
        )
    ratio = load(dataset["explained_variance_ratio"]).astype(float).ravel()
    with drawing(theme) as look:
        figure = new_figure(width, width * 0.78)
        upper, lower = figure.subplots(
            2, 1, sharex=True, gridspec_kw={"left": 0.15, "right": 0.97, "top": 0.97, "bottom": 0.13, "hspace": 0.14}
        )
        index = np.arange(len(ratio))
        positive = np.isfinite(ratio) & (ratio > 0)
        line = {"color": _ACCENT, "lw": 1.4, "marker": "o", "markersize": 4.5 if len(ratio) <= 40 else 2.5}
        if positive.any():
            upper.plot(index[positive], ratio[positive], **line)
            upper.set_yscale("log")
        total = np.cumsum(np.where(np.isfinite(ratio), ratio, 0))
        lower.plot(index, total, **line)
        _finish(upper, lower, len(ratio))
        if len(total):
            last = f"{percent(float(min(total[-1], 1)))} with all {len(ratio)}"
            lower.annotate(
                last, (index[-1], total[-1]), xytext=(0, -9), textcoords="offset points", ha="right", va="top",
                color=look.ink,
            )  # fmt: skip
        return figure


def _finish(upper: Axes, lower: Axes, size: int) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    shares = FuncFormatter(lambda value, _: f"{value * 100:.6f}".rstrip("0").rstrip(".") + " %")
    for axes in (upper, lower):
        axes.yaxis.set_major_formatter(shares)
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.grid(axis="y")
        axes.set_axisbelow(True)
        axes.tick_params(axis="y", length=0, which="both")
        axes.spines["left"].set_visible(False)
    if upper.get_yscale() == "log":
        upper.yaxis.set_major_locator(LogLocator(10, numticks=6))
    upper.tick_params(axis="x", length=0)
    upper.set_ylabel("each")
    lower.set_ylabel("together")
    lower.set_xlabel("component")
    lower.set_ylim(0, 1.04)
    lower.set_yticks([0, 0.5, 1])
    lower.set_xlim(-0.5, max(size, 1) - 0.5)
    lower.xaxis.set_major_locator(MaxNLocator(8, integer=True))
