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
from refold.report.cards import galleries, membership_cards, ramp_style, safe
from refold.report.colours import NOISE, ink_on
from refold.report.ellipses import Gaussians
from refold.report.facts import Facts
from refold.report.latent import latent_scatter
from refold.report.losses import has_losses, loss_curve
from refold.report.maps import label_map, probability_map, residual_map
from refold.report.metrics import criteria_of, metric_curves
from refold.report.points import MAX_POINTS, latent_name
from refold.report.stability import agreement, has_stability, stability_map
from refold.report.tally import Tally, labels_of
from refold.report.variance import scree
from refold.report.views import MAX_PANELS, panels
from refold.report.words import count, percent, plural
from refold.report.xrays import bars_of_run

__all__ = ["render_report", "write_report"]

_MAP = 5.2
_HALF = 5.0
_TABLES = ("repeat_ari", "pairwise_ari", "cluster_jaccard")


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
    environment = Environment(
        loader=PackageLoader("refold.report"), autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True
    )
    usable = max([*tally.sizes, tally.noise, 1])
    return environment.get_template("page.html.jinja").render(
        facts=facts,
        tally=tally,
        style=safe((files("refold.report") / "templates" / "style.css").read_text(encoding="utf-8")),
        figures=_figures(dataset, tally),
        galleries=galleries(dataset, tally, facts),
        memberships=membership_cards(dataset, tally, facts),
        ramp=ramp_style(),
        criteria=_criteria(dataset),
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


def _figures(dataset: xr.Dataset, tally: Tally) -> dict[str, Any]:
    navigation = set(labels_of(dataset).dims)
    found: dict[str, Any] = dict.fromkeys(
        ("labels", "probability", "residual", "stability", "agreement", "latent", "scree", "losses", "lines")
    )
    figure = label_map(dataset, theme="page", legend=False, width=_MAP, tally=tally)
    found["labels"] = safe(inline_svg(figure, "labels", "Map of the clusters"))
    if "probability" in dataset and set(dataset["probability"].dims) == navigation:
        figure = probability_map(dataset, theme="page", width=_HALF)
        found["probability"] = safe(inline_svg(figure, "probability", "Map of the labels' probability"))
    if "residual" in dataset and set(dataset["residual"].dims) == navigation:
        figure = residual_map(dataset, theme="page", width=_HALF)
        found["residual"] = safe(inline_svg(figure, "residual", "Map of the residual"))
    if has_stability(dataset):
        figure = stability_map(dataset.drop_vars(_TABLES, errors="ignore"), theme="page", width=_HALF)
        found["stability"] = safe(inline_svg(figure, "stability", "Map of the stability"))
        beside = agreement(dataset, theme="page", tally=tally)
        if beside is not None:
            found["agreement"] = safe(inline_svg(beside, "agreement", "Agreement of repeats"))
    if latent_name(dataset):
        figure = latent_scatter(dataset, theme="page", width=_HALF, tally=tally)
        found["latent"] = safe(inline_svg(figure, "latent", "Pixels in the latent space"))
    if "explained_variance_ratio" in dataset:
        figure = scree(dataset, theme="page", width=_HALF)
        found["scree"] = safe(inline_svg(figure, "scree", "Explained variance of the components"))
    if has_losses(dataset):
        figure = loss_curve(dataset, theme="page", width=_HALF)
        found["losses"] = safe(inline_svg(figure, "losses", "Loss of each epoch of the training"))
    bars = bars_of_run(dataset, theme="page", width=2 * _HALF)
    if bars is not None:
        found["lines"] = safe(inline_svg(bars, "lines", "X-ray lines of the clusters"))
    return found


def _criteria(dataset: xr.Dataset) -> list[Any]:
    found: list[Any] = []
    for name in criteria_of(dataset):
        alone = dataset[[v for v in (name, f"{name}_error") if v in dataset]]
        figure = metric_curves(alone, theme="page", width=3.6)
        found.append(safe(inline_svg(figure, f"criterion{len(found)}", f"{name} against the number of clusters")))
    return found


def _latent_note(dataset: xr.Dataset, tally: Tally) -> str:
    name = latent_name(dataset)
    kind = "The embedding" if name == "embedding" else "The first two scores (the run has no embedding)"
    shown = f", {count(MAX_POINTS)} of {count(tally.pixels)} pixels" if tally.pixels > MAX_POINTS else ""
    gaussians = name is not None and Gaussians.of(dataset, name, tally) is not None
    drawn = " Ellipses: each Gaussian of the mixture at one and two standard deviations, as thick as it is heavy."
    return f"{kind}{shown}. Distances between far groups mean little.{drawn if gaussians else ''}"


def _slices(dataset: xr.Dataset) -> str:
    labels = labels_of(dataset)
    if labels.ndim < 3:
        return ""
    total = 1
    for size in labels.shape[:-2]:
        total *= size
    shown = len(panels(labels, MAX_PANELS))
    return f"{plural(shown, 'slice')} of {count(total)}." if shown < total else plural(total, "slice") + "."
