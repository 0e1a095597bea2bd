"""What clusters are mixed of: spectra of components with their weight in each cluster, and where they are."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from refold.errors import VariableError
from refold.reduce.rebuilding import Components, kept_components
from refold.report.calibration import Axis, ticks
from refold.report.canvas import Look, ThemeName, drawing, new_figure
from refold.report.components import loadings
from refold.report.layout import place
from refold.report.signals import Display, choose_display, shrink

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["abundance_maps", "unmixing"]

Floats = NDArray[np.float64]

_INK = "#0072b2"
_EDGE, _GAP, _TITLE = 0.1, 0.3, 0.24
_FOOT = (0.55, 0.95)  # inches below numbers, and below names
_HIGH = 1.15  # inches of a row
_BAR = (0.16, 0.42)  # inches of a bar, at least and at most
_BINS, _SIDE = 2048, 256
_NAMED = 9  # letters of a name below a bar


def unmixing(found: Any, *, theme: ThemeName = "light", width: float = 8.0, display: Display | None = None) -> Figure:
    """Draw the components that clusters are mixed of, and how much of each is in each cluster.

    Parameters
    ----------
    found : Unmixed
        What `refold.unmix` returned.
    theme : {"light", "dark"}
        Colours of paper and ink.
    width : float
        Inches of the figure; more where there are many clusters.
    display : {"linear", "sqrt", "log"}, optional
        How intensities are drawn; by default chosen from their spread.

    Returns
    -------
    matplotlib.figure.Figure
        A row for each component: its spectrum or pattern, and its weight in each cluster as bars in the clusters'
        colours, all on one scale.

    Raises
    ------
    VariableError
        If it is no such result.
    """
    components, weights = getattr(found, "components", None), getattr(found, "weights", None)
    if not isinstance(components, xr.DataArray) or not isinstance(weights, xr.DataArray):
        raise VariableError(
            f"a {type(found).__name__} without components and weights",
            "what the spectra of clusters were unmixed into",
            "draw what refold.unmix returned",
        )
    with drawing(theme) as look:
        bars = max(2.3, len(found.clusters) * float(np.clip(0.4 * width / max(len(found.clusters), 1), *_BAR)))
        signal = Signal.of(components, display)
        wide = _HIGH / signal.proportion if signal.pattern else width - bars - 2 * _GAP - 2 * _EDGE
        left = _EDGE + (0.6 if signal.pattern else 0.0)
        step = _HIGH + _TITLE + _GAP
        count = components.sizes["component"]
        foot = _FOOT[_named(found)]
        figure = new_figure(left + wide + _GAP + 0.25 + bars + _EDGE, count * step - _GAP + foot + _EDGE)
        top = float(max(np.nanmax(weights.values), 0.0)) or 1.0
        for i in range(count):
            y, last = _EDGE + _TITLE + i * step, i == count - 1
            spectrum = place(figure, left, y, wide, _HIGH)
            spectrum.set_title(f"component {i}", loc="left", pad=4)
            signal.draw(spectrum, i, look, last=last)
            _bars(place(figure, left + wide + _GAP + 0.25, y, bars, _HIGH), found, i, top, look, last=last)
        return figure


class Signal:
    """Components as they are drawn.

    Parameters
    ----------
    values : numpy.ndarray
        (component, channel) or (component, row, column).
    axes : list of Axis
        One or two.
    display : {"linear", "sqrt", "log"}
        How intensities are drawn.
    """

    def __init__(self, values: Floats, axes: list[Axis], display: Display) -> None:
        self.values = values
        self.axes = axes
        self.display = display

    @classmethod
    def of(cls, components: xr.DataArray, display: Display | None) -> Signal:
        """Read components, made small enough to draw."""
        array = components.transpose("component", ...)
        dims = [str(dim) for dim in array.dims[1:] if array.sizes[dim] > 1] or [str(dim) for dim in array.dims[1:2]]
        axes = [Axis.of(array, dim) for dim in dims]
        if len(axes) > 2:
            axes = [Axis("channel", np.arange(array[0].size, dtype=float), "", 1.0)]
        images = np.asarray(array.values, float).reshape(len(array), *(len(axis.values) for axis in axes))
        limit = _BINS if len(axes) == 1 else _SIDE
        values = np.array([shrink(image, limit) for image in images])
        return cls(values, axes, display or choose_display(values))

    @property
    def pattern(self) -> bool:
        """Whether components are pictures."""
        return len(self.axes) == 2

    @property
    def proportion(self) -> float:
        """Height over width of a picture."""
        down, across = self.axes
        same = down.step and across.step and down.unit and down.unit == across.unit
        pixel = down.step / across.step if same and down.step and across.step else 1.0
        return float(np.clip(len(down.values) * pixel / len(across.values), 0.25, 2))

    def draw(self, axes: Axes, i: int, look: Look, *, last: bool) -> None:
        """Draw one of them."""
        if self.pattern:
            self._draw_pattern(axes, i, last=last)
        else:
            self._draw_spectrum(axes, i, look, last=last)
        if not last:
            axes.set_xticklabels([])

    def _draw_pattern(self, axes: Axes, i: int, *, last: bool) -> None:
        down, across = self.axes
        image = np.sqrt(np.maximum(self.values[i], 0)) if self.display != "linear" else self.values[i]
        extent = (-0.5, len(across.values) - 0.5, len(down.values) - 0.5, -0.5)
        axes.imshow(image, cmap="inferno", aspect="auto", interpolation="none", extent=extent)
        axes.set_xticks(*ticks(across, 3))
        axes.set_yticks(*ticks(down, 3))
        axes.set(xlabel=across.label if last else "", ylabel=down.label)

    def _draw_spectrum(self, axes: Axes, i: int, look: Look, *, last: bool) -> None:
        from matplotlib.ticker import MaxNLocator

        (axis,) = self.axes
        x = shrink(axis.values, self.values.shape[1])
        order = np.arange(len(x)) if axis.monotonic else np.argsort(x)
        axes.axhline(0, color=look.line, lw=0.8)
        axes.fill_between(x[order], self.values[i][order], color=_INK, alpha=0.18, lw=0)
        axes.plot(x[order], self.values[i][order], color=_INK, lw=1.1, marker="o" if len(x) == 1 else None)
        if len(x) > 1:
            axes.set_xlim(x[order][0], x[order][-1])  # a falling axis stays falling, as the instrument recorded it
        if self.display != "linear":
            axes.set_yscale("function", functions=(_root, np.square))
        axes.set_yticks([])
        axes.set_ylim(0, None)
        axes.spines["left"].set_visible(False)
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        axes.set_xlabel(axis.label if last else "")


def _root(values: Floats) -> Floats:
    return np.sqrt(np.maximum(values, 0))


def _bars(axes: Axes, found: Any, i: int, top: float, look: Look, *, last: bool) -> None:
    heights = found.weights.values[:, i]
    colours = [cluster.colour for cluster in found.clusters]
    places = np.arange(len(heights))
    axes.bar(places, heights, color=colours, width=0.8)
    axes.set(xlim=(-0.6, len(heights) - 0.4), ylim=(0, top * 1.04))
    axes.set_xticks(places, [_short(cluster) for cluster in found.clusters] if last else [])
    axes.tick_params(axis="x", length=0, rotation=90 if _named(found) else 0)
    axes.yaxis.set_major_locator(_few_ticks())
    if i == 0:
        what = "share of the signal" if found.normalised else "weight"
        axes.set_title(f"{what} in each cluster", loc="left", pad=4, color=look.muted)


def _few_ticks() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(3, steps=[1, 2, 5, 10])


def _named(found: Any) -> bool:
    """Whether anything longer than a number is written below the bars."""
    return any(len(_short(cluster)) > 2 for cluster in found.clusters)


def _short(cluster: Any) -> str:
    if cluster.name == f"cluster {cluster.number}":
        return str(cluster.number)
    return cluster.name if len(cluster.name) <= _NAMED else f"{cluster.name[: _NAMED - 1]}…"


def abundance_maps(
    abundances: xr.DataArray, components: Components = None, *, theme: ThemeName = "light", width: float = 7.2
) -> Figure:
    """Draw where each component is, and how much of it.

    Parameters
    ----------
    abundances : xarray.DataArray
        ``(*navigation, component)``, lazy or not: what `refold.phases.Unmixed.abundances` gives.
    components : int, sequence of int or None
        The first so many, or these; all by default.
    theme : {"light", "dark"}
        Colours of paper and ink.
    width : float
        Inches of the figure.

    Returns
    -------
    matplotlib.figure.Figure
        A map each, as `refold.figures.loadings` draws them. Pixels without an answer are hatched.

    Raises
    ------
    VariableError
        If they have no dim `component`.
    ParameterError
        If there is no such component.
    """
    if not isinstance(abundances, xr.DataArray) or "component" not in abundances.dims:
        raise VariableError(
            f"a {type(abundances).__name__} without the dim component",
            "abundances of components",
            "draw what refold.unmix(run, …).abundances() returned",
        )
    chosen = components
    if components is None:
        chosen = list(range(abundances.sizes["component"]))
    elif not isinstance(components, int):
        chosen = [i for i in components if kept_components([i], abundances.sizes["component"])]
    return loadings(SimpleNamespace(loadings=abundances), chosen, theme=theme, width=width)
