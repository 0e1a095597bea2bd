"""What components look like and where they are: factors as spectra or patterns, loadings as maps or profiles."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from refold.errors import VariableError
from refold.reduce.rebuilding import Components, kept_components
from refold.report.calibration import Axis, scale_bar, ticks
from refold.report.canvas import Look, ThemeName, drawing, new_figure, quiet
from refold.report.colours import INVALID
from refold.report.layout import axes_of, place, proportion_of, ramp
from refold.report.views import block_mean, panels
from refold.report.words import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["factors", "loadings"]

Floats = NDArray[np.float64]

_ACCENT = "#0072b2"
_FEW = 12  # components drawn unless more are asked for
_AT_ONCE = 256 << 20  # bytes of lazy loadings that are computed in one read; more are read part by part
_SIDES = (64, 512)
_PIXELS = 1 << 21
_EDGE, _GAP, _TITLE = 0.1, 0.22, 0.24
_LABEL = 0.12  # half of what is written at the first tick


def factors(found: Any, components: Components = None, *, theme: ThemeName = "light", width: float = 7.2) -> Figure:
    """Draw what each component looks like: HyperSpy's ``plot_decomposition_factors``.

    Parameters
    ----------
    found : Decomposition, or anything with `factors`; or a fitted estimator of `refold`
        Factors of dims ``(component, *signal)``.
    components : int, sequence of int or None
        The first so many, or these; by default those up to the elbow, at most 12.
    theme : {"light", "dark"}
        Colours of paper and ink.
    width : float
        Inches of the figure.

    Returns
    -------
    matplotlib.figure.Figure
        A spectrum each on the signal's axis; a pattern, where signals are two-dimensional, in blue and red where it has
        both signs. Masked channels are gaps.

    Raises
    ------
    VariableError
        If there are no factors.
    ParameterError
        If there is no such component.
    """
    array = _array(found, "factors")
    chosen = _chosen(found, array, components)
    values = array.transpose("component", ...).isel(component=chosen)
    dims = [dim for dim in values.dims[1:] if values.sizes[dim] > 1] or list(values.dims[1:2])
    axes = [Axis.of(values, str(dim)) for dim in dims]
    images = np.asarray(values.values, float).reshape(len(chosen), *(len(axis.values) for axis in axes))
    shape, pattern = (0.55, False)
    if len(axes) == 2:
        shape, pattern = _pattern_proportion(axes), True
    with drawing(theme) as look:
        columns = _columns(len(chosen), shape)
        margin = 0.55 if pattern else _LABEL
        figure, grid = _grid(len(chosen), columns, shape, width, look, foot=0.5, left=margin)
        for i, (place_, image) in enumerate(zip(grid, images, strict=True)):
            place_.set_title(_title(found, chosen[i]), loc="left", pad=4)
            last, first = i + columns >= len(chosen), i % columns == 0
            if pattern:
                _pattern(place_, image, axes, last=last, first=first)
            else:
                _spectrum(place_, image.reshape(-1), axes, look, last=last)
        return figure


def loadings(found: Any, components: Components = None, *, theme: ThemeName = "light", width: float = 7.2) -> Figure:
    """Draw where each component is: HyperSpy's ``plot_decomposition_loadings``.

    Parameters
    ----------
    found : Decomposition, or anything with `loadings`
        Loadings of dims ``(*navigation, component)``. Lazy ones are computed, in one read of the cube where those drawn
        take less than 256 MB: ``decomposition.load()`` keeps them.
    components, theme, width
        As for `factors`.

    Returns
    -------
    matplotlib.figure.Figure
        A map each, with its own colours from the 1st to the 99th percentile; the middle slice of a stack; a profile
        along a line scan. Pixels without a loading are hatched.

    Raises
    ------
    VariableError
        If there are no loadings.
    ParameterError
        If there is no such component.
    """
    array = _array(found, "loadings")
    chosen = _chosen(found, array, components)
    array = array.transpose(..., "component").isel(component=chosen)
    if array.chunks is not None and array.nbytes <= _AT_ONCE:
        array = array.compute()
    maps = array.isel(component=0, drop=True)
    every = panels(maps)
    panel = every[len(every) // 2]
    across, down, line = axes_of(maps, panel)
    side = int(np.clip(sqrt(_PIXELS / len(chosen)), *_SIDES))
    images = np.moveaxis(block_mean(array, panel, side, layer="component"), -1, 0)
    shape = 0.4 if line else float(np.clip(proportion_of(panel, across, down), 0.25, 4))
    with drawing(theme) as look:
        columns = _columns(len(chosen), shape)
        below = 0.0 if line else 0.3
        figure, grid = _grid(
            len(chosen), columns, shape, width, look, foot=0.5, below=below, left=_LABEL if line else 0.0
        )
        for i, (place_, image) in enumerate(zip(grid, images, strict=True)):
            place_.set_title(_title(found, chosen[i]), loc="left", pad=4)
            if line:
                _profile(place_, image.ravel(), across, look, last=i + columns >= len(chosen))
            else:
                _map(figure, place_, image, look)
        if not line:
            _bar(figure, grid[0], across, panel.shape[1], look)
        return figure


def _array(found: Any, name: str) -> xr.DataArray:
    array = found.get(name) if isinstance(found, xr.Dataset) else getattr(found, name, None)
    if array is None and name == "factors" and hasattr(found, "components_") and hasattr(found, "variables"):
        array = found.variables()["components"]
    if not isinstance(array, xr.DataArray) or "component" not in array.dims:
        raise VariableError(
            found=f"a {type(found).__name__} without {name}",
            wanted=f"{name} of components",
            remedy="Draw what refold.decompose returns.",
        )
    return array


def _chosen(found: Any, array: xr.DataArray, components: Components) -> list[int]:
    count = array.sizes["component"]
    if components is None:
        significant = getattr(found, "number_significant_components", None)
        return list(range(min(significant or count, _FEW, count)))
    if isinstance(components, Sequence):
        return [component for component in components if kept_components([component], count)]
    return list(kept_components(components, count) or ())


def _title(found: Any, component: int) -> str:
    share = getattr(found, "explained_variance_ratio", getattr(found, "explained_variance_ratio_", None))
    return f"{component}" if share is None else f"{component}   {percent(float(np.asarray(share)[component]))}"


def _columns(n: int, proportion: float) -> int:
    """As many as make the whole about as high as wide."""
    most = max(2, min(round(sqrt(1.4 * n * (proportion + 0.2))), 6))
    return n if n <= most else min(range(max(most - 1, 2), most + 2), key=lambda c: (-n % c, -c))


def _grid(
    n: int,
    columns: int,
    proportion: float,
    width: float,
    look: Look,
    *,
    foot: float,
    below: float = 0.0,
    left: float = 0.0,
) -> tuple[Figure, list[Axes]]:
    wide = min((width - 2 * _EDGE - left - _GAP * (columns - 1)) / columns, 3.4)
    high, rows = wide * proportion, ceil(n / columns)
    step = high + _TITLE + _GAP + below
    figure = new_figure(columns * wide + (columns - 1) * _GAP + left + 2 * _EDGE, rows * step - _GAP + foot + _EDGE)
    made = []
    for i in range(n):
        row, column = divmod(i, columns)
        made.append(place(figure, _EDGE + left + column * (wide + _GAP), _EDGE + _TITLE + row * step, wide, high))
    return figure, made


def _spectrum(axes: Axes, values: Floats, signal: list[Axis], look: Look, *, last: bool) -> None:
    from matplotlib.ticker import MaxNLocator

    single = len(signal) == 1
    x = signal[0].values if single else np.arange(len(values), dtype=float)
    order = np.argsort(x) if single and not signal[0].monotonic else np.arange(len(x))
    axes.axhline(0, color=look.line, lw=0.8)
    axes.plot(x[order], values[order], color=_ACCENT, lw=1.1, marker="o" if len(x) == 1 else None)
    if len(x) > 1:
        axes.set_xlim(x[order][0], x[order][-1])  # a falling axis stays falling, as the instrument recorded it
    axes.set_yticks([])
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    axes.spines["left"].set_visible(False)
    axes.margins(y=0.06)
    if last:
        axes.set_xlabel(signal[0].label if single else "channel")
    else:
        axes.set_xticklabels([])


def _pattern(axes: Axes, image: Floats, signal: list[Axis], *, last: bool, first: bool) -> None:
    down, across = signal
    finite = image[np.isfinite(image)]
    low, high = (float(v) for v in np.percentile(finite, [0.3, 99.7])) if finite.size else (0.0, 1.0)
    colours = "inferno"
    if low < 0 < high:
        high = max(-low, high)
        low, colours = -high, "RdBu_r"
    axes.imshow(
        image, cmap=colours, vmin=low, vmax=high if high > low else low + 1, aspect="auto", interpolation="none"
    )
    axes.set_xticks(*ticks(across, 3))
    axes.set_yticks(*ticks(down, 3))
    axes.set_xlabel(across.label if last else "")
    axes.set_ylabel(down.label if first else "")
    if not last:
        axes.set_xticklabels([])
    if not first:
        axes.set_yticklabels([])


def _pattern_proportion(signal: list[Axis]) -> float:
    down, across = signal
    same = down.step and across.step and down.unit and down.unit == across.unit
    pixel = down.step / across.step if same and down.step and across.step else 1.0
    return float(np.clip(len(down.values) * pixel / len(across.values), 0.25, 2))


def _map(figure: Figure, axes: Axes, image: Floats, look: Look) -> None:
    quiet(axes)
    finite = image[np.isfinite(image)]
    low, high = (float(v) for v in np.percentile(finite, [1, 99])) if finite.size else (0.0, 1.0)
    if not high > low:
        high = low + (abs(low) * 0.01 or 1.0)
    if finite.size < image.size:
        axes.patch.set(hatch="//////", edgecolor=INVALID, linewidth=0)
    axes.imshow(image, cmap="viridis", vmin=low, vmax=high, aspect="auto", interpolation="none")
    box, high_inches = axes.get_position(), figure.get_size_inches()[1]
    strip = figure.add_axes((box.x0, box.y0 - 0.1 / high_inches, box.width, 0.06 / high_inches))
    ramp(strip, low, high, "viridis", "", look)


def _profile(axes: Axes, values: Floats, across: Axis, look: Look, *, last: bool) -> None:
    size = len(across.values)
    positions = (np.arange(len(values)) + 0.5) * size / len(values) - 0.5
    axes.axhline(0, color=look.line, lw=0.8)
    axes.plot(positions, values, color=_ACCENT, lw=1.2, marker="o" if size == 1 else None)
    axes.set(xlim=(-0.5, size - 0.5), yticks=[])
    axes.set_xticks(*ticks(across, 4))
    axes.spines["left"].set_visible(False)
    if last:
        axes.set_xlabel(across.label)
    else:
        axes.set_xticklabels([])


def _bar(figure: Figure, first: Axes, across: Axis, pixels: int, look: Look) -> None:
    """A scale bar below the first column."""
    length, text = scale_bar(across, pixels)
    width, height = figure.get_size_inches()
    axes = place(figure, _EDGE, height - 0.36, first.get_position().width * width, 0.36)
    axes.set(xlim=(0, pixels), ylim=(0, 0.36))
    axes.plot([0, length], [0.3] * 2, color=look.ink, lw=3, solid_capstyle="butt")
    axes.text(0, 0.22, text, ha="left", va="top", color=look.ink)
    quiet(axes)
