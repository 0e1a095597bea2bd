"""What was found in spectra before anything is learnt: shifts of the zero loss, heights among which spikes are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from refold.cube import navigation_dims
from refold.errors import VariableError
from refold.prepare import Despiked
from refold.report.calibration import format_number, pretty_unit
from refold.report.canvas import Look, ThemeName, drawing, new_figure
from refold.report.layout import sheet
from refold.report.maps import draw_scalar

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["shift_map", "spike_heights"]

_ACCENT = "#0072b2"
_MARK = "#d55e00"


def shift_map(shifts: xr.DataArray, *, theme: ThemeName = "light", width: float = 5.2) -> Figure:
    """Draw by how much each pixel's spectrum was shifted.

    Parameters
    ----------
    shifts : xarray.DataArray
        As `refold.align_zero_loss` gives them, on the navigation dims.
    theme : {"light", "dark"}
        Colours of paper and ink.
    width : float
        Inches of the map.

    Returns
    -------
    matplotlib.figure.Figure
        A map with as much colour to either side of no shift, a profile for a line scan. Pixels without a peak are
        hatched.

    Raises
    ------
    VariableError
        If there are other dims than navigation dims.
    """
    if set(navigation_dims(shifts)) != set(map(str, shifts.dims)):
        raise VariableError(f"shifts on {shifts.dims}", "navigation dims alone", "draw the shifts of an alignment")
    values = np.asarray(shifts.values, dtype=float)
    found = np.abs(values[np.isfinite(values)])
    most = float(np.percentile(found, 99)) if found.size else 0.0
    unit = pretty_unit(str(shifts.attrs.get("units", "")))
    with drawing(theme) as look:
        page = sheet(shifts, look, width=width, strip=1.1)
        limits = (-(most or 1.0), most or 1.0)
        draw_scalar(page, shifts, limits=limits, colours="RdBu_r", label=f"shift ({unit})" if unit else "shift")
        return page.figure


def spike_heights(histogram: xr.Dataset | Despiked, *, theme: ThemeName = "light", width: float = 4.6) -> Figure:
    """Draw how many channels stand out of their neighbours by how much, and the threshold of spikes.

    Parameters
    ----------
    histogram : xarray.Dataset or Despiked
        As `refold.spike_histogram` gives it; or what `refold.remove_spikes` gives, with a threshold it chose itself.
    theme : {"light", "dark"}
        Colours of paper and ink.
    width : float
        Inches of the figure.

    Returns
    -------
    matplotlib.figure.Figure
        Both scales are logarithmic. Noise falls off on the left; what is right of the line is spikes.

    Raises
    ------
    VariableError
        If it is no such histogram.
    """
    if isinstance(histogram, Despiked):
        if histogram.histogram is None:
            found = f"spikes removed with a given threshold, {histogram.threshold:g}"
            raise VariableError(found, "one chosen from a histogram", "give refold.spike_histogram(cube)")
        histogram = histogram.histogram
    if not isinstance(histogram, xr.Dataset):
        raise VariableError(f"{type(histogram).__name__}", "a histogram", "give refold.spike_histogram(cube)")
    if "count" not in histogram or histogram["count"].dims != ("height",):
        raise VariableError("a dataset without counts of heights", "a histogram", "give refold.spike_histogram(cube)")
    count = histogram["count"].values
    edges = np.append(histogram["height"].values, 2 * histogram["height"].values[-1])
    threshold = float(histogram["count"].attrs.get("threshold", np.inf))
    with drawing(theme) as look:
        figure = new_figure(width, width * 0.62)
        axes = figure.subplots(1, 1, gridspec_kw={"left": 0.16, "right": 0.97, "top": 0.95, "bottom": 0.18})
        filled = np.flatnonzero(count)
        if filled.size:
            axes.stairs(count, edges, color=_ACCENT, fill=True, alpha=0.35, lw=0)
            axes.stairs(np.where(count > 0, count, np.nan), edges, color=_ACCENT, lw=1.2)
            top = max(edges[filled[-1] + 1], 2 * threshold if np.isfinite(threshold) else 0.0)
            low = edges[int(np.searchsorted(count.cumsum(), count.sum() / 100))]
            axes.set(xscale="log", yscale="log", xlim=(low, 1.2 * top), ylim=(0.5, 8 * count.max()))
        if filled.size and np.isfinite(threshold):
            _mark(axes, threshold, int(count[edges[:-1] >= threshold].sum()), look)
        poisson = histogram.attrs.get("noise") == "poisson"
        axes.set(xlabel="height over its deviation" if poisson else "height", ylabel="channels of all pixels")
        axes.grid(axis="y")
        axes.set_axisbelow(True)
        return figure


def _mark(axes: Axes, threshold: float, beyond: int, look: Look) -> None:
    axes.axvline(threshold, color=_MARK, lw=1.2, ls=(0, (4, 3)))
    text = f"{format_number(round(threshold, 2))}: {beyond} beyond"
    low, high = axes.get_xlim()
    right = threshold**2 > low * high
    axes.annotate(
        text, (threshold, 1), xycoords=("data", "axes fraction"), xytext=(-4 if right else 4, -2),
        textcoords="offset points", ha="right" if right else "left", va="top", color=look.ink,
    )  # fmt: skip
