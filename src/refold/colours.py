"""Colours for clusters: apart for every eye, on light and on dark, for any number of clusters.

The first colours are those of Okabe and Ito [1]_, less their black and their yellow, which fade on dark and on light
paper, and with another purple for theirs, which a deuteranopic eye takes for the grey of noise. Every further colour
is the one, among a grid over sRGB, that is farthest from all before it and from that grey, where far means the
smallest CIELAB distance that a normal, a deuteranopic, a protanopic and (with half the weight, since it is a hundred
times rarer) a tritanopic eye sees. The order is fixed, so cluster 3 has the same colour whether there are 4 clusters
or 40.

References
----------
.. [1] M. Okabe and K. Ito, "Color Universal Design" (2008), https://jfly.uni-koeln.de/color/
.. [2] G. M. Machado, M. M. Oliveira and L. A. F. Fernandes, "A Physiologically-based Model for Simulation of Color
   Vision Deficiency", IEEE TVCG 15 (2009) 1291. The matrices are those of severity 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["INVALID", "NOISE", "ink_on", "palette", "separation", "simulate", "to_lab", "to_rgb"]

Vision = Literal["normal", "deuteranopia", "protanopia", "tritanopia"]
Floats = NDArray[np.float64]

NOISE = "#bcc1c7"
"""Grey of pixels that belong to no cluster; light enough to be told from the first eight clusters in grey too."""
INVALID = "#6e7781"
"""Hatching of pixels that could not be used (NaN, or nothing recorded)."""

_FIRST = ("#0072b2", "#e69f00", "#009e73", "#aa3377", "#56b4e9", "#d55e00")
_MACHADO: dict[str, Floats] = {
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
_RGB_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_WHITE = np.array([0.95047, 1.0, 1.08883])
_WEIGHTS: dict[Vision, float] = {"normal": 1.0, "deuteranopia": 1.0, "protanopia": 1.0, "tritanopia": 2.0}
_LIGHTNESS = (38.0, 86.0)
_CHROMA = (18.0, 82.0)  # below is grey like noise, above is neon


def to_rgb(colours: Sequence[str]) -> Floats:
    """Turn ``#rrggbb`` texts into an array of (n, 3) sRGB values in 0..1."""
    return np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in colours]).reshape(-1, 3)


def _to_hex(rgb: Floats) -> str:
    return "#" + "".join(f"{round(float(value) * 255):02x}" for value in rgb)


def _linear(rgb: Floats) -> Floats:
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def _gamma(linear: Floats) -> Floats:
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 0) ** (1 / 2.4) - 0.055)


def simulate(rgb: Floats, vision: Vision) -> Floats:
    """Show sRGB colours (n, 3) as an eye with the given deficiency sees them [2]_."""
    if vision == "normal":
        return rgb
    return np.clip(_gamma(np.clip(_linear(rgb) @ _MACHADO[vision].T, 0, 1)), 0, 1)


def to_lab(rgb: Floats) -> Floats:
    """Turn sRGB (n, 3) into CIELAB under D65."""
    ratio = _linear(rgb) @ _RGB_TO_XYZ.T / _WHITE
    root = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * root[:, 1] - 16, 500 * (root[:, 0] - root[:, 1]), 200 * (root[:, 1] - root[:, 2])], axis=1)


def separation(colours: Sequence[str], vision: Vision = "normal") -> float:
    """Smallest CIELAB distance between any two of the colours.

    Parameters
    ----------
    colours : sequence of str
        Texts of the form ``#rrggbb``.
    vision : {"normal", "deuteranopia", "protanopia", "tritanopia"}
        Whose eye.

    Returns
    -------
    float
        The distance; infinite for fewer than two colours. About 2 is just noticeable side by side.

    Examples
    --------
    >>> separation(["#000000", "#ffffff"])
    100.0
    """
    lab = to_lab(simulate(to_rgb(colours), vision))
    if len(lab) < 2:
        return float("inf")
    distances = np.linalg.norm(lab[:, None] - lab[None], axis=2)[np.triu_indices(len(lab), 1)]
    return float(np.round(distances.min(), 3))


def _candidates() -> Floats:
    steps = np.linspace(0, 1, 18)
    rgb = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    lab = to_lab(rgb)
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    kept = (chroma > _CHROMA[0]) & (chroma < _CHROMA[1]) & (lab[:, 0] > _LIGHTNESS[0]) & (lab[:, 0] < _LIGHTNESS[1])
    return np.asarray(rgb[kept])


def _seen(rgb: Floats) -> Floats:
    """Every colour in the CIELAB of every vision: (vision, n, 3)."""
    return np.stack([to_lab(simulate(rgb, vision)) * weight for vision, weight in _WEIGHTS.items()])


@lru_cache(maxsize=32)
def palette(n: int) -> tuple[str, ...]:
    """Colours of `n` clusters.

    Parameters
    ----------
    n : int
        How many. Any number works; past some 60 no set of colours is told apart by eye, and the numbers on the
        map and in the legend must help.

    Returns
    -------
    tuple of str
        ``#rrggbb`` texts. ``palette(n)`` starts with ``palette(n - 1)``. The noise grey is never among them.

    Notes
    -----
    Greedy farthest-point choice; see the module's text for the metric and its sources.

    Examples
    --------
    >>> palette(2)
    ('#0072b2', '#e69f00')
    """
    chosen = list(_FIRST[:n])
    if n <= len(_FIRST):
        return tuple(chosen)
    rgb = _candidates()
    seen = _seen(rgb)
    nearest = np.full(len(rgb), np.inf)
    for colour in (NOISE, *_FIRST):
        nearest = np.minimum(nearest, _distance(seen, _seen(to_rgb([colour]))))
    while len(chosen) < n:
        best = int(np.argmax(nearest))
        if nearest[best] <= 0:  # the grid is used up: begin again
            chosen.extend(chosen[: n - len(chosen)])
            break
        chosen.append(_to_hex(rgb[best]))
        nearest = np.minimum(nearest, _distance(seen, seen[:, best : best + 1]))
    return tuple(chosen[:n])


def _distance(seen: Floats, other: Floats) -> Floats:
    distance: Floats = np.linalg.norm(seen - other, axis=2).min(axis=0)
    return distance


def ink_on(colour: str) -> str:
    """Black or white, whichever reads better on `colour` (WCAG contrast).

    Examples
    --------
    >>> ink_on("#0072b2"), ink_on("#e69f00")
    ('#ffffff', '#000000')
    """
    luminance = float(_linear(to_rgb([colour]))[0] @ _RGB_TO_XYZ[1])
    return "#ffffff" if 1.05 / (luminance + 0.05) >= (luminance + 0.05) / 0.05 else "#000000"
