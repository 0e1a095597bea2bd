"""The latent space as a figure: a density image, drawn anew for every window, with what is selected lit up."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from refold.explore.outlines import outlines_of
from refold.explore.raster import View
from refold.explore.style import dress, veil
from refold.explore.watching import Canvas, watch_outlines, watch_pointer
from refold.report.canvas import THEMES

if TYPE_CHECKING:
    from refold.explore.model import Model

__all__ = ["LatentView"]

_LARGEST = 2048
_EMPTY = np.zeros((1, 1), np.uint8)


class LatentView:
    """The figure of the latent space.

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
        from bokeh.models import ColumnDataSource, LinearColorMapper
        from bokeh.plotting import figure

        self.model, self.later = model, later
        self.view = View(0.0, 1.0, 0.0, 1.0, 1, 1)
        self.figure: Any = figure(
            name="latent", sizing_mode="stretch_both", min_height=150, toolbar_location="above",
            tools="lasso_select,box_select,pan,wheel_zoom,box_zoom,reset", active_drag="lasso_select",
            active_scroll="wheel_zoom", x_range=(0.0, 1.0), y_range=(0.0, 1.0), css_classes=["latent"],
            lod_timeout=100,  # ms after the last turn of the wheel at which it counts as done: 500 are felt
        )  # fmt: skip
        self.figure.toolbar.logo = None
        self.mapper = LinearColorMapper(palette=["#00000000"], low=-0.5, high=0.5)
        self.lit_mapper = LinearColorMapper(palette=["#00000000"] * 3, low=-0.5, high=2.5)
        self.source, self.lit_source = (ColumnDataSource(_data(_EMPTY, self.view)) for _ in range(2))
        place = {"image": "image", "x": "x", "y": "y", "dw": "dw", "dh": "dh"}
        self.figure.image(**place, source=self.source, color_mapper=self.mapper, name="latent-image")
        self.lit = self.figure.image(
            **place, source=self.lit_source, color_mapper=self.lit_mapper, name="latent-lit", visible=False
        )
        self.outlines = ColumnDataSource({"xs": [], "ys": [], "colour": []})
        lines = {"xs": "xs", "ys": "ys", "source": self.outlines}
        self.edges = self.figure.multi_line(**lines, line_width=3.6)  # of paper, so that they are seen on their points
        self.figure.multi_line(**lines, line_color="colour", line_width=1.6, name="latent-outlines")
        self.mark = ColumnDataSource({"x": [], "y": []})
        self.ring = self.figure.scatter(
            "x", "y", source=self.mark, size=11, fill_color=None, line_width=1.6, level="overlay"
        )
        for tool in self.figure.select(type=_select_tools()):
            tool.renderers, tool.continuous = [], False
        self.figure.axis.visible = False
        watch_outlines(self.figure, model, "embedding")
        self.figure.on_event(RangesUpdate, self._moved)
        self.canvas = Canvas(self.figure, lambda: self.later(self.draw))
        watch_pointer(self.figure, pointed)
        self.dress(theme)
        self.begin()

    def begin(self) -> None:
        """Show all of the latent space of another run."""
        self.figure.xaxis.axis_label = self.figure.yaxis.axis_label = None
        if self.model.drawing.has_latent:
            whole = self.model.drawing.whole_view(1, 1)
            self._range(whole)
            self.draw()

    def _range(self, view: View) -> None:
        x, y = self.figure.x_range, self.figure.y_range
        x.update(start=view.left, end=view.right, reset_start=view.left, reset_end=view.right)
        y.update(start=view.bottom, end=view.top, reset_start=view.bottom, reset_end=view.top)

    def dress(self, theme: str) -> None:
        """Take the colours of a theme."""
        dress(self.figure, theme)
        self.lit_mapper.palette = ["#00000000", veil(theme), "#00000000"]
        self.ring.glyph.line_color, self.edges.glyph.line_color = THEMES[theme].ink, THEMES[theme].paper

    def draw(self) -> None:
        """Draw what lies in the window."""
        drawing = self.model.drawing
        if not drawing.has_latent:
            return
        self.view = self._window()
        image = drawing.latent_image(self.view)
        self.paint()
        self.source.data = _data(image, self.view)
        self.light()

    def paint(self) -> None:
        """Exchange the colours."""
        palette = self.model.drawing.latent_palette()
        self.mapper.update(palette=palette, high=len(palette) - 0.5)
        x, y, colours = list(zip(*outlines_of(self.model), strict=True)) or ((), (), ())
        self.outlines.data = {"xs": list(x), "ys": list(y), "colour": list(colours)}

    def light(self) -> None:
        """Light up what is selected."""
        chosen = self.model.choice is not None and self.model.drawing.has_latent
        if chosen and (lit := self.model.drawing.latent_lit()) is not None:
            self.lit_source.data = _data(lit, self.view)
        self.lit.visible = chosen

    def point(self, place: tuple[float, float] | None) -> None:
        """Mark a place; None takes the mark away."""
        self.mark.data = {"x": [place[0]], "y": [place[1]]} if place else {"x": [], "y": []}

    def _window(self) -> View:
        x, y = self.figure.x_range, self.figure.y_range
        wide, high = min(self.canvas.width, _LARGEST), min(self.canvas.height, _LARGEST)
        return View(float(x.start), float(x.end), float(y.start), float(y.end), wide, high)

    def _moved(self, event: Any) -> None:
        self.later(self.draw)


def _select_tools() -> Any:
    from bokeh.models.tools import RegionSelectTool

    return RegionSelectTool


def _data(image: Any, view: View) -> dict[str, list[Any]]:
    return {
        "image": [image],
        "x": [view.left],
        "y": [view.bottom],
        "dw": [view.right - view.left],
        "dh": [view.top - view.bottom],
    }
