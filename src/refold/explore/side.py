"""The column at the side: the list of the clusters, and how the figures show them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from refold.explore.cluster_list import ClusterList
from refold.explore.controls import markup, select, slider, text
from refold.explore.style import FIELD
from refold.report.calibration import Axis, format_number
from refold.report.colours import INVALID
from refold.report.words import count

if TYPE_CHECKING:
    from refold.explore.model import Model

__all__ = ["Side"]

_WIDTH = 258
_NOTHING = "nothing"


class Side:
    """The column.

    Parameters
    ----------
    model : Model
    guarded : callable
        Wraps what a control does, so that errors are told and not lost.
    """

    def __init__(self, model: Model, guarded: Callable[[Callable[..., None]], Callable[..., None]]) -> None:
        import panel as pn

        self.model, self.guarded = model, guarded
        self.list = ClusterList(model, guarded)
        self.view: Any = pn.Column(
            width=_WIDTH, sizing_mode="stretch_height", css_classes=["side"], styles={"gap": "6px"}, margin=0
        )
        self.begin()

    def begin(self) -> None:
        """Offer what another run has."""
        self.title = text("h2", "")
        self.title.object = self._headed()
        self.view.objects = [self.title, self.list.view, text("h2", "View"), *self._options()]
        self.list.fill()

    def _headed(self) -> str:
        """What stands over the list: what is dark grey on the map is in none of the clusters, nor noise."""
        rows = self.model.rows
        unusable = int(np.count_nonzero(~rows.usable & (rows.labels < 0)))
        if not unusable:
            return markup("h2", "Clusters")
        of = "≈ " if rows.thinning.step > 1 else ""
        said = markup("h2", "Clusters", f"{of}{count(unusable * rows.thinning.step**2)} not usable")
        return said.replace("<span>", f'<span><i class="dot" style="background: {INVALID}"></i>', 1)

    def _options(self) -> list[Any]:
        import panel as pn

        model, options = self.model, self.model.options
        alone = pn.widgets.Checkbox(
            label="ticked clusters alone",
            value=options.alone,
            css_classes=["alone"],
            stylesheets=[FIELD],
            margin=(2, 0),
        )
        grounds = {_NOTHING: "", **{name: name for name in model.drawing.grounds}}
        made = [
            self._control(alone, "alone"),
            self._control(self._select("image under the map", grounds, options.ground, "ground"), "ground"),
            self._control(self._slider("phases over it", 0.0, 1.0, options.opacity, 0.05, "opacity"), "opacity"),
        ]
        if model.drawing.has_latent:
            made.append(
                self._control(self._slider("share of points", 0.01, 1.0, options.share, 0.01, "share"), "share")
            )
        dims = range(model.rows.positions.shape[1])
        if len(dims) > 2:
            pairs = {f"dims {one} and {other}": (one, other) for one, other in combinations(dims, 2)}
            made.append(self._control(self._select("latent space", pairs, options.dims, "dims"), "dims"))
        if model.rows.thinning.slices > 1:
            made.append(self._control(self._slices(), "slice"))
        return made

    def _select(self, label: str, options: Any, value: Any, name: str) -> Any:
        return select(label, options, value, _WIDTH - 8, css_classes=[name])

    def _slider(self, label: str, low: float, high: float, value: float, step: float, name: str) -> Any:
        return slider(label, low, high, value, step, width=_WIDTH - 20, css_classes=[name])

    def _slices(self) -> Any:
        import panel as pn

        thinning = self.model.rows.thinning
        axis = Axis.of(self.model.navigation(), thinning.dims[0])
        if len(thinning.stack) > 1:
            named = {f"{number}": number for number in range(thinning.slices)}
        else:
            named = {f"{format_number(float(v))} {axis.unit}".strip(): i for i, v in enumerate(axis.values)}
        name = ", ".join(thinning.dims[:-2])
        return pn.widgets.DiscreteSlider(
            label=name, options=named, value=self.model.options.slice, width=_WIDTH - 20, css_classes=["slice"],
            stylesheets=[FIELD], margin=(0, 8),
        )  # fmt: skip

    def _control(self, widget: Any, option: str) -> Any:
        widget.param.watch(self.guarded(lambda event: self.model.set(option, event.new)), "value")
        return widget
