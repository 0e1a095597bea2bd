"""Figures of signals: lines, patterns side by side, numbers as bars. Each draws what `Curves.curves` gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from refold.explore.curves import Curve
from refold.explore.style import FONT, dress
from refold.explore.watching import Canvas
from refold.report.calibration import scale_bar
from refold.report.canvas import THEMES

if TYPE_CHECKING:
    from refold.explore.curves import Curves

__all__ = ["Lines", "Numbers", "Patterns"]

_THIN, _THICK = 1.4, 2.0
_MANY = 4
_GAP = 0.08  # between patterns, of their width
_HEAD = 0.13  # above them, for their names


class Lines:
    """Spectra, and any signal along one axis."""

    def __init__(self, curves: Curves, theme: str, later: Callable[[Callable[[], None]], None]) -> None:
        from bokeh.models import ColumnDataSource, HoverTool
        from bokeh.plotting import figure

        self.curves, self.theme = curves, theme
        self.figure: Any = figure(
            name="signal", sizing_mode="stretch_both", min_height=120, toolbar_location=None,
            tools="xpan,xwheel_zoom,xbox_zoom,reset", x_range=(0.0, 1.0), y_range=(0.0, 1.0),
        )  # fmt: skip
        empty: dict[str, list[Any]] = {name: [] for name in ("xs", "ys", "colour", "width", "label")}
        self.source, self.estimated = ColumnDataSource(empty), ColumnDataSource(empty)
        lines = [
            self.figure.multi_line(
                "xs", "ys", line_color="colour", line_width="width", line_dash=dash, source=source, line_join="round",
                name=name,
            )
            for source, dash, name in (
                (self.source, "solid", "signal-lines"),
                (self.estimated, "dashed", "signal-estimated"),
            )
        ]  # fmt: skip
        label = curves.means.axes[0].label
        self.figure.add_tools(HoverTool(renderers=lines, tooltips=[("", "@label"), (label, "$x")]))
        self.dress(theme)

    def draw(self, drawn: list[Curve]) -> None:
        """Draw signals."""
        positions, part = self.curves.positions(), self.curves.shown()
        for source, exact in ((self.source, True), (self.estimated, False)):
            these = [curve for curve in drawn if curve.exact is exact]
            source.data = {
                "xs": [positions] * len(these),
                "ys": [curve.values.astype(np.float32) for curve in these],
                "colour": [curve.colour or THEMES[self.theme].ink for curve in these],
                "width": [_THIN if len(drawn) > _MANY else _THICK] * len(these),
                "label": [curve.label + ("" if exact else " (estimated)") for curve in these],
            }
        ends, half = positions[part][[0, -1]], (self.curves.means.axes[0].step or 0.0) / 2
        self.figure.x_range.update(start=float(ends[0]) - half, end=float(ends[1]) + half)
        low, high = _ends([curve.values[part] for curve in drawn])
        low = min(low, 0.0)
        self.figure.y_range.update(start=low, end=high + 0.06 * (high - low))

    def dress(self, theme: str) -> None:
        """Take the colours of a theme."""
        self.theme = theme
        dress(self.figure, theme)
        self.figure.outline_line_color = None
        self.figure.xaxis.axis_label = self.curves.means.axes[0].label
        self.figure.ygrid.grid_line_color, self.figure.ygrid.grid_line_alpha = THEMES[theme].line, 0.6


class Numbers:
    """Signals of one number each, as of an image on the scan's grid."""

    def __init__(self, curves: Curves, theme: str, later: Callable[[Callable[[], None]], None]) -> None:
        from bokeh.models import ColumnDataSource
        from bokeh.plotting import figure

        self.curves = curves
        self.figure: Any = figure(
            name="signal", sizing_mode="stretch_both", min_height=120, toolbar_location=None, tools=""
        )
        self.source = ColumnDataSource({"x": [], "top": [], "colour": []})
        self.figure.vbar(x="x", top="top", width=0.7, color="colour", source=self.source, name="signal-bars")
        self.figure.y_range.start = 0
        self.dress(theme)

    def draw(self, drawn: list[Curve]) -> None:
        """Draw signals."""
        places = list(range(len(drawn)))
        self.source.data = {
            "x": places,
            "top": [float(curve.values.flat[0]) for curve in drawn],
            "colour": [curve.colour or THEMES[self.theme].ink for curve in drawn],
        }
        self.figure.xaxis.ticker = places
        self.figure.xaxis.major_label_overrides = {place: drawn[place].label for place in places}

    def dress(self, theme: str) -> None:
        """Take the colours of a theme."""
        self.theme = theme
        dress(self.figure, theme)
        self.figure.outline_line_color = None
        self.figure.ygrid.grid_line_color, self.figure.ygrid.grid_line_alpha = THEMES[theme].line, 0.6


class Patterns:
    """Diffraction patterns side by side, each from its own black to its own white."""

    def __init__(self, curves: Curves, theme: str, later: Callable[[Callable[[], None]], None]) -> None:
        from bokeh.core.properties import value
        from bokeh.models import ColumnDataSource, LinearColorMapper, Range1d
        from bokeh.palettes import Viridis256
        from bokeh.plotting import figure

        self.curves = curves
        self.drawn: list[Curve] = []
        self.figure: Any = figure(
            name="signal", sizing_mode="stretch_both", min_height=120, toolbar_location="right",
            tools="pan,wheel_zoom,reset", active_scroll="wheel_zoom", x_range=Range1d(0, 1), y_range=Range1d(1, 0),
        )  # fmt: skip
        self.figure.toolbar.logo, self.figure.toolbar.autohide = None, True
        self.source = ColumnDataSource({name: [] for name in ("image", "x", "y", "dw", "dh")})
        mapper = LinearColorMapper(palette=list(Viridis256), low=0, high=1, nan_color="#00000000")
        place = {"image": "image", "x": "x", "y": "y", "dw": "dw", "dh": "dh"}
        self.figure.image(**place, source=self.source, color_mapper=mapper, name="signal-image")
        self.names = ColumnDataSource({name: [] for name in ("x", "y", "text", "colour")})
        written = {"source": self.names, "text_font": value(FONT), "text_font_size": "12px", "y": "y"}
        self.dots = self.figure.scatter("x", "y", source=self.names, size=9, color="colour")
        self.texts = self.figure.text(x="x", text="text", text_baseline="middle", x_offset=9, **written)
        self.bar = ColumnDataSource({"x0": [], "x1": [], "y": [], "text": []})
        self.line = self.figure.segment("x0", "y", "x1", "y", source=self.bar, line_width=3, line_color="#ffffff")
        self.length = self.figure.text(
            "x0", "y", text="text", source=self.bar, text_color="#ffffff", text_font_size="11px", y_offset=-5,
            text_font=value(FONT),
        )  # fmt: skip
        self.figure.axis.visible = False
        self.canvas = Canvas(self.figure, lambda: later(self.fit))
        self.dress(theme)

    def draw(self, drawn: list[Curve]) -> None:
        """Draw signals; each is one unit wide."""
        self.drawn = drawn
        if not drawn:
            return
        rows, columns = drawn[0].values.shape
        down, across = self.curves.means.axes
        pixel = down.step / across.step if down.step and across.step and down.unit == across.unit else 1.0
        self.high = rows * pixel / columns
        lefts = [number * (1 + _GAP) for number in range(len(drawn))]
        self.source.data = {
            "image": [_scaled(curve.values) for curve in drawn],
            "x": lefts,
            "y": [0.0] * len(drawn),
            "dw": [1.0] * len(drawn),
            "dh": [self.high] * len(drawn),
        }
        self.names.data = {
            "x": [left + 0.03 for left in lefts],
            "y": [-_HEAD / 2] * len(drawn),
            "text": [curve.label + ("" if curve.exact else " (estimated)") for curve in drawn],
            "colour": [curve.colour or THEMES[self.theme].ink for curve in drawn],
        }
        length, text = scale_bar(across, len(across.values))
        share = length / len(across.values)
        self.bar.data = {"x0": [0.05], "x1": [0.05 + share], "y": [self.high * 0.94], "text": [text]}
        self.fit()

    def fit(self) -> None:
        """Show all patterns, as large as there is room."""
        if not self.drawn:
            return
        wide, high = len(self.drawn) * (1 + _GAP) - _GAP, self.high + _HEAD
        unit = max(wide / self.canvas.width, high / self.canvas.height)
        x, y = self.figure.x_range, self.figure.y_range
        x.update(start=0.0, end=unit * self.canvas.width, reset_start=0.0, reset_end=unit * self.canvas.width)
        top, bottom = -_HEAD, unit * self.canvas.height - _HEAD
        y.update(start=bottom, end=top, reset_start=bottom, reset_end=top)

    def dress(self, theme: str) -> None:
        """Take the colours of a theme."""
        self.theme = theme
        dress(self.figure, theme)
        self.figure.outline_line_color = None
        self.texts.glyph.text_color = THEMES[theme].ink


def _scaled(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """A pattern from 0 to 1, but for the darkest and the brightest thousandth."""
    finite = values[np.isfinite(values)]
    low, high = np.percentile(finite, [0.1, 99.9]) if finite.size else (0.0, 1.0)
    return np.asarray((values - low) / ((high - low) or 1.0), np.float32)


def _ends(values: list[NDArray[np.float64]]) -> tuple[float, float]:
    finite = [part[np.isfinite(part)] for part in values]
    finite = [part for part in finite if part.size]
    if not finite:
        return 0.0, 1.0
    low, high = min(float(part.min()) for part in finite), max(float(part.max()) for part in finite)
    return (low, high) if high > low else (low, low + 1.0)
