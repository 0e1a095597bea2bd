"""Element bars beside the spectra: how strong the lines of each element are, with counting errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from refold.errors import MissingDependencyError, ParameterError
from refold.explore.curves import Curves
from refold.explore.style import dress
from refold.report.canvas import THEMES

if TYPE_CHECKING:
    from refold.explore.model import Model

__all__ = ["Bar", "ElementBars", "bars_of"]

_WIDTH = 300
_MOST = 12
_SURE = 3.0  # standard deviations above nothing
Bar = tuple[str, float, float]


def bars_of(model: Model) -> list[Bar]:
    """Measure the lines that the scan lists in the mean spectrum of what is selected.

    Parameters
    ----------
    model : Model

    Returns
    -------
    list of (str, float, float)
        Line, net counts in a pixel and their standard deviation, the strongest first; lines that cannot be told from
        nothing are left out. Empty where there are no X-ray spectra, no lines are known, or no package knows them.
    """
    from refold.features.xrays import line_intensities
    from refold.features.xrays.intensities import has_counts, lines_of_run

    curves: Curves = model.curves
    cube = curves.ways.cube
    name = f"cluster_mean_{cube}" if cube else "cluster_mean"
    mean = curves.selected() if curves.kind == "line" else None
    if mean is None or len(mean.values) != model.run[name].shape[-1]:  # the lines want every channel
        return []
    if not has_counts(model.run, name):  # of what was scaled nobody knows the noise
        return []
    own = {} if isinstance(model.scan, xr.DataArray | xr.Dataset) else dict(lines_of_run(model.run, name))
    lines = own.pop("lines", None)
    spectrum = model.run[name].isel(cluster=slice(0, 1)).copy(data=mean.values[None]).assign_attrs(own)
    scan = model.scan[cube] if isinstance(model.scan, xr.Dataset) and cube in model.scan else model.scan
    try:
        found = line_intensities(
            spectrum, lines, sizes=[max(int(mean.pixels), 1)], scan=scan if isinstance(scan, xr.DataArray) else None
        )
    except (ParameterError, MissingDependencyError):  # no energies, no lines, or nobody to ask for them
        return []
    rows = zip(found["line"].values, found["intensity"].values[0], found["error"].values[0], strict=True)
    sure = [(str(line), float(net), float(error)) for line, net, error in rows if net > _SURE * error]
    return sorted(sure, key=lambda bar: -bar[1])[:_MOST]


class ElementBars:
    """The figure of the bars; it takes no room where there are none.

    Parameters
    ----------
    model : Model
    theme : {"light", "dark"}
    """

    def __init__(self, model: Model, theme: str) -> None:
        import panel as pn
        from bokeh.models import ColumnDataSource, FactorRange, Whisker
        from bokeh.plotting import figure

        self.model, self.theme = model, theme
        self.source = ColumnDataSource({name: [] for name in ("line", "net", "low", "high")})
        self.figure: Any = figure(
            name="elements", width=_WIDTH, sizing_mode="stretch_height", toolbar_location=None, tools="",
            x_range=FactorRange(), min_height=120,
        )  # fmt: skip
        self.figure.vbar(x="line", top="net", width=0.65, source=self.source, name="element-bars")
        self.whisker = Whisker(base="line", lower="low", upper="high", source=self.source)
        self.figure.add_layout(self.whisker)
        self.figure.y_range.start = 0
        self.figure.xaxis.major_label_orientation = 0.9
        self.figure.yaxis.axis_label = "net counts in a pixel"
        self.view: Any = pn.Column(
            pn.pane.Bokeh(self.figure, sizing_mode="stretch_height", margin=0), width=_WIDTH, visible=False,
            sizing_mode="stretch_height", css_classes=["elements"], margin=0,
        )  # fmt: skip
        self.dress(theme)

    def draw(self) -> None:
        """Draw the bars of what is selected."""
        bars = bars_of(self.model)
        self.view.visible = bool(bars)
        if bars:
            lines, net, error = zip(*bars, strict=True)
            values, spread = np.array(net), np.array(error)
            self.figure.x_range.factors = list(lines)
            self.source.data = {"line": list(lines), "net": values, "low": values - spread, "high": values + spread}

    def dress(self, theme: str) -> None:
        """Take the colours of a theme."""
        dress(self.figure, theme)
        self.figure.outline_line_color = None
        ink = THEMES[theme]
        for renderer in self.figure.renderers:
            renderer.glyph.fill_color = renderer.glyph.line_color = ink.muted
        self.whisker.line_color = self.whisker.upper_head.line_color = self.whisker.lower_head.line_color = ink.ink
