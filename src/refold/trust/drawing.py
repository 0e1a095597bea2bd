"""Two label maps side by side in the same colours, and where they differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from refold.report.canvas import Look, ThemeName, drawing, new_figure, quiet
from refold.report.colours import NOISE, palette, to_rgb
from refold.report.layout import STRETCH, axes_of, place, proportion_of
from refold.report.views import panels, thin

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_GAP, _HEAD, _STRIP = 0.12, 0.24, 0.6


def draw_comparison(
    labels: xr.DataArray,
    matched: xr.DataArray,
    differs: xr.DataArray,
    *,
    clusters: int,
    share: float,
    theme: ThemeName = "light",
    width: float = 3.4,
) -> Figure:
    """Draw two label maps, the other one in the numbers of the one, and where they differ.

    Parameters
    ----------
    labels, matched, differs : xarray.DataArray
        The maps, on one grid; lazy.
    clusters : int
        Numbers that either map has.
    share : float
        Share of the valid pixels where they differ.
    theme : {"light", "dark"}
        Colours of paper and ink.
    width : float
        Inches of each map.

    Returns
    -------
    matplotlib.figure.Figure
        Three maps side by side; of a stack its middle slice, of a line scan three strips.
    """
    cut = panels(labels)
    panel = cut[len(cut) // 2]
    across, down, line = axes_of(labels, panel)
    proportion = min(max(proportion_of(panel, across, down), 1 / STRETCH), STRETCH)
    height = _STRIP if line else min(width * proportion, 2 * width)
    titles = ("a", "b, in the numbers of a", f"different: {100 * share:.1f} %")
    with drawing(theme) as look:
        figure = new_figure(3 * width + 4 * _GAP, height + _HEAD + 2 * _GAP)
        colours = to_rgb([*palette(clusters), NOISE])  # that of noise last, where -1 finds it
        images = [colours[thin(one, panel)] for one in (labels, matched)]
        images.append(_marked(thin(differs, panel), look))
        for at, (title, image) in enumerate(zip(titles, images, strict=True)):
            axes = place(figure, _GAP + at * (width + _GAP), _GAP + _HEAD, width, height)
            quiet(axes)
            axes.imshow(image, interpolation="none", aspect="auto")
            axes.set_title(title, loc="left", pad=4)
        return figure


def _marked(differs: npt.NDArray[Any], look: Look) -> npt.NDArray[np.float64]:
    return to_rgb([look.line, look.ink])[differs.astype(np.int64)]
