"""The Gaussians of a mixture over the latent space that it was fitted in, as outlines in data coordinates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from refold.report.ellipses import SIGMAS, Gaussians
from refold.report.tally import Tally

if TYPE_CHECKING:
    from refold.explore.model import Model

__all__ = ["Outline", "outlines_of"]

Floats = NDArray[np.float64]
Outline = tuple[Floats, Floats, str]
_CORNERS = 73


def outlines_of(model: Model) -> list[Outline]:
    """Outline every Gaussian at one and two standard deviations, in the colour that its cluster has after the edits.

    Parameters
    ----------
    model : Model

    Returns
    -------
    list of (numpy.ndarray, numpy.ndarray, str)
        Coordinates of its corners along the two dims that are drawn, and its colour; none where the clusters are no
        Gaussians, or lie in another space.
    """
    rows, ids = model.rows, tuple(sorted(label for label in model.base if label >= 0))
    if rows.positions.shape[1] < 2 or not ids:
        return []
    sizes = tuple(model.base[label] for label in ids)
    tally = Tally(ids, sizes, ("",) * len(ids), (1.0,) * len(ids), 0, 0, sum(sizes))
    gaussians = Gaussians.of(model.run, rows.space, tally)
    if gaussians is None:
        return []
    colours, turn = model.colours, np.linspace(0, 2 * np.pi, _CORNERS)
    found = []
    for label, row in zip(*np.unique(rows.labels, return_index=True), strict=True):
        now = int(model.pieces.ids[model.pieces.image[row]])
        if label < 0 or now < 0:
            continue
        for sigma in SIGMAS:
            centre, width, height, angle = gaussians.ellipse(int(label), model.options.dims, sigma)
            along, across, lean = width / 2 * np.cos(turn), height / 2 * np.sin(turn), np.radians(angle)
            x = centre[0] + along * np.cos(lean) - across * np.sin(lean)
            y = centre[1] + along * np.sin(lean) + across * np.cos(lean)
            found.append((x, y, colours[now]))
    return found
