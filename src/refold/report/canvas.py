"""Paper and ink: themes, figures without pyplot, and how a figure becomes bytes.

A figure is drawn by ``matplotlib.figure.Figure`` alone, so there is no global state, no window and no backend to
choose. Inside the page a figure is inline SVG whose neutral colours are CSS variables: one drawing serves light, dark
and paper.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from threading import RLock
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from refold.errors import ParameterError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["THEMES", "Look", "ThemeName", "drawing", "inline_svg", "new_figure", "png", "quiet"]

ThemeName = Literal["light", "dark", "page"]


@dataclass(frozen=True, slots=True)
class Look:
    """Neutral colours of a theme."""

    paper: str
    ink: str
    muted: str
    line: str


THEMES: dict[str, Look] = {
    "light": Look(paper="#ffffff", ink="#1f2328", muted="#59636e", line="#d1d9e0"),
    "dark": Look(paper="#0d1117", ink="#f0f6fc", muted="#9198a1", line="#3d444d"),
    # colours nobody uses, which inline_svg turns into the page's variables
    "page": Look(paper="#010206", ink="#010203", muted="#010204", line="#010205"),
}
_VARIABLES = {"#010203": "var(--ink)", "#010204": "var(--muted)", "#010205": "var(--line)", "#010206": "var(--paper)"}
_LOCK = RLock()  # rcParams are one per process; figures are drawn one at a time
_SIZE = 9.0
_TABLE = 256  # most colours of a PNG with a table


def _style(look: Look, background: str) -> dict[str, Any]:
    return {
        "figure.facecolor": background,
        "axes.facecolor": "none",
        "savefig.facecolor": "auto",
        "font.family": "DejaVu Sans",  # comes with matplotlib, so pictures are the same everywhere
        "font.size": _SIZE,
        "axes.titlesize": _SIZE,
        "axes.labelsize": _SIZE,
        "xtick.labelsize": _SIZE - 1,
        "ytick.labelsize": _SIZE - 1,
        "legend.fontsize": _SIZE,
        "legend.frameon": False,
        "text.color": look.ink,
        "text.parse_math": False,  # names and units are texts, not formulas
        "axes.formatter.use_mathtext": False,
        "axes.labelcolor": look.muted,
        "axes.titlecolor": look.ink,
        "axes.edgecolor": look.line,
        "axes.linewidth": 0.8,
        "xtick.color": look.line,
        "ytick.color": look.line,
        "xtick.labelcolor": look.muted,
        "ytick.labelcolor": look.muted,
        "xtick.major.size": 3,
        "ytick.major.size": 3,
        "grid.color": look.line,
        "grid.linewidth": 0.6,
        "hatch.linewidth": 0.7,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "svg.fonttype": "none",
        "svg.hashsalt": "refold",
        "svg.image_inline": True,
        "image.composite_image": False,
        "figure.dpi": 100,
        "savefig.dpi": 200,
    }


@contextmanager
def drawing(theme: ThemeName) -> Iterator[Look]:
    """Draw in a theme, whatever the user's own matplotlib settings are, and leave those as they were.

    Parameters
    ----------
    theme : {"light", "dark", "page"}

    Yields
    ------
    Look
        The neutral colours.

    Raises
    ------
    ParameterError
        If there is no such theme.
    """
    import matplotlib.style

    if theme not in THEMES:
        raise ParameterError(
            found=f"theme {theme!r}", wanted="'light' or 'dark'", remedy="Leave theme out for figures on white."
        )
    look = THEMES[theme]
    with _LOCK, matplotlib.style.context(_style(look, "none" if theme == "page" else look.paper), after_reset=True):
        yield look


def new_figure(width: float, height: float) -> Figure:
    """Make an empty figure of the given inches that no pyplot knows."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    # Notebooks draw a Figure themselves only once pyplot is imported; by this they draw it anyway.
    vars(figure)["_repr_png_"] = partial(png, figure, dpi=100)
    return figure


def quiet(axes: Axes) -> None:
    """Take ticks and spines off."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def png(figure: Figure, dpi: float = 200) -> bytes:
    """Write a figure as PNG; the same figure gives the same bytes."""
    sink = BytesIO()
    with _LOCK:
        figure.savefig(sink, format="png", dpi=dpi, metadata={"Software": "refold"})
    return sink.getvalue()


def inline_svg(figure: Figure, name: str, description: str) -> str:
    """Write a figure of the theme ``page`` as SVG to set into HTML.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    name : str
        Prefix of the identifiers inside, unique in the page.
    description : str
        Read aloud instead of the picture.

    Returns
    -------
    str
        One ``<svg>`` element: no addresses, no fonts of its own, neutral colours as CSS variables.
    """
    import matplotlib.style
    from markupsafe import escape

    sink = BytesIO()
    with _LOCK, matplotlib.style.context(_style(THEMES["page"], "none")):
        figure.savefig(sink, format="svg", dpi=144, metadata={"Date": None}, facecolor="none")
    text = sink.getvalue().decode("utf-8")
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    width, height = (value * 96 for value in figure.get_size_inches())
    head = (
        f'<svg class="figure" viewBox="0 0 {width * 0.75:.6g} {height * 0.75:.6g}" role="img" '
        f'style="max-width: {width:.0f}px" aria-label="{escape(description)}">'
    )
    text = re.sub(r"^<svg[^>]*>", lambda _: head, text, count=1)
    text = re.sub(r"(data:image/png;base64,)\s*([^\"]+)", lambda found: found[1] + _compact(found[2]), text)
    return _adapt(text, name)


def _compact(image: str) -> str:
    """Write a PNG of few colours, such as a map, with a table of them: a third of its size, and the same pixels."""
    from PIL import Image

    picture = Image.open(BytesIO(b64decode(image))).convert("RGBA")
    pixels = np.ascontiguousarray(picture).view(np.uint32)[..., 0]
    colours, index = np.unique(pixels, return_inverse=True)
    if len(colours) > _TABLE:
        return image
    table = colours.view(np.uint8).reshape(-1, 4)
    small = Image.fromarray(index.reshape(pixels.shape).astype(np.uint8)).convert("P")
    small.putpalette(table[:, :3].tobytes())
    sink = BytesIO()
    small.save(sink, format="png", optimize=True, transparency=table[:, 3].tobytes())
    return min(image, b64encode(sink.getvalue()).decode(), key=len)


def _adapt(svg: str, name: str) -> str:
    svg = svg.replace("xlink:href=", "href=")
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'href="#', f'href="#{name}-', svg)
    svg = re.sub(r"url\(#", f"url(#{name}-", svg)
    svg = re.sub(r'<style type="text/css">.*?</style>', "", svg, flags=re.DOTALL)  # says only: join and cap of lines
    svg = re.sub(r"font: ((?:\w+ )*)([\d.]+)px [^;\"]*", _font, svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, variable)
    return svg


def _font(match: re.Match[str]) -> str:
    weight = "font-weight: 600; " if "7" in match[1] or "bold" in match[1] else ""
    return f"{weight}font-size: {match[2]}px"
