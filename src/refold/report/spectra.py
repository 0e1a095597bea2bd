"""What a cluster looks like: its mean signal, as an image, a spectrum or a number, in the cluster's colour."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Literal

import numpy as np

from refold.errors import ParameterError
from refold.report.calibration import ticks
from refold.report.canvas import Look, ThemeName, drawing, new_figure
from refold.report.signals import Display, Floats, Signals, shrink
from refold.report.tally import Tally
from refold.report.words import percent, rounded

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_signal", "mean_signal", "mean_signals", "proportion", "signed_root", "signed_square"]

Statistic = Literal["mean", "std"]

_DECADES = 3.0
_FRAME = 2.4
_THOUSANDS = 1e4
_COLOURS: dict[str, str] = {"mean": "inferno", "std": "cividis"}


def mean_signal(
    dataset: xr.Dataset,
    cluster: int,
    *,
    theme: ThemeName = "light",
    display: Display | None = None,
    cube: str | None = None,
    deviation: bool = False,
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
    cube : str, optional
        Which cube, in a run of several; the first by name if left out.
    deviation : bool
        Whether to draw the pattern of standard deviations below the mean pattern.
    width : float
        Inches of the figure.
    tally, signals : Tally, Signals, optional
        Counts and signals, if they were read already.

    Returns
    -------
    matplotlib.figure.Figure
        An image with its two axes, or a spectrum with a band of one standard deviation, framed in the cluster's colour.
        The mean over all clusters, weighted by size, stands behind a spectrum as a thin grey line. Of a signal that is
        one number, the number among those of all clusters.

    Raises
    ------
    ParameterError
        If there is no such cluster.
    """
    tally = tally or Tally.of(dataset)
    signals = signals or Signals.of(dataset, display, cube=cube)
    if cluster not in tally.ids:
        raise ParameterError(
            found=f"cluster {cluster}", wanted=f"one of {tally.ids}", remedy="Take a number that occurs in labels."
        )
    with drawing(theme) as look:
        both = deviation and signals.is_image and signals.std is not None
        figure, grid = _grid(signals, 2 if both else 1, 1, width, 0.0)
        statistics: tuple[Statistic, ...] = ("mean", "std")
        for axes, statistic in zip(grid, statistics, strict=False):
            bottom = axes is grid[-1]
            draw_signal(
                axes, signals, tally, tally.ids.index(cluster), look, bottom=bottom, left=True, statistic=statistic
            )
        return figure


def mean_signals(
    dataset: xr.Dataset,
    *,
    theme: ThemeName = "light",
    display: Display | None = None,
    cube: str | None = None,
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
        signals = Signals.of(dataset, display, cube=cube)
        columns = _columns(len(tally.ids), signals)
        rows = ceil(len(tally.ids) / columns)
        figure, grid = _grid(signals, rows, columns, width, 0.24)
        for i, axes in enumerate(grid):
            if i >= len(tally.ids):
                axes.remove()
                continue
            bottom, left = i + columns >= len(tally.ids), i % columns == 0
            draw_signal(axes, signals, tally, i, look, bottom=bottom, left=left)
            axes.set_title(f"{tally.title(i)}   {percent(tally.share(i))}", loc="left", pad=4)
        return figure


def _columns(n: int, signals: Signals) -> int:
    most = (4 if n <= 12 else 6 if n <= 30 else 8) if signals.is_image else (2 if n <= 4 else 3 if n <= 15 else 4)
    if n <= most:
        return n
    return min(range(max(most - 1, 2), most + 1), key=lambda c: (-n % c, -c))


def _grid(signals: Signals, rows: int, columns: int, width: float, title: float) -> tuple[Figure, list[Axes]]:
    gap, left, bottom, edge = 0.16, 0.62, 0.46, 0.08
    if not signals.is_image:
        gap, left = 0.3, 0.2
    wide = (width - left - edge - gap * (columns - 1)) / columns
    high = wide * proportion(signals)
    height = rows * (high + title) + (rows - 1) * gap + bottom + edge
    figure = new_figure(width, height)
    made = []
    for row in range(rows):
        top = height - edge - title - row * (high + title + gap)
        for column in range(columns):
            x = left + column * (wide + gap)
            made.append(figure.add_axes((x / width, (top - high) / height, wide / width, high / height)))
    return figure, made


def proportion(signals: Signals) -> float:
    """Height over width of a drawn signal."""
    if not signals.is_image:
        return 0.3 if signals.is_number else 0.5
    down, across = signals.axes
    pixel = 1.0
    if down.step and across.step and down.unit and down.unit == across.unit:
        pixel = down.step / across.step
    return float(np.clip(len(down.values) * pixel / len(across.values), 0.2, 2.0))


def draw_signal(
    axes: Axes,
    signals: Signals,
    tally: Tally,
    position: int,
    look: Look,
    *,
    bottom: bool,
    left: bool,
    statistic: Statistic = "mean",
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
    if signals.is_image:
        _draw_image(axes, signals, row, statistic, bottom=bottom, left=left)
    else:
        (_draw_number if signals.is_number else _draw_spectrum)(axes, signals, row, tally, colour, look)
        axes.set_xlabel(signals.axes[0].label if bottom and not signals.is_number else "")
    if not bottom:
        axes.set_xticklabels([])


def _draw_image(axes: Axes, signals: Signals, row: int, statistic: Statistic, *, bottom: bool, left: bool) -> None:
    down, across = signals.axes
    n_rows, n_columns = len(down.values), len(across.values)
    if statistic == "std" and signals.std is not None:
        image, low, high = _stretch(signals.std[row], signals.spread)
    else:
        image, low, high = _stretch(signals.mean[row], signals.display)
    axes.imshow(
        image, cmap=_COLOURS[statistic], vmin=low, vmax=high, aspect="auto", interpolation="none",
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


def _draw_number(axes: Axes, signals: Signals, row: int, tally: Tally, colour: str, look: Look) -> None:
    """One number: where it stands among those of all clusters, with its deviation."""
    from matplotlib.ticker import EngFormatter, MaxNLocator

    every = signals.mean[:, 0]
    axes.plot(every, np.zeros(len(every)), ls="none", marker="|", markersize=9, color=look.muted, alpha=0.8)
    spread = None if signals.std is None else signals.std[row]
    axes.errorbar(
        signals.mean[row], [0.0], xerr=spread, color=colour, marker="o", markersize=7, lw=2.2, mec=look.paper, zorder=3
    )
    axes.set(ylim=(-1, 1.6), yticks=[])
    deviations = 0.0 if signals.std is None else np.nan_to_num(signals.std[:, 0])
    ends = np.concatenate([every - deviations, every + deviations])
    if np.isfinite(ends).any():  # one scale for all clusters
        low, high = float(np.nanmin(ends)), float(np.nanmax(ends))
        margin = 0.1 * (high - low) or 1.0
        axes.set_xlim(low - margin, high + margin)
    if np.isfinite(every[row]):
        at = (every[row] - axes.get_xlim()[0]) / (axes.get_xlim()[1] - axes.get_xlim()[0])
        side = "left" if at < 0.3 else "right" if at > 0.7 else "center"
        axes.annotate(
            rounded(every[row]), (every[row], 0), xytext=(0, 7), textcoords="offset points", ha=side, va="bottom"
        )
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    if max(map(abs, axes.get_xlim())) > _THOUSANDS:
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))


def _draw_spectrum(axes: Axes, signals: Signals, row: int, tally: Tally, colour: str, look: Look) -> None:
    from matplotlib.ticker import MaxNLocator

    (axis,) = signals.axes
    x = shrink(axis.values, signals.mean.shape[1])
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
    axes.plot(x[order], mean, color=colour, lw=1.3)
    axes.set_xlim(x[order][0], x[order][-1])  # a falling axis stays falling, as the instrument recorded it
    if signals.display != "linear":
        axes.set_yscale("function", functions=(signed_root, signed_square))
    axes.set_yticks([])
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    axes.margins(y=0.06)


def signed_root(values: Floats) -> Floats:
    """Square root of the size, with the sign: a scale that shows weak peaks, and goes below 0."""
    return np.sign(values) * np.sqrt(np.abs(values))


def signed_square(values: Floats) -> Floats:
    """What undoes `signed_root`."""
    return np.sign(values) * np.square(values)
