"""Two label maps side by side in the same colours, and where they differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from refold.report.canvas import Look, ThemeName, drawing, new_figure, quiet
from refold.report.colours import NOISE, palette, to_rgb
from refold.report.layout import STRETCH, axes_of, place, proportion_of
from refold.report.views import panels, thin

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from refold.trust.comparing import Comparison

_GAP, _HEAD, _STRIP = 0.12, 0.24, 0.6


def draw_comparison(comparison: Comparison, *, theme: ThemeName = "light", width: float = 3.4) -> Figure:
    """Draw both label maps, the other one in the numbers of the one, and where they differ.

    Parameters
    ----------
    comparison : Comparison
        From `refold.compare`.
    theme : {"light", "dark"}
        Colours of paper and ink.
    width : float
        Inches of each map.

    Returns
    -------
    matplotlib.figure.Figure
        Three maps side by side; of a stack its middle slice, of a line scan three strips.
    """
    cut = panels(comparison.labels)
    panel = cut[len(cut) // 2]
    across, down, line = axes_of(comparison.labels, panel)
    proportion = min(max(proportion_of(panel, across, down), 1 / STRETCH), STRETCH)
    height = _STRIP if line else min(width * proportion, 2 * width)
    titles = ("a", "b, in the numbers of a", f"different: {100 * comparison.share:.1f} %")
    with drawing(theme) as look:
        figure = new_figure(3 * width + 4 * _GAP, height + _HEAD + 2 * _GAP)
        colours = _colours(comparison)
        images = [colours[thin(labels, panel)] for labels in (comparison.labels, comparison.matched)]
        images.append(_marked(thin(comparison.differs, panel), look))
        for at, (title, image) in enumerate(zip(titles, images, strict=True)):
            axes = place(figure, _GAP + at * (width + _GAP), _GAP + _HEAD, width, height)
            quiet(axes)
            axes.imshow(image, interpolation="none", aspect="auto")
            axes.set_title(title, loc="left", pad=4)
        return figure


def _colours(comparison: Comparison) -> npt.NDArray[np.float64]:
    """Colour of each cluster of either run; that of noise last, where -1 finds it."""
    last = max(comparison.jaccard.size - 1, int(comparison.counterparts.max(initial=-1)))
    return to_rgb([*palette(last + 1), NOISE])


def _marked(differs: npt.NDArray[Any], look: Look) -> npt.NDArray[np.float64]:
    return to_rgb([look.line, look.ink])[differs.astype(np.int64)]
