"""All figures of a run as PNG files."""

from __future__ import annotations

from pathlib import Path

import xarray as xr

from refold.report.canvas import ThemeName, png
from refold.report.latent import latent_scatter
from refold.report.maps import label_map, probability_map, residual_map
from refold.report.points import latent_name
from refold.report.poster import overview
from refold.report.spectra import mean_signals
from refold.report.tally import Tally
from refold.report.variance import scree

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
    figures = {
        "labels": label_map(dataset, theme=theme, tally=tally),
        "overview": overview(dataset, theme=theme, tally=tally),
    }
    if "probability" in dataset:
        figures["probability"] = probability_map(dataset, theme=theme)
    if "residual" in dataset:
        figures["residual"] = residual_map(dataset, theme=theme)
    if "cluster_mean" in dataset:
        figures["signals"] = mean_signals(dataset, theme=theme, tally=tally)
    if latent_name(dataset):
        figures["latent"] = latent_scatter(dataset, theme=theme, tally=tally)
    if "explained_variance_ratio" in dataset:
        figures["scree"] = scree(dataset, theme=theme)
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    written = []
    for name, figure in sorted(figures.items()):
        path = target / f"{name}.png"
        path.write_bytes(png(figure, dpi))
        written.append(path)
    return written
