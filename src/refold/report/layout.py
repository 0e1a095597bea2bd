"""Where pictures of a scan stand on their paper: panels of a stack, strips of a line, the scale bar at the foot."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from refold.report.calibration import Axis, scale_bar, ticks
from refold.report.canvas import THEMES, Look, new_figure, quiet
from refold.report.colours import INVALID
from refold.report.views import Panel, panels
from refold.report.words import rounded

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["STRETCH", "Sheet", "axes_of", "place", "proportion_of", "ramp", "sheet"]

_FOOT = 0.42
_GAP = 0.12
_TITLE = 0.22
_TALLEST = 1.3
_STRIP = 0.6
_TICKS = 0.5
_SIDE_TICKS = 0.6
_PAD = 0.1
_LONG = 6  # letters beside a map; longer texts stand upright
STRETCH = 12.0  # a map longer than this many times its width is stretched, else it is a hair


@dataclass(slots=True)
class Sheet:
    """A figure with one axes for each panel of a map.

    Attributes
    ----------
    figure : matplotlib.figure.Figure
    axes : list of matplotlib.axes.Axes
    panels : list of Panel
    line : bool
        A line scan, or a map of one row or one column: values are along one axis only.
    stretched : bool
        Pixels are not drawn in their true proportions.
    ticked : bool
        The axes have ticks, and so no scale bar: those of stretched maps, and of maps in map units.
    width, height, foot, pad : float
        Inches of the part with the panels, of the foot below it, and of the margin around all.
    """

    figure: Figure
    axes: list[Axes]
    panels: list[Panel]
    across: Axis
    down: Axis | None
    line: bool
    stretched: bool
    ticked: bool
    width: float
    height: float
    foot: float
    pad: float
    look: Look

    def picture(self, axes: Axes, panel: Panel, image: NDArray[np.generic], **options: object) -> None:
        """Draw an image of any thinning over the panel's whole area, first row on top."""
        rows, columns = panel.shape
        if self.line:
            image, columns, rows = image.reshape(1, -1, *image.shape[2:]), rows * columns, 1
        extent = (-0.5, columns - 0.5, rows - 0.5, -0.5)
        axes.imshow(image, extent=extent, interpolation="none", aspect="auto", **options)  # type: ignore[arg-type]
        if panel.title:
            axes.set_title(panel.title, loc="left", pad=3)

    def hatch(self, axes: Axes) -> None:
        """Hatch the ground, which shows where the image is transparent."""
        axes.patch.set(hatch="//////", edgecolor=INVALID, linewidth=0)

    def inches(self, x: float, y: float, width: float, height: float) -> Axes:
        """Add axes at a place in inches from the lower left, inside the margin."""
        w, h = self.figure.get_size_inches()
        return self.figure.add_axes(((x + self.pad) / w, (y + self.pad) / h, width / w, height / h))

    def grow(self, more: float) -> None:
        """Make the figure higher at the bottom; what is drawn keeps its place below the top."""
        wide, high = self.figure.get_size_inches()
        self.figure.set_size_inches(wide, high + more)
        for axes in self.figure.axes:
            x, y, w, h = axes.get_position().bounds
            axes.set_position((x, (y * high + more) / (high + more), w, h * high / (high + more)))

    def bar(self, at: float = 0.0) -> None:
        """Draw the scale bar at the left of the foot, `at` inches up; nothing where pixels have no one scale."""
        if self.ticked or self.line:
            return
        panel, axes = self.panels[0], self.axes[0]
        drawn = axes.get_position().width * self.figure.get_size_inches()[0]
        length, text = scale_bar(self.across, panel.shape[1])
        strip = self.inches(0, at, drawn, self.foot)
        strip.set(xlim=(0, panel.shape[1]), ylim=(0, self.foot))
        strip.plot([0, length], [self.foot - 0.14] * 2, color=self.look.ink, lw=3, solid_capstyle="butt")
        strip.text(length / 2, self.foot - 0.2, text, ha="center", va="top", color=self.look.ink)
        left = min(0.0, length / 2 - 0.035 * len(text) * panel.shape[1] / drawn)  # room for a text longer than its bar
        strip.set_xlim(left, left + panel.shape[1])
        quiet(strip)

    def tick(self, axes: Axes) -> None:
        """Write coordinates along a strip or a stretched map."""
        positions, texts = ticks(self.across, 6)
        axes.set_xticks(positions, texts)
        axes.set_xlabel(self.across.label)
        if self.ticked and not self.line and self.down is not None:
            positions, texts = ticks(self.down, 4)
            axes.set_yticks(positions, texts)
            if max(map(len, texts)) > _LONG:  # northings are
                axes.tick_params(axis="y", rotation=90)
                for text in axes.get_yticklabels():
                    text.set_verticalalignment("center")
            axes.set_ylabel(self.down.label)


def sheet(
    array: xr.DataArray,
    look: Look,
    *,
    width: float,
    side: float = 0.0,
    strip: float = _STRIP,
    ticked: bool = False,
) -> Sheet:
    """Lay out a map.

    Parameters
    ----------
    array : xarray.DataArray
        Of navigation dims.
    look : Look
    width : float
        Inches of the panels together.
    side : float
        Inches to leave free at the right.
    strip : float
        Height in inches of a line scan.
    ticked : bool
        Whether positions are written along the axes, in the place of a scale bar.

    Returns
    -------
    Sheet
    """
    cut = panels(array)
    across, down, line = axes_of(array, cut[0])
    pad = 0.0 if look is THEMES["page"] else _PAD  # the page has margins of its own
    if line:
        figure = new_figure(width + side + 2 * pad, strip + _TICKS + 2 * pad)
        page = Sheet(figure, [], cut, across, down, True, True, True, width, strip, _TICKS, pad, look)
        page.axes = [page.inches(0.1, _TICKS, width - 0.2, strip)]
        return page
    proportion = proportion_of(cut[0], across, down)
    stretched = not 1 / STRETCH <= proportion <= STRETCH
    ticked = ticked or stretched
    columns = 1 if len(cut) == 1 else min(len(cut), 3)
    rows = ceil(len(cut) / columns)
    title = _TITLE if cut[0].title else 0.0
    margin = _SIDE_TICKS if ticked else 0.0
    one_wide = (width - margin - _GAP * (columns - 1)) / columns
    one_high = one_wide * proportion
    if stretched:
        one_high = _STRIP * 2 if proportion < 1 else one_wide * _TALLEST
    elif one_high > one_wide * _TALLEST:
        one_high = one_wide * _TALLEST
        one_wide = one_high / proportion
    step = one_high + title + (_TICKS if ticked else _GAP)
    height = step * rows
    foot = 0.0 if ticked else _FOOT
    figure = new_figure(width + side + 2 * pad, height + foot + 2 * pad)
    page = Sheet(figure, [], cut, across, down, False, stretched, ticked, width, height, foot, pad, look)
    for i in range(len(cut)):
        row, column = divmod(i, columns)
        bottom = foot + height - row * step - title - one_high
        page.axes.append(page.inches(margin + column * (one_wide + _GAP), bottom, one_wide, one_high))
    return page


def axes_of(array: xr.DataArray, panel: Panel) -> tuple[Axis, Axis | None, bool]:
    """Axes across and down a panel, and whether values are along the one across only."""
    across = Axis.of(array, panel.columns)
    if panel.rows is None:
        return across, None, True
    down = Axis.of(array, panel.rows)
    if panel.shape[1] == 1 and panel.shape[0] > 1:
        return down, across, array.ndim == 2
    return across, down, panel.shape[0] == 1 and panel.shape[1] > 1 and array.ndim == 2


def proportion_of(panel: Panel, across: Axis, down: Axis | None) -> float:
    """Height over width, with pixels as high and wide as the coordinates say when both are lengths in one unit."""
    rows, columns = panel.shape
    pixel = 1.0
    if down is not None and across.step and down.step and across.unit and across.unit == down.unit:
        pixel = down.step / across.step
    return rows * pixel / columns


def place(figure: Figure, x: float, top: float, width: float, height: float) -> Axes:
    """Add axes at a place in inches, `x` from the left and `top` from the top of a figure."""
    w, h = figure.get_size_inches()
    return figure.add_axes((x / w, 1 - (top + height) / h, width / w, height / h))


def ramp(axes: Axes, low: float, high: float, colours: str, label: str, look: Look) -> None:
    """Draw a colour bar, with its first and its last value below it."""
    axes.imshow(np.linspace(0, 1, 128)[None], cmap=colours, aspect="auto", extent=(0, 1, 0, 1))
    quiet(axes)
    for x, text, side in ((0, rounded(low), "left"), (0.5, label, "center"), (1, rounded(high), "right")):
        axes.text(x, -0.5, text, ha=side, va="top", color=look.muted, transform=axes.transAxes)
