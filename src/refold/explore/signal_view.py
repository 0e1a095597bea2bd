"""The spectra or the patterns of what is ticked or selected, how they are shown, and bars of their elements."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from refold.explore.bars import ElementBars
from refold.explore.controls import markup, select, slider, text
from refold.explore.signal_figures import Lines, Numbers, Patterns

if TYPE_CHECKING:
    from refold.explore.model import Model

__all__ = ["SignalView"]

_SCALES = {"linear": "linear", "square root": "sqrt", "logarithm": "log"}
_NORMS = {"as counted": "none", "peak = 1": "peak", "area = 1": "area"}
_KINDS = {"mean": False, "sum": True}
_FIGURES = {"line": Lines, "image": Patterns, "number": Numbers}
_TITLES = {"line": "Spectra", "image": "Patterns", "number": "Values", "none": "Signals"}


class SignalView:
    """The figure of signals.

    Parameters
    ----------
    model : Model
    theme : {"light", "dark"}
    later : callable
        Does something once, soon, however often it is asked meanwhile.
    guarded : callable
        Wraps what a control does, so that errors are told and not lost.
    """

    def __init__(
        self,
        model: Model,
        theme: str,
        later: Callable[[Callable[[], None]], None],
        guarded: Callable[[Callable[..., None]], Callable[..., None]],
    ) -> None:
        import panel as pn

        self.model, self.theme, self.later, self.guarded = model, theme, later, guarded
        self.note = text("h2", "", sizing_mode="stretch_width", min_width=60)
        self.view: Any = pn.Column(
            sizing_mode="stretch_both", min_height=150, css_classes=["signal"], margin=0,
            styles={"gap": "4px", "flex": "0 0 34%"},
        )  # fmt: skip
        self.begin()

    def begin(self) -> None:
        """Show the signals of another run, or of another cube of it."""
        import panel as pn

        kind = self.model.curves.kind
        self.figure: Any = None
        self.bars = ElementBars(self.model, self.theme)
        rows: list[Any] = [self._controls()]
        if kind != "none":
            self.figure = _FIGURES[kind](self.model.curves, self.theme, self.later)
            pane = pn.pane.Bokeh(self.figure.figure, sizing_mode="stretch_both", min_height=120, margin=0)
            rows.append(pn.Row(pane, self.bars.view, sizing_mode="stretch_both", margin=0))
        self.view.objects = rows
        self.draw()

    # --- controls -----------------------------------------------------------------------------------------------------

    def _controls(self) -> Any:
        import panel as pn

        curves = self.model.curves
        made: list[Any] = [self.note]
        if curves.kind == "line":
            made.append(self._range())
        if len(curves.names) > 1:
            made.append(self._control(select("", list(curves.names), curves.ways.cube, 116), self._show, "cube"))
        if curves.kind != "none":
            made.append(self._choice(_KINDS, curves.ways.total, 76, "total"))
        if curves.kind == "line":
            made.append(self._choice(_NORMS, curves.ways.norm, 106, "norm"))
        if curves.kind in {"line", "image"}:
            made.append(self._choice(_SCALES, curves.ways.display, 112, "display"))
        return pn.Row(*made, sizing_mode="stretch_width", styles={"gap": "6px", "align-items": "center"}, margin=0)

    def _choice(self, options: dict[str, Any], value: Any, width: int, way: str) -> Any:
        return self._control(select("", options, value, width), lambda new: self._set(way, new), way)

    def _range(self) -> Any:
        positions = self.model.curves.positions()
        low, high = float(positions.min()), float(positions.max())
        step = (high - low) / max(len(positions) - 1, 1) or 1.0
        made = slider("", low, high, (low, high), step, tooltips=True)
        return self._control(made, lambda part: self._set("part", tuple(part)), "part")

    def _control(self, widget: Any, change: Callable[[Any], None], name: str) -> Any:
        widget.css_classes = [name]
        widget.param.watch(self.guarded(lambda event: change(event.new)), "value")
        return widget

    def _set(self, way: str, value: Any) -> None:
        setattr(self.model.curves.ways, way, value)
        self.later(self.draw)

    def _show(self, cube: str) -> None:
        self.model.curves.show(cube)
        self.begin()

    # --- drawing ------------------------------------------------------------------------------------------------------

    def draw(self) -> None:
        """Draw what is ticked or selected."""
        curves = self.model.curves
        self.note.object = markup("h2", _TITLES[curves.kind], curves.note())
        if self.figure is not None:
            self.figure.draw(curves.curves())
            self.bars.draw()

    def dress(self, theme: str) -> None:
        """Take the colours of a theme."""
        self.theme = theme
        if self.figure is not None:
            self.figure.dress(theme)
            self.bars.dress(theme)
            self.draw()
