"""One wide picture of a run, for a talk or a first page."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from refold.report.canvas import Look, ThemeName, drawing
from refold.report.latent import draw_points
from refold.report.layout import Sheet, sheet
from refold.report.maps import draw_labels
from refold.report.points import Points, latent_name
from refold.report.signals import Signals, cubes_of
from refold.report.spectra import draw_signal
from refold.report.tally import Tally, labels_of, validity_of
from refold.report.words import percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["overview"]

_MAP = 4.4
_GAP = 0.3
_TITLE = 0.22
_LEAST = 3.3
_STRIP = 1.6


def overview(dataset: xr.Dataset, *, theme: ThemeName = "light", tally: Tally | None = None) -> Figure:
    """Draw the label map, the mean signals of the largest clusters and the latent space beside one another.

    Parameters
    ----------
    dataset : xarray.Dataset
        A run. What it lacks is left out of the picture.
    theme : {"light", "dark"}
        Colours of paper and ink.
    tally : Tally, optional
        Counts of the labels, if they were made already.

    Returns
    -------
    matplotlib.figure.Figure
    """
    tally = tally or Tally.of(dataset)
    labels = labels_of(dataset)
    validity = validity_of(dataset) if tally.invalid else None
    signals = Signals.of(dataset) if cubes_of(dataset) and tally.ids else None
    points = Points.of(dataset, tally) if latent_name(dataset) else None
    with drawing(theme) as look:
        probe = sheet(labels, look, width=_MAP, strip=_STRIP)
        height = probe.height + probe.foot
        if signals is not None or points is not None:
            height = max(height, _LEAST)
        columns = 0 if signals is None else _columns(signals, len(tally.ids))
        cell = 0.0 if signals is None else (height - 0.4) / 2 - _TITLE if signals.is_image else 2.6
        middle = columns * (cell + _GAP / 2) + _GAP / 2 + 0.35 if columns else 0.0
        last = height + 2 * _GAP if points is not None else 0.0
        page = sheet(labels, look, width=_MAP, side=middle + last, strip=_STRIP)
        if height > page.height + page.foot:
            page.grow(height - page.height - page.foot)
        for axes, panel in zip(page.axes, page.panels, strict=True):
            draw_labels(page, axes, panel, labels, validity, tally)
        page.bar(at=height - page.height - page.foot)
        if signals is not None:
            _signals(page, signals, tally, look, columns, cell, height)
        if points is not None:
            _latent(page, points, tally, look, _MAP + middle + 2 * _GAP, height)
        return page.figure


def _columns(signals: Signals, n: int) -> int:
    if not signals.is_image:
        return 1
    return min(ceil(n / 2), 3)


def _signals(page: Sheet, signals: Signals, tally: Tally, look: Look, columns: int, cell: float, height: float) -> None:
    image = signals.is_image
    rows = 2 if image else min(len(tally.ids), 4)
    rows = min(rows, ceil(len(tally.ids) / columns))
    high = cell if image else (height - 0.4) / rows - _TITLE
    largest = sorted(np.argsort(tally.sizes, kind="stable")[::-1][: rows * columns].tolist())
    for i, position in enumerate(largest):
        row, column = divmod(i, columns)
        x = _MAP + _GAP + 0.35 + column * (cell + _GAP / 2)
        axes = page.inches(x, height - (row + 1) * (high + _TITLE), cell, high)
        bottom = i + columns >= len(largest)
        draw_signal(axes, signals, tally, position, look, bottom=bottom, left=column == 0)
        axes.set_title(f"{tally.ids[position]}   {percent(tally.share(position))}", loc="left", pad=4)


def _latent(page: Sheet, points: Points, tally: Tally, look: Look, left: float, height: float) -> None:
    axes = page.inches(left, 0.2, height - 0.2, height - 0.2)
    draw_points(axes, points, tally, look)
