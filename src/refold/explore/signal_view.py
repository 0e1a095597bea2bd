"""The spectra or the pattern of what is ticked or selected, as a figure, with bars of its elements."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from refold.explore.controls import select, slider, text
from refold.explore.curves import Curve
from refold.explore.style import dress
from refold.report.canvas import THEMES

if TYPE_CHECKING:
    from refold.explore.model import Model

__all__ = ["SignalView"]

_FAINT, _FULL = 1.4, 2.0  # widths of lines
_SCALES = {"linear": "linear", "square root": "sqrt", "logarithm": "log"}
_NORMS = {"as counted": "none", "peak = 1": "peak", "area = 1": "area"}
_KINDS = {"mean": False, "sum": True}


class SignalView:
    """The figure of signals.

    Parameters
    ----------
    model : Model
    theme : {"light", "dark"}
    guarded : callable
        Wraps what a control does, so that errors are told and not lost.
    """

    def __init__(self, model: Model, theme: str, guarded: Callable[[Callable[..., None]], Callable[..., None]]) -> None:
        import panel as pn

        self.model, self.theme, self.guarded = model, theme, guarded
        self.note = text("p", "", sizing_mode="stretch_width", min_width=60)
        self.view: Any = pn.Column(
            sizing_mode="stretch_both", min_height=150, css_classes=["signal"], styles={"gap": "4px"}
        )
        self.begin()

    @property
    def beside(self) -> bool:
        """Whether the figure is a picture, which stands better beside the map than below it."""
        return self.model.curves.kind == "image"

    def begin(self) -> None:
        """Show the signals of another run."""
        import panel as pn

        self.figure: Any = self._new_figure()
        self.bars = ElementBars(self.model, self.theme)
        pane = pn.pane.Bokeh(self.figure, sizing_mode="stretch_both", min_height=120)
        row = pn.Row(pane, self.bars.view, sizing_mode="stretch_both") if self.model.curves.kind == "line" else pane
        self.view.objects = [self._controls(), row] if self.model.curves.kind != "none" else [self.note]
        self.dress(self.theme)
        self.draw()

    # --- controls -----------------------------------------------------------------------------------------------------

    def _controls(self) -> Any:
        import panel as pn

        curves = self.model.curves
        made: list[Any] = [text("h2", "Pattern" if curves.kind == "image" else "Signal"), self.note]
        if len(curves.names) > 1:
            made.append(self._control(select("", list(curves.names), curves.ways.cube, 110), self._show))
        made.append(self._control(select("", list(_KINDS), "mean", 72), lambda kind: self._set(total=_KINDS[kind])))
        if curves.kind == "line":
            made.append(self._control(select("", list(_NORMS), "as counted", 100), lambda n: self._set(norm=_NORMS[n])))
        if curves.kind != "number":
            shown = next(name for name, value in _SCALES.items() if value == curves.ways.display)
            made.append(self._control(select("", list(_SCALES), shown, 104), lambda s: self._set(display=_SCALES[s])))
        row = pn.Row(*made, sizing_mode="stretch_width", align="center", styles={"gap": "6px", "align-items": "center"})
        if curves.kind == "line":
            row.append(self._range())
        return row

    def _range(self) -> Any:
        positions = self.model.curves.positions()
        low, high = float(positions.min()), float(positions.max())
        made = slider("", low, high, (low, high), (high - low) / max(len(positions), 1) or 1.0)
        return self._control(made, lambda part: self._set(part=tuple(part)))

    def _control(self, widget: Any, change: Callable[[Any], None]) -> Any:
        widget.param.watch(self.guarded(lambda event: change(event.new)), "value")
        return widget

    def _set(self, **changes: Any) -> None:
        for name, value in changes.items():
            setattr(self.model.curves.ways, name, value)
        self.draw()

    def _show(self, cube: str) -> None:
        self.model.curves.show(cube)
        self.begin()

    # --- drawing ------------------------------------------------------------------------------------------------------

    def _new_figure(self) -> Any:
        from bokeh.models import ColumnDataSource, HoverTool, LinearColorMapper
        from bokeh.palettes import Viridis256
        from bokeh.plotting import figure

        kind = self.model.curves.kind
        made = figure(
            name="signal", sizing_mode="stretch_both", min_height=120,
            toolbar_location="above" if kind == "image" else None,
            tools="pan,wheel_zoom,box_zoom,reset" if kind == "image" else "xpan,xwheel_zoom,xbox_zoom,reset",
            match_aspect=kind == "image",
        )  # fmt: skip
        made.toolbar.logo = None
        if kind == "image":
            self.source = ColumnDataSource({"image": [np.zeros((1, 1), np.float32)], **self._place()})
            self.mapper = LinearColorMapper(palette=list(Viridis256), low=0, high=1, nan_color="#00000000")
            made.image(
                "image",
                x="x",
                y="y",
                dw="dw",
                dh="dh",
                source=self.source,
                color_mapper=self.mapper,
                name="signal-image",
            )
        elif kind == "number":
            self.source = ColumnDataSource({"x": [], "top": [], "colour": [], "label": []})
            made.vbar(x="x", top="top", width=0.7, color="colour", source=self.source, name="signal-bars")
        else:
            empty: dict[str, list[Any]] = {name: [] for name in ("xs", "ys", "colour", "width", "dash", "label")}
            self.source = ColumnDataSource(empty)
            lines = made.multi_line(
                "xs", "ys", line_color="colour", line_width="width", line_alpha=0.95, source=self.source,
                line_join="round", name="signal-lines",
            )  # fmt: skip
            made.add_tools(HoverTool(renderers=[lines], tooltips=[("", "@label"), (self._label(), "$x")]))
        return made

    def _place(self) -> dict[str, list[float]]:
        """Where a pattern lies along its axes."""
        down, across = self.model.curves.means.axes
        ends = [(float(axis.values[0]), float(axis.values[-1]), axis.step or 1.0) for axis in (down, across)]
        (top, bottom, high), (left, right, wide) = ends
        return {
            "x": [min(left, right) - wide / 2],
            "y": [min(top, bottom) - high / 2],
            "dw": [abs(right - left) + wide],
            "dh": [abs(bottom - top) + high],
        }

    def _label(self) -> str:
        return self.model.curves.means.axes[-1].label if self.model.curves.kind != "none" else ""

    def draw(self) -> None:
        """Draw what is ticked or selected."""
        curves = self.model.curves
        kind, drawn = curves.kind, curves.curves()
        note = curves.note()
        self.note.object = text("p", note).object
        if kind == "none":
            return
        getattr(self, f"_draw_{kind}")(drawn)
        self.bars.draw()

    def _draw_image(self, drawn: list[Curve]) -> None:
        if not drawn:
            return
        values = drawn[0].values
        finite = values[np.isfinite(values)]
        low, high = np.percentile(finite, [0.1, 99.9]) if finite.size else (0.0, 1.0)
        self.mapper.update(low=float(low), high=float(high) if high > low else float(low) + 1)
        self.source.data = {"image": [values[::-1].astype(np.float32)], **self._place()}

    def _draw_number(self, drawn: list[Curve]) -> None:
        ink = THEMES[self.theme].ink
        self.source.data = {
            "x": list(range(len(drawn))),
            "top": [float(curve.values[0]) for curve in drawn],
            "colour": [curve.colour or ink for curve in drawn],
            "label": [curve.label for curve in drawn],
        }
        self.figure.xaxis.ticker = list(range(len(drawn)))
        self.figure.xaxis.major_label_overrides = {i: curve.label for i, curve in enumerate(drawn)}

    def _draw_line(self, drawn: list[Curve]) -> None:
        ink, curves = THEMES[self.theme].ink, self.model.curves
        positions = curves.positions()
        self.source.data = {
            "xs": [positions] * len(drawn),
            "ys": [curve.values.astype(np.float32) for curve in drawn],
            "colour": [curve.colour or ink for curve in drawn],
            "width": [_FAINT if len(drawn) > 4 else _FULL] * len(drawn),
            "dash": [[] if curve.exact else [4, 3] for curve in drawn],
            "label": [curve.label if curve.exact else f"{curve.label} (estimated)" for curve in drawn],
        }
        part = curves.shown()
        step = curves.means.axes[0].step or 0.0
        self.figure.x_range.update(
            start=float(positions[part][0]) - step / 2, end=float(positions[part][-1]) + step / 2
        )
        seen = np.concatenate([curve.values[part] for curve in drawn]) if drawn else np.zeros(1)
        seen = seen[np.isfinite(seen)]
        low, high = (float(seen.min()), float(seen.max())) if seen.size else (0.0, 1.0)
        self.figure.y_range.update(start=min(low, 0.0), end=high + 0.06 * (high - min(low, 0.0)) or 1.0)

    def dress(self, theme: str) -> None:
        """Take the colours of a theme."""
        self.theme = theme
        if self.model.curves.kind == "none":
            return
        dress(self.figure, theme)
        self.figure.xaxis.axis_label = self._label() if self.model.curves.kind != "number" else None
        self.figure.outline_line_color = None
        if self.model.curves.kind == "image":
            self.figure.yaxis.axis_label = self.model.curves.means.axes[0].label
        else:
            self.figure.ygrid.grid_line_color = THEMES[theme].line
            self.figure.ygrid.grid_line_alpha = 0.6
        self.bars.dress(theme)


class ElementBars:
    """Intensities of X-ray lines in the spectrum of the selection, where it is one of energies that are known."""

    def __init__(self, model: Model, theme: str) -> None:
        import panel as pn

        self.model, self.theme = model, theme
        self.view: Any = pn.Column(sizing_mode="stretch_height", width=0, visible=False)

    def draw(self) -> None:
        """Nothing yet."""

    def dress(self, theme: str) -> None:
        """Take the colours of a theme."""
        self.theme = theme
