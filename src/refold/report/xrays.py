"""X-ray spectra: the sum spectrum with its lines marked, and how much of each line clusters hold."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from refold.colours import palette
from refold.errors import VariableError
from refold.features.xrays.intensities import has_counts, line_intensities, lines_of_run
from refold.features.xrays.suggesting import Peak, sum_spectrum
from refold.features.xrays.table import EV, RESOLUTION, energy_axis
from refold.report.calibration import pretty_unit
from refold.report.canvas import Look, ThemeName, drawing, new_figure
from refold.report.spectra import signed_root, signed_square

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["line_bars", "line_spectrum"]

_SPECTRUM, _KNOWN, _UNKNOWN = "#0072b2", "#009e73", "#d55e00"
_TEXT = 0.145  # inches from one line of letters to the next
_LEFT = 0.75  # inches left of axes
_LEVELS = 12  # heights at which names that would overlap stand
_BARS = 36  # in one row


def line_spectrum(
    spectrum: xr.DataArray,
    lines: xr.Dataset | None = None,
    peaks: Sequence[Peak] = (),
    *,
    energies: tuple[float, float] | None = None,
    theme: ThemeName = "light",
    width: float = 8.0,
    **options: Any,
) -> Figure:
    """Draw an X-ray spectrum with its lines marked, and what its other peaks may be.

    Parameters
    ----------
    spectrum : xarray.DataArray
        One spectrum, or a cube, whose sum spectrum is taken in one sweep.
    lines : xarray.Dataset, optional
        As `refold.xray_lines` gives them: drawn with their windows.
    peaks : sequence of Peak, optional
        As `refold.suggest_lines` gives them: those that are not known are marked with what they may be.
    energies : (float, float), optional
        Range to draw, in the unit of the axis; by default from 0 up to where the last counts in a thousand are.
    theme : {"light", "dark"}
        Colours of paper and ink.
    width : float
        Inches of the figure.
    **options
        As for `refold.sweep`, if a cube is given.

    Returns
    -------
    matplotlib.figure.Figure
        Counts on a scale of square roots, which shows weak peaks and gives noise the same height everywhere.

    Raises
    ------
    ParameterError
        If there is no axis of energy.
    """
    axis = energy_axis(spectrum)
    total = sum_spectrum(spectrum, **options)
    order = np.argsort(axis.values)
    x, y = axis.values[order].astype(float), np.nan_to_num(total.values[order])
    low, high = sorted(energies) if energies else _range(x, y, EV[str(axis.attrs["units"])])
    shown = (x >= low) & (x <= high)
    marks = _marks(lines, peaks, low, high)
    levels = _levels(marks, (high - low) / width)
    room = 0.1 + _TEXT * (max((level for level, _, _, _ in levels), default=0) + 1)
    with drawing(theme) as look:
        height = 2.6 + room
        figure = new_figure(width, height)
        axes = figure.add_axes((_LEFT / width, 0.46 / height, (width - _LEFT - 0.12) / width, 2.1 / height))
        axes.fill_between(x[shown], 0, y[shown], step="mid", color=_SPECTRUM, alpha=0.25, lw=0)
        axes.step(x[shown], y[shown], where="mid", color=_SPECTRUM, lw=1.0)
        axes.set_yscale("function", functions=(signed_root, signed_square))
        axes.set(xlim=(low, high), ylim=(0, 1.08 * max(float(y[shown].max(initial=0)), 1.0)))
        axes.set(xlabel=f"{axis.name} ({pretty_unit(str(axis.attrs['units']))})", ylabel="counts")
        for begin, end in _windows(lines, low, high):
            axes.axvspan(begin, end, color=_KNOWN, alpha=0.15, lw=0)
        for level, at, text, known in levels:
            _mark(axes, level, at, text, _KNOWN if known else _UNKNOWN, look)
        axes.set_axisbelow(True)
        axes.grid(axis="y")
        return figure


def _range(x: Any, y: Any, scale: float) -> tuple[float, float]:
    """Where the spectrum is; the zero peak, which would dwarf all else, is left out."""
    above = np.where(x > 0.1e3 / scale, np.clip(y, 0, None), 0).cumsum()
    last = x[int(np.searchsorted(above, 0.999 * above[-1]))] if above[-1] > 0 else x[-1]
    low = max(float(x[0]), 0.1e3 / scale)
    return low, min(float(x[-1]), max(1.08 * float(last), low + (x[-1] - x[0]) / 50))


def _marks(lines: xr.Dataset | None, peaks: Sequence[Peak], low: float, high: float) -> list[tuple[float, str, bool]]:
    """Positions and names: of lines, of peaks that known elements explain, and of those that none does."""
    found = []
    names: set[str] = set()
    if lines is not None:
        names = {str(name) for name in lines["line"].values}
        found += [(float(at), str(name), True) for at, name in zip(lines["energy"], lines["line"].values, strict=True)]
    for peak in peaks:
        if peak.known is not None and peak.known not in names:
            found.append((peak.energy, peak.known, True))
        elif peak.known is None:
            # "?" says that it is a guess
            text = " / ".join(one.line for one in peak.candidates[:2])
            found.append((peak.energy, f"{text}?" if text else "?", False))
    return sorted(mark for mark in found if low <= mark[0] <= high)


def _levels(marks: Sequence[tuple[float, str, bool]], per_inch: float) -> list[tuple[int, float, str, bool]]:
    """Stagger names so that none lies on another."""
    ends: list[float] = []
    placed = []
    for at, text, known in marks:
        half = 0.038 * (len(text) + 2) * per_inch
        free = [level for level, end in enumerate(ends) if end <= at - half]
        level = free[0] if free else min(len(ends), _LEVELS - 1)
        ends[level : level + 1] = [at + half]
        placed.append((level, at, text, known))
    return placed


def _windows(lines: xr.Dataset | None, low: float, high: float) -> list[tuple[float, float]]:
    if lines is None:
        return []
    pairs = zip(lines["low"].values, lines["high"].values, strict=True)
    return [(float(begin), float(end)) for begin, end in pairs if end >= low and begin <= high]


def _mark(axes: Axes, level: int, at: float, text: str, colour: str, look: Look) -> None:
    """A line up from the axis, and its name above the spectrum, in ink: the colour alone would be hard to read."""
    above = 4 + 72 * _TEXT * level
    axes.axvline(at, color=colour, lw=0.8, alpha=0.8, ls="-" if colour == _KNOWN else (0, (2, 2)))
    axes.annotate(
        text, (at, 1), xycoords=("data", "axes fraction"), xytext=(0, above), textcoords="offset points",
        ha="center", va="bottom", fontsize=7.5, color=look.ink if colour == _KNOWN else colour,
        arrowprops={"arrowstyle": "-", "color": colour, "lw": 0.6, "shrinkA": 0, "shrinkB": 0},
        bbox={"facecolor": look.paper, "edgecolor": "none", "pad": 0.4}, zorder=5 - level / 10,
    )  # fmt: skip


def line_bars(
    intensities: xr.Dataset,
    *,
    sigmas: float = 2.0,
    theme: ThemeName = "light",
    width: float = 8.0,
) -> Figure:
    """Draw how much of each X-ray line clusters hold, with counting errors.

    Parameters
    ----------
    intensities : xarray.Dataset
        As `refold.line_intensities` gives them.
    sigmas : float
        Standard deviations that the error bars reach to either side.
    theme : {"light", "dark"}
        Colours of paper and ink.
    width : float
        Inches of the figure.

    Returns
    -------
    matplotlib.figure.Figure
        For each line a group of bars, one for each cluster in its colour, on a scale of square roots; what is not above
        its error is pale. Many bars stand in several rows.

    Raises
    ------
    VariableError
        If these are no intensities.
    """
    if not isinstance(intensities, xr.Dataset) or not {"intensity", "error"} <= set(intensities.data_vars):
        shown = f"a {type(intensities).__name__} without intensities"
        raise VariableError(shown, "intensity and error (cluster, line)", "give refold.line_intensities(run)")
    names = [str(name) for name in intensities["line"].values]
    clusters = intensities.sizes["cluster"]
    each = max(1, _BARS // max(1, clusters))
    rows = max(1, ceil(len(names) / each))
    each = ceil(len(names) / rows)
    with drawing(theme) as look:
        high, foot = 1.7, 0.68
        height = rows * (high + 0.35) + foot
        figure = new_figure(width, height)
        for row in range(rows):
            bottom = height - 0.1 - (row + 1) * high - row * 0.35
            axes = figure.add_axes((_LEFT / width, bottom / height, (width - _LEFT - 0.12) / width, high / height))
            part = intensities.isel(line=slice(row * each, (row + 1) * each))
            _draw_bars(axes, part, each, sigmas, look)
            axes.set_ylabel("net counts in a pixel" if rows == 1 else "net counts")
        figure.text(
            _LEFT / width, 0.1 / height, f"bars of error: {sigmas:g} standard deviations of counting", color=look.muted
        )
        _legend(figure, intensities, width, height)
        return figure


def bars_of_run(dataset: xr.Dataset, *, theme: ThemeName, width: float) -> Figure | None:
    """`line_bars` of a run that learnt from element maps, if its spectra are counts still.

    Parameters
    ----------
    dataset : xarray.Dataset
        A run.
    theme, width
        As for `line_bars`.

    Returns
    -------
    matplotlib.figure.Figure or None
        None too without clusters, and where xraydb is not installed.
    """
    if find_spec("xraydb") is None or not dataset.sizes.get("cluster") or "cluster_size" not in dataset:
        return None
    for mean in (str(name) for name in dataset.data_vars if str(name).startswith("cluster_mean")):
        own = lines_of_run(dataset, mean)
        if RESOLUTION in own and has_counts(dataset, mean):
            cube = mean.removeprefix("cluster_mean").removeprefix("_") or None
            return line_bars(line_intensities(dataset, own["lines"], cube=cube), theme=theme, width=width)
    return None


def _draw_bars(axes: Axes, part: xr.Dataset, each: int, sigmas: float, look: Look) -> None:
    clusters, lines = part.sizes["cluster"], part.sizes["line"]
    wide = 0.8 / max(1, clusters)
    net, error = (part[name].transpose("cluster", "line").values for name in ("intensity", "error"))
    for at, colour in enumerate(_colours(part)):
        x = np.arange(lines) + (at - (clusters - 1) / 2) * wide
        sure = net[at] > sigmas * error[at]
        for chosen, alpha in ((sure, 1.0), (~sure, 0.3)):
            axes.bar(x[chosen], np.clip(net[at, chosen], 0, None), wide * 0.92, color=colour, alpha=alpha, lw=0)
        axes.errorbar(x, net[at], yerr=sigmas * error[at], fmt="none", ecolor=look.ink, elinewidth=0.8, capsize=1.5)
    axes.set_yscale("function", functions=(signed_root, signed_square))
    top = float(np.max(net + sigmas * error, initial=0.0))
    low = float(np.min(net - sigmas * error, initial=0.0))
    axes.set(xlim=(-0.6, each - 0.4), ylim=(min(0.0, low), 1.1 * top if top > 0 else 1.0))
    axes.set_xticks(np.arange(lines), [str(name) for name in part["line"].values])
    axes.tick_params(axis="x", length=0)
    axes.axhline(0, color=look.line, lw=0.8)
    axes.grid(axis="y")
    axes.set_axisbelow(True)


def _legend(figure: Figure, intensities: xr.Dataset, width: float, height: float) -> None:
    from matplotlib.patches import Patch

    handles = [Patch(color=colour, label=name) for name, colour in _names(intensities)]
    if handles:
        columns = max(1, min(len(handles), int(width / 0.9)))
        figure.legend(
            handles=handles, loc="upper left", ncols=columns, bbox_to_anchor=(_LEFT / width, 0.48 / height),
            handlelength=0.9, columnspacing=1.2, borderaxespad=0.0, fontsize=8,
        )  # fmt: skip


def _names(intensities: xr.Dataset) -> list[tuple[str, str]]:
    """Clusters by name, or number, with their colours."""
    ids = intensities["cluster"].values.tolist()
    given = [str(name) for name in intensities["cluster_name"].values] if "cluster_name" in intensities else []
    called = [name or str(number) for name, number in zip(given or [""] * len(ids), ids, strict=True)]
    return list(zip(called, _colours(intensities), strict=True))


def _colours(intensities: xr.Dataset) -> list[str]:
    """Of clusters: those that they were given, else those of all figures."""
    given = [str(one) for one in intensities["cluster_colour"].values] if "cluster_colour" in intensities else []
    ids = intensities["cluster"].values
    numbers = ids if ids.dtype.kind in "iu" and (ids >= 0).all() else np.arange(ids.size)
    every = palette(int(numbers.max(initial=-1)) + 1)
    usual = [every[number] for number in numbers.tolist()]  # of some of the clusters too those of all
    return [one or other for one, other in zip(given or [""] * len(usual), usual, strict=True)]
