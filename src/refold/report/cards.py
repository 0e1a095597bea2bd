"""The cards of the page: one for each cluster, its signal in each cube and where it is likely."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
import xarray as xr

from refold.report.canvas import drawing, inline_svg, new_figure
from refold.report.facts import ClusterRow, Facts
from refold.report.memberships import COLOURS, Memberships, draw_membership, memberships_name
from refold.report.signals import Display, Signals, cubes_of
from refold.report.spectra import mean_signal
from refold.report.tally import Tally

__all__ = ["Card", "Gallery", "galleries", "membership_cards", "ramp_style", "safe"]

_FEW = 12
_PATTERNS = 1 << 20
"""About so many pixels in all patterns of a page together."""
_CHANNELS = 1 << 14
"""About so many channels in all spectra of a page together."""
_MAPS = 1 << 20
"""About so many pixels in all maps of memberships together."""
_MOST = 64
"""At most so many maps of memberships: of the largest clusters."""
_DISPLAY: dict[Display, str] = {"linear": "", "sqrt": "square roots of the ", "log": "logarithms of the "}


@dataclass(frozen=True, slots=True)
class Card:
    """A figure of one cluster."""

    row: ClusterRow
    figure: Any


@dataclass(frozen=True, slots=True)
class Gallery:
    """The cards of one cube, or of the maps."""

    title: str
    note: str
    width: str
    """Least width of a card."""
    cards: list[Card]


def safe(text: str) -> Any:
    """Mark a text as HTML."""
    from markupsafe import Markup

    return Markup(text)  # our own style sheet and matplotlib's SVG, which escapes the texts in it


def galleries(dataset: xr.Dataset, tally: Tally, facts: Facts) -> list[Gallery]:
    """Draw each cluster's mean signal, and how it varies, in each cube of a run."""
    cubes, n = cubes_of(dataset), len(tally.ids)
    if not n:
        return []
    share = n * max(len(cubes), 1)
    side = int(np.clip(sqrt(_PATTERNS / (2 * share)), 48, 256))
    bins = int(np.clip(_CHANNELS / share, 256, 1024))
    found = []
    for i, cube in enumerate(cubes):
        signals = Signals.of(dataset, cube=cube, side=side, bins=bins)
        width = (2.6 if n <= _FEW else 1.95) if signals.is_image else 3.4
        prefix = f"signal{i}x" if cube else "signal"
        cards = []
        for number, row in zip(tally.ids, facts.clusters, strict=True):
            figure = mean_signal(
                dataset, number, theme="page", width=width, tally=tally, signals=signals, deviation=True
            )
            said = f"Mean signal of cluster {number}" + (f" in {cube}" if cube else "")
            cards.append(Card(row, safe(inline_svg(figure, f"{prefix}{number}", said))))
        found.append(Gallery(cube, _note(signals), _width(n, wide=not signals.is_image), cards))
    return found


def membership_cards(dataset: xr.Dataset, tally: Tally, facts: Facts) -> Gallery | None:
    """Draw where each cluster is likely; None where a run does not say."""
    if not tally.ids or memberships_name(dataset) is None:
        return None
    maps = Memberships.of(dataset, tally, _MAPS)
    n = min(len(tally.ids), _MOST)
    largest = sorted(np.argsort(-np.array(tally.sizes), kind="stable")[:n].tolist())
    wide = 3.4 if maps.line else 2.6 if n <= _FEW else 1.95
    cards = []
    for position in largest:
        with drawing("page") as look:
            figure = new_figure(wide, wide * min(maps.proportion, 1.5) + (0.42 if maps.line else 0))
            foot = 0.42 / figure.get_size_inches()[1] if maps.line else 0.01
            axes = figure.add_axes((0.015, foot, 0.97, 0.985 - foot))
            draw_membership(axes, maps, tally, position, look)
            if maps.line:
                maps.tick(axes)
        number = tally.ids[position]
        svg = inline_svg(figure, f"member{number}", f"Where cluster {number} is likely")
        cards.append(Card(facts.clusters[position], safe(svg)))
    what = "Soft membership of every pixel in each cluster"
    if maps.name == "probability":
        what = "Probability of the label, where it is the cluster's"
    note = what + ("" if n == len(tally.ids) else f"; the {n} largest clusters") + "."
    return Gallery("", note, _width(n, wide=maps.line), cards)


def ramp_style() -> Any:
    """The colours of the maps from 0 to 1, as CSS."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    stops = (to_hex(colour) for colour in colormaps[COLOURS](np.linspace(0, 1, 9)))
    return safe(f"background: linear-gradient(90deg, {', '.join(stops)})")


def _width(n: int, *, wide: bool) -> str:
    """Choose the least width of a card so that few places in the last row stay empty on a wide screen."""
    choices = (3, 4) if wide else (4, 5) if n <= _FEW else (6, 7)
    columns = max(choices[0] if n < choices[0] else min(choices, key=lambda c: (-n % c, c)), 1)
    return f"{(67 - 1.1 * (columns - 1)) / columns - 0.2:.2f}rem"


def _note(signals: Signals) -> str:
    drawn = f"{_DISPLAY[signals.display]}intensities"
    if signals.is_image:
        below = "" if signals.std is None else " Below it the standard deviation within the cluster."
        return f"Mean signal of each cluster, {drawn}, each scaled to itself.{below}"
    if signals.is_number:
        spread = "" if signals.std is None else " with its standard deviation"
        return f"Mean of each cluster{spread}, among the means of all clusters."
    band = ", with a band of one standard deviation" if signals.std is not None else ""
    said = f"Mean signal of each cluster{band}; the grey line is the mean of all."
    return f"{said} {drawn.capitalize()}, each scaled to itself."
