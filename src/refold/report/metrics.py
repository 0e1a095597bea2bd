"""How many clusters: each criterion against the number of clusters, with what it suggests."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from refold.errors import VariableError
from refold.report.canvas import Look, ThemeName, drawing, new_figure
from refold.report.layout import place
from refold.report.views import load

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["criteria_of", "metric_curves", "suggestion_of"]

_SAYS = {"inertia": "inertia (elbow)", "silhouette": "silhouette (highest)", "gap": "gap ± standard error"}
_THOUSANDS = 1e4
_ACCENT = "#0072b2"
_MARK = "#d55e00"
_HIGH = 1.9


def criteria_of(dataset: xr.Dataset) -> tuple[str, ...]:
    """Names of the criteria along the dim `k`: those known, then others; what is an error of another is none."""
    found = [str(v) for v in dataset.data_vars if dataset[v].dims == ("k",) and dataset[v].dtype.kind in "iuf"]
    found = [v for v in found if not v.endswith("_error")]
    return (*(v for v in _SAYS if v in found), *sorted(v for v in found if v not in _SAYS))


def suggestion_of(dataset: xr.Dataset, criterion: str) -> int | None:
    """Read the number of clusters that a criterion suggests: the attribute `suggested` of its variable."""
    value = dataset[criterion].attrs.get("suggested")
    return None if value is None else int(value)


def metric_curves(dataset: xr.Dataset, *, theme: ThemeName = "light", width: float = 9.0) -> Figure:
    """Draw every criterion for the number of clusters, with the number that it suggests.

    Parameters
    ----------
    dataset : xarray.Dataset
        What `refold.estimate_clusters` gives, or a run that keeps it: variables along `k`, such as `inertia`,
        `silhouette` and `gap` with its standard error `gap_error`, each with the attribute `suggested`.
    theme : {"light", "dark"}
        Colours of paper and ink.
    width : float
        Inches of the figure.

    Returns
    -------
    matplotlib.figure.Figure
        One panel for each criterion, side by side.

    Raises
    ------
    VariableError
        If nothing is along `k`.
    """
    names = criteria_of(dataset)
    if not names:
        raise VariableError(
            found="a dataset without a criterion along k",
            wanted="inertia, silhouette or gap along k",
            remedy="Give what refold.estimate_clusters returns.",
        )
    columns = min(len(names), 3 if width >= 6 else 2 if width >= 3.6 else 1)
    rows = ceil(len(names) / columns)
    with drawing(theme) as look:
        left, gap, title, foot = 0.62, 0.72, 0.34, 0.52
        wide = min((width - left - 0.1 - gap * (columns - 1)) / columns, 3.6)
        high = min(_HIGH, wide * 0.8)
        figure = new_figure(left + columns * (wide + gap) - gap + 0.1, rows * (high + title + foot))
        for i, name in enumerate(names):
            row, column = divmod(i, columns)
            top = row * (high + title + foot) + title
            axes = place(figure, left + column * (wide + gap), top, wide, high)
            _curve(axes, dataset, name, look)
        return figure


def _curve(axes: Axes, dataset: xr.Dataset, name: str, look: Look) -> None:
    from matplotlib.ticker import EngFormatter, MaxNLocator

    values = load(dataset[name]).astype(float)
    k = load(dataset["k"]).astype(float) if "k" in dataset.coords else np.arange(len(values), dtype=float)
    error = load(dataset[f"{name}_error"]).astype(float) if f"{name}_error" in dataset else None
    marker = "o" if len(k) <= 30 else None
    axes.errorbar(
        k, values, yerr=error, color=_ACCENT, ecolor=look.muted, elinewidth=1, capsize=2.5, lw=1.4, marker=marker,
        markersize=4,
    )  # fmt: skip
    axes.set_title(_SAYS.get(name, name), loc="left", pad=8)
    axes.set_xlabel("clusters")
    axes.xaxis.set_major_locator(MaxNLocator(7, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    if np.abs(values[np.isfinite(values)]).max(initial=0) > _THOUSANDS:
        axes.yaxis.set_major_formatter(EngFormatter())
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.margins(x=0.04, y=0.12)
    suggested = suggestion_of(dataset, name)
    if suggested is None or suggested not in k:
        return
    value = float(values[list(k).index(suggested)])
    axes.axvline(suggested, color=_MARK, lw=1.2, ls=(0, (4, 3)), zorder=0)
    if np.isfinite(value):  # a ring, so that it is seen in grey too
        axes.plot(suggested, value, marker="o", markersize=10, mfc="none", mec=_MARK, mew=1.8)
    right = suggested > (k.min() + k.max()) / 2
    axes.annotate(
        f"k = {suggested}", (suggested, 1), xycoords=("data", "axes fraction"), xytext=(-4 if right else 4, -1),
        textcoords="offset points", ha="right" if right else "left", va="top", color=look.ink, fontweight="bold",
    )  # fmt: skip
