"""The phase map as a figure: an image of piece numbers over an image of greys, with what is selected lit up."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from refold.explore.style import FONT, dress, veil
from refold.explore.watching import Canvas, watch_outlines, watch_pointer
from refold.report.calibration import scale_bar
from refold.report.canvas import THEMES
from refold.report.layout import STRETCH, axes_of, proportion_of
from refold.report.views import panels

if TYPE_CHECKING:
    from refold.explore.model import Model

__all__ = ["MapView"]

_EMPTY = np.zeros((1, 1), np.uint8)
_GREYS = ["#00000000", *(f"#{level:02x}{level:02x}{level:02x}" for level in range(1, 256))]
_MARGIN = 0.02  # of the map's longer side
_BAR_AT = (0.04, 0.05)  # of the canvas, from the lower left


class MapView:
    """The figure of the map. Its coordinates are pixels of the scan: columns, and rows downwards.

    Parameters
    ----------
    model : Model
    theme : {"light", "dark"}
    later : callable
        Does something once, soon, however often it is asked meanwhile.
    pointed : callable
        Told of the place that the pointer is at, or of None.
    """

    def __init__(
        self,
        model: Model,
        theme: str,
        later: Callable[[Callable[[], None]], None],
        pointed: Callable[[tuple[float, float] | None], None],
    ) -> None:
        from bokeh.events import RangesUpdate
        from bokeh.models import ColumnDataSource, LinearColorMapper, Range1d
        from bokeh.plotting import figure

        self.model, self.later, self.version = model, later, 0
        self.figure: Any = figure(
            name="map", sizing_mode="stretch_both", min_height=150, toolbar_location="above", css_classes=["map"],
            tools="lasso_select,box_select,pan,wheel_zoom,box_zoom,reset", active_drag="lasso_select",
            active_scroll="wheel_zoom", x_range=Range1d(0, 1), y_range=Range1d(1, 0),
        )  # fmt: skip
        self.figure.toolbar.logo = None
        self.mapper = LinearColorMapper(palette=["#00000000"], low=-0.5, high=0.5)
        self.lit_mapper = LinearColorMapper(palette=["#00000000"] * 2, low=-0.5, high=1.5)
        greys = LinearColorMapper(palette=_GREYS, low=-0.5, high=255.5)
        self.source, self.lit_source, self.ground_source = (ColumnDataSource(self._data(_EMPTY)) for _ in range(3))
        place = {"image": "image", "x": "x", "y": "y", "dw": "dw", "dh": "dh"}
        self.ground = self.figure.image(
            **place, source=self.ground_source, color_mapper=greys, name="map-ground", visible=False
        )
        self.phases = self.figure.image(**place, source=self.source, color_mapper=self.mapper, name="map-image")
        self.lit = self.figure.image(
            **place, source=self.lit_source, color_mapper=self.lit_mapper, name="map-lit", visible=False
        )
        self.mark = ColumnDataSource({"x": [], "y": []})
        self.ring = self.figure.scatter(
            "x", "y", source=self.mark, size=11, fill_color=None, line_width=1.6, level="overlay"
        )
        self._add_scale_bar()
        for tool in self.figure.toolbar.tools:
            if hasattr(tool, "continuous"):
                tool.renderers, tool.continuous = [], False
            if hasattr(tool, "match_aspect"):
                tool.match_aspect = True
        self.figure.axis.visible = False
        watch_outlines(self.figure, model, "map")
        self.figure.on_event(RangesUpdate, lambda _: self.later(self._measure))
        self.canvas = Canvas(self.figure, lambda: self.later(self.fit))
        watch_pointer(self.figure, pointed)
        self.dress(theme)
        self.begin()

    def _add_scale_bar(self) -> None:
        from bokeh.core.properties import value
        from bokeh.models import ColumnDataSource

        self.bar = ColumnDataSource({"x0": [0], "x1": [0], "y": [0], "middle": [0], "text": [""]})
        self.bar_back = self.figure.segment("x0", "y", "x1", "y", source=self.bar, line_width=7, line_alpha=0.75)
        self.bar_line = self.figure.segment("x0", "y", "x1", "y", source=self.bar, line_width=3)
        self.bar_text = self.figure.text(
            "middle", "y", text="text", source=self.bar, text_align="center", text_baseline="bottom", y_offset=-5,
            text_font_size="12px", text_font=value(FONT), padding=2, border_radius=3,
            background_fill_alpha=0.75,
        )  # fmt: skip

    def begin(self) -> None:
        """Show the map of another run."""
        labels = self.model.navigation()
        across, down, _ = axes_of(labels, panels(labels, limit=1)[0])
        self.across = across
        high, wide = self.model.rows.thinning.full_shape
        proportion = proportion_of(panels(labels, limit=1)[0], across, down)
        self.pixel = proportion * wide / high  # height over width of a pixel
        self.stretched = not 1 / STRETCH <= proportion <= STRETCH
        self.fit()
        self.draw()

    def dress(self, theme: str) -> None:
        """Take the colours of a theme."""
        dress(self.figure, theme)
        look = THEMES[theme]
        self.lit_mapper.palette = [veil(theme), "#00000000"]
        self.ring.glyph.line_color = self.bar_line.glyph.line_color = self.bar_text.glyph.text_color = look.ink
        self.bar_back.glyph.line_color = self.bar_text.glyph.background_fill_color = look.paper

    def fit(self) -> None:
        """Show the whole map, with pixels as high and wide as they are."""
        high, wide = self.model.rows.thinning.full_shape
        margin = 0.0 if self.stretched else _MARGIN * max(high, wide)
        x0, x1, y0, y1 = -0.5 - margin, wide - 0.5 + margin, -0.5 - margin, high - 0.5 + margin
        if not self.stretched:
            canvas = self.canvas.height / self.canvas.width
            more = canvas * (x1 - x0) / self.pixel - (y1 - y0)
            if more > 0:
                y0, y1 = y0 - more / 2, y1 + more / 2
            else:
                more = (y1 - y0) * self.pixel / canvas - (x1 - x0)
                x0, x1 = x0 - more / 2, x1 + more / 2
        x, y = self.figure.x_range, self.figure.y_range
        x.update(start=x0, end=x1, reset_start=x0, reset_end=x1)
        y.update(start=y1, end=y0, reset_start=y1, reset_end=y0)
        self._measure()

    def _measure(self) -> None:
        """Put the scale bar into the lower left corner of what is shown."""
        x, y = self.figure.x_range, self.figure.y_range
        seen = abs(x.end - x.start)
        length, text = scale_bar(self.across, max(round(seen), 1))
        left = x.start + _BAR_AT[0] * seen
        self.bar.data = {
            "x0": [left],
            "x1": [left + length],
            "y": [y.start + _BAR_AT[1] * (y.end - y.start)],
            "middle": [left + length / 2],
            "text": [text],
        }
        shown = not self.stretched
        self.bar_back.visible = self.bar_line.visible = self.bar_text.visible = shown

    def draw(self) -> None:
        """Draw the map, after its image has changed."""
        self.source.data = self._data(self.model.drawing.map_image())
        self.version = self.model.pieces.version
        self.paint()
        self.light()
        self.lay()

    def paint(self) -> None:
        """Exchange the colours."""
        palette = self.model.drawing.map_palette()
        self.mapper.update(palette=palette, high=len(palette) - 0.5)

    def light(self) -> None:
        """Light up what is selected."""
        if self.model.choice is not None:
            self.lit_source.data = self._data(self.model.drawing.map_lit())
        self.lit.visible = self.model.choice is not None

    def lay(self) -> None:
        """Lay an image under the map, and let it shine through."""
        image = self.model.drawing.ground_image()
        if image is not None:
            self.ground_source.data = self._data(image)
        self.ground.visible = image is not None
        self.fade()

    def fade(self) -> None:
        """Let the image under the map shine through."""
        self.phases.glyph.global_alpha = self.model.options.opacity if self.model.options.ground else 1.0

    def point(self, place: tuple[float, float] | None) -> None:
        """Mark a place; None takes the mark away."""
        self.mark.data = {"x": [place[0]], "y": [place[1]]} if place else {"x": [], "y": []}

    def _data(self, image: NDArray[Any]) -> dict[str, list[Any]]:
        step = self.model.rows.thinning.step
        rows, columns = image.shape
        return {"image": [image], "x": [-0.5], "y": [-0.5], "dw": [columns * step], "dh": [rows * step]}
