"""All figures of a run as PNG files."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr

from refold.report.canvas import ThemeName, png
from refold.report.clusters import cluster_gallery
from refold.report.latent import latent_scatter
from refold.report.losses import has_losses, loss_curve
from refold.report.maps import label_map, probability_map, residual_map
from refold.report.memberships import membership_maps, memberships_name
from refold.report.metrics import criteria_of, metric_curves
from refold.report.points import latent_name
from refold.report.poster import overview
from refold.report.signals import cubes_of
from refold.report.spectra import mean_signals
from refold.report.stability import has_stability, stability_map
from refold.report.tally import Tally, labels_of
from refold.report.variance import scree

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["figure_files"]


def figure_files(
    dataset: xr.Dataset, folder: str | Path, *, theme: ThemeName = "light", dpi: float = 200
) -> list[Path]:
    """Save every figure that a run has the variables for.

    Parameters
    ----------
    dataset : xarray.Dataset
        A run.
    folder : str or Path
        Made if it is missing; files of the same names are replaced.
    theme : {"light", "dark"}
        Colours of paper and ink; dark for slides.
    dpi : float
        Pixels per inch.

    Returns
    -------
    list of Path
        The files, by name.
    """
    tally = Tally.of(dataset)
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    written = []
    for name, draw in sorted(_drawings(dataset, theme, tally).items()):
        path = target / f"{name}.png"
        path.write_bytes(png(draw(), dpi))  # one figure in memory at a time
        written.append(path)
    return written


def _drawings(dataset: xr.Dataset, theme: ThemeName, tally: Tally) -> dict[str, Callable[[], Figure]]:
    """What a run has the variables for, by the name of its file."""
    cubes = cubes_of(dataset)
    navigation = set(labels_of(dataset).dims)
    shared: dict[str, Any] = {"theme": theme, "tally": tally}
    always: dict[str, Callable[[], Figure]] = {
        "labels": partial(label_map, dataset, **shared),
        "overview": partial(overview, dataset, **shared),
    }
    maybe = {
        "clusters": (bool(cubes) or memberships_name(dataset), partial(cluster_gallery, dataset, **shared)),
        "latent": (latent_name(dataset), partial(latent_scatter, dataset, **shared)),
        "losses": (has_losses(dataset), partial(loss_curve, dataset, theme=theme)),
        "memberships": (memberships_name(dataset), partial(membership_maps, dataset, **shared)),
        "metrics": (criteria_of(dataset), partial(metric_curves, dataset, theme=theme)),
        "probability": (_is_map(dataset, "probability", navigation), partial(probability_map, dataset, theme=theme)),
        "residual": (_is_map(dataset, "residual", navigation), partial(residual_map, dataset, theme=theme)),
        "scree": ("explained_variance_ratio" in dataset, partial(scree, dataset, theme=theme)),
        "stability": (has_stability(dataset), partial(stability_map, dataset, **shared)),
    }
    signals: dict[str, Callable[[], Figure]] = {
        f"signals-{_file_name(cube)}" if cube else "signals": partial(mean_signals, dataset, cube=cube, **shared)
        for cube in cubes
    }
    return always | {name: draw for name, (known, draw) in maybe.items() if known} | signals


def _is_map(dataset: xr.Dataset, name: str, navigation: set[Hashable]) -> bool:
    return name in dataset and set(dataset[name].dims) == navigation


def _file_name(cube: str) -> str:
    """A name from a file is no path."""
    return re.sub(r"[^\w-]+", "-", cube)
