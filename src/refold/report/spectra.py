"""What a cluster looks like: its mean signal, as an image or as a spectrum, in the cluster's colour."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from refold.errors import ParameterError, VariableError
from refold.report.calibration import Axis, ticks
from refold.report.canvas import Look, ThemeName, drawing, new_figure
from refold.report.tally import Tally, clusters_of
from refold.report.views import load
from refold.report.words import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Display", "Signals", "mean_signal", "mean_signals"]

Display = Literal["linear", "sqrt", "log"]
Floats = NDArray[np.float64]

_SIDE = 256
"""Largest side of a drawn pattern."""
_BINS = 2048
"""Largest number of drawn channels."""
_DECADES = 3.0
_FRAME = 2.4
_COLOURS = "inferno"


@dataclass(frozen=True, slots=True)
class Signals:
    """Mean signals of all clusters, made small enough to draw.

    Attributes
    ----------
    ids : tuple of int
        Clusters, as `labels` numbers them.
    mean, std : numpy.ndarray
        (cluster, channel) or (cluster, row, column); `std` is None where the run has none, or for images.
    axes : tuple of Axis
        One or two.
    display : {"linear", "sqrt", "log"}
        How intensities are drawn.
    """

    ids: tuple[int, ...]
    mean: Floats
    std: Floats | None
    axes: tuple[Axis, ...]
    display: Display

    @classmethod
    def of(cls, dataset: xr.Dataset, display: Display | None = None) -> Signals:
        """Read the mean signals of a run.

        Parameters
        ----------
        dataset : xarray.Dataset
        display : {"linear", "sqrt", "log"}, optional
            By default chosen from the spread of the values: see `choose_display`.

        Raises
        ------
        VariableError
            If the run has no `cluster_mean`.
        """
        if "cluster_mean" not in dataset or "cluster" not in dataset["cluster_mean"].dims:
            raise VariableError(
                found="a run without cluster_mean",
                wanted="cluster_mean (cluster, *signal)",
                remedy="Let refold.cluster_statistics make it.",
            )
        if display not in {None, "linear", "sqrt", "log"}:
            raise ParameterError(
                found=f"display {display!r}",
                wanted="'linear', 'sqrt' or 'log'",
                remedy="Leave it out to let it choose.",
            )
        array = dataset["cluster_mean"].transpose("cluster", ...)
        dims = [str(d) for d in array.dims[1:]]
        axes = tuple(Axis.of(array, d) for d in dims)
        if len(dims) > 2 or not dims:  # no way to draw it but as it lies in memory
            channels = int(np.prod([len(a.values) for a in axes], dtype=int))
            axes = (Axis("channel", np.arange(channels, dtype=float), "", 1.0),)
        limit = _BINS if len(axes) == 1 else _SIDE
        mean = np.array([_shrink(m.reshape([len(a.values) for a in axes]), limit) for m in _each(array)])
        mean = mean.reshape((array.sizes["cluster"], *mean.shape[1:]))
        std = None
        if len(axes) == 1 and "cluster_std" in dataset:
            rows = _each(dataset["cluster_std"].transpose("cluster", ...))
            std = np.array([_shrink(s.ravel(), limit) for s in rows]).reshape(mean.shape)
        return cls(clusters_of(array), mean, std, axes, display or choose_display(mean))


def _each(array: xr.DataArray) -> list[Floats]:
    return [load(array.isel(cluster=i)).astype(np.float64) for i in range(array.sizes["cluster"])]


def _shrink(values: Floats, limit: int) -> Floats:
    """Average neighbours until no side is longer than `limit`."""
    for axis, size in enumerate(values.shape):
        step = ceil(size / limit)
        if step > 1:
            starts = np.arange(0, size, step)
            widths = np.diff(np.append(starts, size)).reshape([-1 if a == axis else 1 for a in range(values.ndim)])
            values = np.add.reduceat(values, starts, axis=axis) / widths
    return values


def choose_display(mean: Floats) -> Display:
    """Choose how to draw intensities: the more the strongest tower over the typical, the flatter the scale.

    Examples
    --------
    >>> choose_display(np.array([[1.0, 2.0, 3.0]])), choose_display(np.array([[1.0] * 99 + [5000.0]]))
    ('linear', 'log')
    """
    values = np.abs(mean[np.isfinite(mean)])
    values = values[values > 0]
    if not values.size:
        return "linear"
    ratio = float(values.max() / np.median(values))
    return "log" if ratio > 1000 else "sqrt" if ratio > 12 else "linear"


def mean_signal(
    dataset: xr.Dataset,
    cluster: int,
    *,
    theme: ThemeName = "light",
    display: Display | None = None,
    width: float = 2.6,
    tally: Tally | None = None,
    signals: Signals | None = None,
) -> Figure:
    """Draw the mean signal of one cluster.

    Parameters
    ----------
    dataset : xarray.Dataset
        A run.
    cluster : int
        Number of the cluster in `labels`.
    theme : {"light", "dark"}
        Colours of paper and ink.
    display : {"linear", "sqrt", "log"}, optional
        How intensities are drawn; chosen from the data by default.
    width : float
        Inches of the figure.
    tally, signals : Tally, Signals, optional
        Counts and signals, if they were read already.

    Returns
    -------
    matplotlib.figure.Figure
        An image with its two axes, or a spectrum with a band of one standard deviation, framed in the cluster's colour.
        The mean over all clusters, weighted by size, stands behind a spectrum as a thin grey line.

    Raises
    ------
    ParameterError
        If there is no such cluster.
    """
    tally = tally or Tally.of(dataset)
    signals = signals or Signals.of(dataset, display)
    if cluster not in tally.ids:
        raise ParameterError(
            found=f"cluster {cluster}", wanted=f"one of {tally.ids}", remedy="Take a number that occurs in labels."
        )
    with drawing(theme) as look:
        figure, (axes,) = _grid(signals, 1, 1, width, 0.0)
        draw_signal(axes, signals, tally, tally.ids.index(cluster), look, bottom=True, left=True)
        return figure


def mean_signals(
    dataset: xr.Dataset,
    *,
    theme: ThemeName = "light",
    display: Display | None = None,
    width: float = 9.0,
    tally: Tally | None = None,
) -> Figure:
    """Draw the mean signals of all clusters side by side, each framed in its colour.

    See `mean_signal` for the parameters.

    Returns
    -------
    matplotlib.figure.Figure
        A grid in the order of the clusters, with number and share above each. Without clusters it says so.
    """
    tally = tally or Tally.of(dataset)
    with drawing(theme) as look:
        if not tally.ids:
            figure = new_figure(width / 2, 0.8)
            figure.text(0.5, 0.5, "No cluster was found.", ha="center", va="center", color=look.muted)
            return figure
        signals = Signals.of(dataset, display)
        columns = _columns(len(tally.ids), len(signals.axes))
        rows = ceil(len(tally.ids) / columns)
        figure, grid = _grid(signals, rows, columns, width, 0.24)
        for i, axes in enumerate(grid):
            if i >= len(tally.ids):
                axes.remove()
                continue
            bottom, left = i + columns >= len(tally.ids), i % columns == 0
            draw_signal(axes, signals, tally, i, look, bottom=bottom, left=left)
            axes.set_title(f"{tally.ids[i]}   {percent(tally.share(i))}", loc="left", pad=4)
        return figure


def _columns(n: int, dims: int) -> int:
    most = (4 if n <= 12 else 6 if n <= 30 else 8) if dims == 2 else (2 if n <= 4 else 3 if n <= 15 else 4)
    if n <= most:
        return n
    return min(range(max(most - 1, 2), most + 1), key=lambda c: (-n % c, -c))


def _grid(signals: Signals, rows: int, columns: int, width: float, title: float) -> tuple[Figure, list[Axes]]:
    gap, left, bottom, edge = 0.16, 0.62, 0.46, 0.08
    if len(signals.axes) == 1:
        gap, left = 0.3, 0.2
    wide = (width - left - edge - gap * (columns - 1)) / columns
    high = wide * _proportion(signals)
    height = rows * (high + title) + (rows - 1) * gap + bottom + edge
    figure = new_figure(width, height)
    made = []
    for row in range(rows):
        top = height - edge - title - row * (high + title + gap)
        for column in range(columns):
            x = left + column * (wide + gap)
            made.append(figure.add_axes((x / width, (top - high) / height, wide / width, high / height)))
    return figure, made


def _proportion(signals: Signals) -> float:
    if len(signals.axes) == 1:
        return 0.5
    down, across = signals.axes
    pixel = 1.0
    if down.step and across.step and down.unit and down.unit == across.unit:
        pixel = down.step / across.step
    return float(np.clip(len(down.values) * pixel / len(across.values), 0.2, 2.0))


def draw_signal(
    axes: Axes, signals: Signals, tally: Tally, position: int, look: Look, *, bottom: bool, left: bool
) -> None:
    """Draw one cluster's signal on axes that are there already."""
    colour = tally.colours[position]
    for spine in axes.spines.values():
        spine.set(visible=True, color=colour, linewidth=_FRAME)
    if tally.ids[position] not in signals.ids:
        axes.text(0.5, 0.5, "no mean", ha="center", va="center", color=look.muted, transform=axes.transAxes)
        axes.set(xticks=[], yticks=[])
        return
    row = signals.ids.index(tally.ids[position])
    if len(signals.axes) == 2:
        _draw_image(axes, signals, row, bottom=bottom, left=left)
    else:
        _draw_spectrum(axes, signals, row, tally, colour, look)
        axes.set_xlabel(signals.axes[0].label if bottom else "")
    if not bottom:
        axes.set_xticklabels([])


def _draw_image(axes: Axes, signals: Signals, row: int, *, bottom: bool, left: bool) -> None:
    down, across = signals.axes
    n_rows, n_columns = len(down.values), len(across.values)
    image, low, high = _stretch(signals.mean[row], signals.display)
    axes.imshow(
        image, cmap=_COLOURS, vmin=low, vmax=high, aspect="auto", interpolation="none",
        extent=(-0.5, n_columns - 0.5, n_rows - 0.5, -0.5),
    )  # fmt: skip
    axes.set_xticks(*ticks(across, 3))
    axes.set_yticks(*ticks(down, 3))
    axes.set_xlabel(across.label if bottom else "")
    axes.set_ylabel(down.label if left else "")
    if not left:
        axes.set_yticklabels([])


def _stretch(image: Floats, display: Display) -> tuple[Floats, float, float]:
    """Values as drawn, and those of the first and the last colour."""
    finite = image[np.isfinite(image)]
    if not finite.size:
        return image, 0.0, 1.0
    if display == "log":
        top = float(finite.max())
        floor = max(top * 10**-_DECADES, float(np.percentile(finite, 1))) if top > 0 else 1.0
        drawn = np.log10(np.maximum(image, min(floor, max(top * 0.999, 1e-300))))
    elif display == "sqrt":
        drawn = np.sign(image) * np.sqrt(np.abs(image))
    else:
        drawn = image
    values = drawn[np.isfinite(drawn)]
    # the direct beam is a few thousandths of a pattern: it may saturate, else the reflections are black
    low, high = float(np.percentile(values, 0.5)), float(np.percentile(values, 100 if display == "linear" else 99.7))
    return drawn, low, high if high > low else low + 1.0


def _draw_spectrum(axes: Axes, signals: Signals, row: int, tally: Tally, colour: str, look: Look) -> None:
    from matplotlib.ticker import MaxNLocator

    (axis,) = signals.axes
    x = _shrink(axis.values, _BINS)
    order = np.arange(len(x)) if axis.monotonic else np.argsort(x)
    known = dict(zip(tally.ids, tally.sizes, strict=True))
    sizes = np.array([known.get(i, 0) for i in signals.ids], dtype=float)
    if sizes.sum() > 0 and len(sizes) > 1:
        everyone = (signals.mean * sizes[:, None]).sum(axis=0) / sizes.sum()
        axes.plot(x[order], everyone[order], color=look.muted, lw=0.7, alpha=0.8)
    mean = signals.mean[row][order]
    if signals.std is not None:
        std = signals.std[row][order]
        axes.fill_between(x[order], mean - std, mean + std, color=colour, alpha=0.28, lw=0)
    axes.plot(x[order], mean, color=colour, lw=1.3, marker="o" if len(x) == 1 else None)
    if len(x) > 1:
        first, last = x[order][0], x[order][-1]
        axes.set_xlim(first, last)  # a falling axis stays falling, as the instrument recorded it
    if signals.display != "linear":
        axes.set_yscale("function", functions=(_signed_root, _signed_square))
    axes.set_yticks([])
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    axes.margins(y=0.06)


def _signed_root(values: Floats) -> Floats:
    return np.sign(values) * np.sqrt(np.abs(values))


def _signed_square(values: Floats) -> Floats:
    return np.sign(values) * np.square(values)
