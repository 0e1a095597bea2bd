"""The report: one HTML page that holds everything and loads nothing."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import xarray as xr

from refold.errors import DiskFullError, StoreError
from refold.report.canvas import inline_svg
from refold.report.colours import NOISE, ink_on
from refold.report.facts import Facts
from refold.report.latent import latent_scatter
from refold.report.maps import label_map, probability_map, residual_map
from refold.report.points import MAX_POINTS, latent_name
from refold.report.signals import Display, Signals
from refold.report.spectra import mean_signal
from refold.report.tally import Tally, labels_of
from refold.report.variance import scree
from refold.report.views import MAX_PANELS, panels
from refold.report.words import count, percent, plural

__all__ = ["render_report", "write_report"]

_MAP = 5.2
_HALF = 5.0
_FEW = 12
_DISPLAY: dict[Display, str] = {"linear": "", "sqrt": "square roots of the ", "log": "logarithms of the "}


def write_report(dataset: xr.Dataset, path: str | Path, *, measured: Mapping[str, Any] | None = None) -> Path:
    """Write the report of a run: one self-contained HTML page.

    Parameters
    ----------
    dataset : xarray.Dataset
        A run as `refold.open_run` gives it. Only `labels` is needed; a section whose variable is missing is left out.
    path : str or Path
        File to write; what is there is replaced, at once and only when the page is whole.
    measured : mapping, optional
        Totals under the names of the plan (`seconds`, `peak_memory`, `bytes_read`, `bytes_written`, `chunks_read`,
        `tasks`, `sweeps`); by default those that the run keeps, or else the sums over its stages.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    VariableError
        If the run has no labels.
    DiskFullError
        If the disk is full; nothing is left behind.
    StoreError
        If the file cannot be written for another reason.

    Notes
    -----
    The page has inline SVG with PNG inside, no script, no font and no address. The same run gives the same bytes.
    """
    target = Path(path)
    text = render_report(dataset, measured=measured)
    partial = target.with_name(f".{target.name}.partial")
    try:
        partial.write_text(text, encoding="utf-8", newline="\n")
        partial.replace(target)
    except OSError as error:
        partial.unlink(missing_ok=True)
        kind = DiskFullError if error.errno == errno.ENOSPC else StoreError
        raise kind(
            found=f"{target}: {error.strerror or error}",
            wanted="a place where the report can be written",
            remedy="Give a path in a folder that exists, with room and permission to write.",
        ) from error
    return target


def render_report(dataset: xr.Dataset, *, measured: Mapping[str, Any] | None = None) -> str:
    """Make the text of the page. See `write_report`."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from refold import __version__

    tally = Tally.of(dataset)
    facts = Facts.of(dataset, tally, measured)
    signals = Signals.of(dataset) if "cluster_mean" in dataset and tally.ids else None
    environment = Environment(
        loader=PackageLoader("refold.report"), autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True
    )
    usable = max([*tally.sizes, tally.noise, 1])
    return environment.get_template("page.html.jinja").render(
        facts=facts,
        tally=tally,
        style=_safe((files("refold.report") / "templates" / "style.css").read_text(encoding="utf-8")),
        figures=_figures(dataset, tally),
        cards=_cards(dataset, tally, facts, signals),
        card_width=_card_width(len(tally.ids), signals),
        signal_note=_signal_note(signals),
        latent_note=_latent_note(dataset, tally),
        slices=_slices(dataset),
        ink_on=ink_on,
        noise=NOISE,
        noise_share=percent(tally.noise_share),
        noise_pixels=count(tally.noise),
        noise_bar=tally.noise / usable,
        invalid_note=f"{plural(tally.invalid, 'pixel')} could not be used and are left out of the shares.",
        has_area=any(row.area for row in facts.clusters),
        has_probability="probability" in dataset,
        staged=any({row.seconds_forecast, row.peak_memory_forecast} != {"–"} for row in facts.stages),
        version=__version__,
    )


def _safe(text: str) -> Any:
    from markupsafe import Markup

    return Markup(text)  # our own style sheet and matplotlib's SVG, which escapes the texts in it


def _figures(dataset: xr.Dataset, tally: Tally) -> dict[str, Any]:
    navigation = set(labels_of(dataset).dims)
    found: dict[str, Any] = dict.fromkeys(("labels", "probability", "residual", "latent", "scree"))
    figure = label_map(dataset, theme="page", legend=False, width=_MAP, tally=tally)
    found["labels"] = _safe(inline_svg(figure, "labels", "Map of the clusters"))
    if "probability" in dataset and set(dataset["probability"].dims) == navigation:
        figure = probability_map(dataset, theme="page", width=_HALF)
        found["probability"] = _safe(inline_svg(figure, "probability", "Map of the labels' probability"))
    if "residual" in dataset and set(dataset["residual"].dims) == navigation:
        figure = residual_map(dataset, theme="page", width=_HALF)
        found["residual"] = _safe(inline_svg(figure, "residual", "Map of the residual"))
    if latent_name(dataset):
        figure = latent_scatter(dataset, theme="page", width=_HALF, tally=tally)
        found["latent"] = _safe(inline_svg(figure, "latent", "Pixels in the latent space"))
    if "explained_variance_ratio" in dataset:
        figure = scree(dataset, theme="page", width=_HALF)
        found["scree"] = _safe(inline_svg(figure, "scree", "Explained variance of the components"))
    return found


def _cards(dataset: xr.Dataset, tally: Tally, facts: Facts, signals: Signals | None) -> list[dict[str, Any]]:
    if signals is None:
        return []
    width = 3.4 if len(signals.axes) == 1 else 2.6 if len(tally.ids) <= _FEW else 1.95
    cards = []
    for number, row in zip(tally.ids, facts.clusters, strict=True):
        figure = mean_signal(dataset, number, theme="page", width=width, tally=tally, signals=signals)
        svg = inline_svg(figure, f"signal{number}", f"Mean signal of cluster {number}")
        cards.append({"row": row, "figure": _safe(svg)})
    return cards


def _card_width(n: int, signals: Signals | None) -> str:
    """Choose the least width of a card so that few places in the last row stay empty on a wide screen."""
    spectra = signals is not None and len(signals.axes) == 1
    choices = (3, 4) if spectra else (4, 5) if n <= _FEW else (6, 7)
    columns = max(choices[0] if n < choices[0] else min(choices, key=lambda c: (-n % c, c)), 1)
    return f"{(67 - 1.1 * (columns - 1)) / columns - 0.2:.2f}rem"


def _signal_note(signals: Signals | None) -> str:
    if signals is None:
        return ""
    drawn = f"{_DISPLAY[signals.display]}intensities"
    if len(signals.axes) == 2:
        return f"Mean signal of each cluster, {drawn}, each scaled to itself."
    band = ", with a band of one standard deviation" if signals.std is not None else ""
    said = f"Mean signal of each cluster{band}; the grey line is the mean of all."
    return f"{said} {drawn.capitalize()}, each scaled to itself."


def _latent_note(dataset: xr.Dataset, tally: Tally) -> str:
    kind = "The embedding" if latent_name(dataset) == "embedding" else "The first two scores (the run has no embedding)"
    shown = f", {count(MAX_POINTS)} of {count(tally.pixels)} pixels" if tally.pixels > MAX_POINTS else ""
    return f"{kind}{shown}. Distances between far groups mean little."


def _slices(dataset: xr.Dataset) -> str:
    labels = labels_of(dataset)
    if labels.ndim < 3:
        return ""
    total = 1
    for size in labels.shape[:-2]:
        total *= size
    shown = len(panels(labels, MAX_PANELS))
    return f"{plural(shown, 'slice')} of {count(total)}." if shown < total else plural(total, "slice") + "."
