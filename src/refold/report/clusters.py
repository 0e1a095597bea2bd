"""Everything about each cluster side by side: its signal in every cube, how that varies, and where it is likely."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from typing import TYPE_CHECKING

import numpy as np

from refold.errors import VariableError
from refold.report.canvas import Look, ThemeName, drawing, new_figure
from refold.report.colours import ink_on
from refold.report.layout import place, ramp
from refold.report.memberships import COLOURS, Memberships, draw_membership, memberships_name
from refold.report.signals import Signals, cubes_of
from refold.report.spectra import Statistic, draw_signal, proportion
from refold.report.tally import Tally
from refold.report.words import percent

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["cluster_gallery"]

_GAP, _TITLE, _HEAD, _FOOT, _EDGE = 0.12, 0.26, 0.14, 0.6, 0.1
_BETWEEN = 0.36
_TALLEST = 1.35  # height of the whole over its width
_HIGH = (0.75, 2.2)  # of a cell
_PIXELS = 3 << 20  # about so many in all patterns of all clusters together


@dataclass(frozen=True, slots=True)
class _Cell:
    """One picture of a cluster: a statistic of a cube's signal, or its map."""

    title: str
    wide: float
    """Width over height."""
    source: Signals | Memberships
    statistic: Statistic = "mean"


def cluster_gallery(
    dataset: xr.Dataset, *, theme: ThemeName = "light", width: float = 10.0, tally: Tally | None = None
) -> Figure:
    """Draw every cluster's mean and standard deviation in every cube, and where it is likely, framed in its colour.

    Parameters
    ----------
    dataset : xarray.Dataset
        A run with `cluster_mean` and `cluster_std`, or with those of several cubes (`cluster_mean_<cube>`), and with
        `membership` or `probability`. What it lacks is left out.
    theme : {"light", "dark"}
        Colours of paper and ink.
    width : float
        Inches of the figure; less for few clusters, more for many in several cubes.
    tally : Tally, optional
        Counts of the labels, if they were made already.

    Returns
    -------
    matplotlib.figure.Figure
        A row for each cluster: mean pattern, pattern of standard deviations, mean spectrum with a band of one
        standard deviation, map of the membership. Many clusters stand in several columns of smaller rows.

    Raises
    ------
    VariableError
        If the run has neither mean signals nor a membership.

    Notes
    -----
    Each pattern is scaled to itself; spectra and maps have one scale. All patterns together have about three million
    pixels, all maps about one.
    """
    tally = tally or Tally.of(dataset)
    cells = _cells(dataset, tally)
    if not cells:
        raise VariableError(
            found="a run without cluster_mean, membership or probability",
            wanted="any of them",
            remedy="Let refold.cluster_statistics make cluster_mean.",
        )
    n = len(tally.ids)
    with drawing(theme) as look:
        if not n:
            figure = new_figure(width / 2, 0.8)
            figure.text(0.5, 0.5, "No cluster was found.", ha="center", va="center", color=look.muted)
            return figure
        columns, high = _arrange(n, [cell.wide for cell in cells], width)
        head = _HEAD * max(cell.title.count("\n") + 1 for cell in cells)
        rows = ceil(n / columns)
        strip = high * sum(cell.wide for cell in cells) + _GAP * (len(cells) - 1)
        used = columns * strip + _BETWEEN * (columns - 1) + 2 * _EDGE
        figure = new_figure(used, head + rows * (high + _TITLE) + _FOOT + _EDGE)
        for i in range(n):
            row, column = i % rows, i // rows  # down, then across: numbers run as in a list
            left, top = _EDGE + column * (strip + _BETWEEN), _EDGE + head + row * (high + _TITLE)
            last = row == rows - 1 or i == n - 1
            made = _strip(figure, cells, tally, i, look, (left, top + _TITLE, high), last=last)
            _badge(figure, tally, i, left, top + _TITLE - 0.06, look)
            if row == 0:
                for axes, cell in zip(made, cells, strict=True):
                    _heading(figure, axes, cell, look)
        _foot(figure, cells, high, look)
        return figure


def _cells(dataset: xr.Dataset, tally: Tally) -> list[_Cell]:
    cells = []
    cubes = cubes_of(dataset)
    side = int(np.clip(sqrt(_PIXELS / max(2 * len(tally.ids) * max(len(cubes), 1), 1)), 48, 256))
    for cube in cubes:
        signals = Signals.of(dataset, cube=cube, side=side)
        name = f"{cube}\n" if cube else ""
        if not signals.is_image:
            band = "" if signals.std is None else " ± std"
            cells.append(_Cell(f"{name}mean{band}", 1.4 if signals.is_number else 2.0, signals))
            continue
        wide = 1 / proportion(signals)
        cells.append(_Cell(f"{name}mean", wide, signals))
        if signals.std is not None:
            cells.append(_Cell(f"{name}std", wide, signals, "std"))
    if memberships_name(dataset):
        maps = Memberships.of(dataset, tally)
        cells.append(_Cell(maps.name, float(np.clip(1 / maps.proportion, 0.3, 2.4)), maps))
    return cells


def _arrange(n: int, wides: Sequence[float], width: float) -> tuple[int, float]:
    """Fewest columns of rows with which the whole is not much higher than wide, and the height of a cell."""
    columns, high = 1, _HIGH[1]
    for columns in range(1, n + 1):
        room = (width - 2 * _EDGE - _BETWEEN * (columns - 1)) / columns - _GAP * (len(wides) - 1)
        high = float(np.clip(room / sum(wides), *_HIGH))
        used = columns * (high * sum(wides) + _GAP * (len(wides) - 1) + _BETWEEN)
        if ceil(n / columns) * (high + _TITLE) <= _TALLEST * used:
            break
    return columns, high


def _strip(
    figure: Figure,
    cells: Sequence[_Cell],
    tally: Tally,
    position: int,
    look: Look,
    at: tuple[float, float, float],
    *,
    last: bool,
) -> list[Axes]:
    x, top, high = at
    made = []
    for cell in cells:
        axes = place(figure, x, top, high * cell.wide, high)
        x += high * cell.wide + _GAP
        if isinstance(cell.source, Memberships):
            draw_membership(axes, cell.source, tally, position, look)
            if cell.source.line and last:
                cell.source.tick(axes)
                _few_ticks(axes, 4)
        else:
            draw_signal(axes, cell.source, tally, position, look, bottom=last, left=False, statistic=cell.statistic)
            axes.set_yticks([])
            _few_ticks(axes, 2 if high * cell.wide < 1.2 else 4)
        made.append(axes)
    return made


def _few_ticks(axes: Axes, most: int) -> None:
    """Ticks inside the axes alone, whose outer numbers do not run into the next cell."""
    low, high = sorted(axes.get_xlim())
    chosen = [(x, text.get_text()) for x, text in zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)]
    chosen = [(x, text) for x, text in chosen if low <= x <= high]
    if len(chosen) > most:
        chosen = [chosen[0], chosen[-1]]
    axes.set_xticks([x for x, _ in chosen], [text for _, text in chosen])
    for x, label in zip(axes.get_xticks(), axes.get_xticklabels(), strict=True):
        place_of = (x - axes.get_xlim()[0]) / (axes.get_xlim()[1] - axes.get_xlim()[0])
        label.set_horizontalalignment("left" if place_of < 0.1 else "right" if place_of > 0.9 else "center")


def _badge(figure: Figure, tally: Tally, position: int, x: float, bottom: float, look: Look) -> None:
    width, height = figure.get_size_inches()
    colour, number = tally.colours[position], str(tally.ids[position])
    figure.text(
        (x + 0.03) / width, 1 - bottom / height, number, ha="left", va="bottom", fontsize=8, color=ink_on(colour),
        fontweight="bold", bbox={"boxstyle": "round,pad=0.15", "facecolor": colour, "edgecolor": "none"},
    )  # fmt: skip
    figure.text(
        (x + 0.14 + 0.085 * len(number)) / width, 1 - bottom / height, percent(tally.share(position)),
        ha="left", va="bottom", fontsize=8, color=look.muted,
    )  # fmt: skip


def _heading(figure: Figure, axes: Axes, cell: _Cell, look: Look) -> None:
    _, height = figure.get_size_inches()
    box = axes.get_position()
    figure.text(
        (box.x0 + box.x1) / 2, 1 - _EDGE / height, cell.title, ha="center", va="top", fontsize=8, color=look.ink
    )


def _foot(figure: Figure, cells: Sequence[_Cell], high: float, look: Look) -> None:
    maps = next((cell.source for cell in cells if isinstance(cell.source, Memberships)), None)
    if maps is None or maps.line:
        return
    width, height = figure.get_size_inches()
    long = max(min(1.6, cells[-1].wide * high), 0.5)
    ramp(place(figure, width - long - _EDGE, height - 0.24, long, 0.08), 0, 1, COLOURS, "", look)
