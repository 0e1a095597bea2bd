"""Figures of a run or a decomposition, each a function that returns a matplotlib `Figure`; nothing is shown.

With a `run` as `refold.open_run` gives it: ``refold.figures.label_map(run).savefig("map.png")``. Pyplot is not touched.
"""

from refold.report.clusters import cluster_gallery
from refold.report.components import factors, loadings
from refold.report.distributions import pixel_distributions
from refold.report.eels import shift_map, spike_heights
from refold.report.gallery import figure_files
from refold.report.latent import latent_scatter
from refold.report.losses import loss_curve
from refold.report.maps import label_map, probability_map, residual_map, scalar_map
from refold.report.memberships import membership_maps
from refold.report.metrics import metric_curves
from refold.report.poster import overview
from refold.report.scenes import composite, overlay
from refold.report.scree import scree
from refold.report.space import latent_space
from refold.report.spectra import mean_signal, mean_signals
from refold.report.stability import stability_map
from refold.report.unmixing import abundance_maps, unmixing
from refold.report.xrays import line_bars, line_spectrum

__all__ = [
    "abundance_maps",
    "cluster_gallery",
    "composite",
    "factors",
    "figure_files",
    "label_map",
    "latent_scatter",
    "latent_space",
    "line_bars",
    "line_spectrum",
    "loadings",
    "loss_curve",
    "mean_signal",
    "mean_signals",
    "membership_maps",
    "metric_curves",
    "overlay",
    "overview",
    "pixel_distributions",
    "probability_map",
    "residual_map",
    "scalar_map",
    "scree",
    "shift_map",
    "spike_heights",
    "stability_map",
    "unmixing",
]
