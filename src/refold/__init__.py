"""Refold segments scans that do not fit in memory and gives every pixel its label, on the scan's own coordinates."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from refold.backprojection import backproject as backproject
    from refold.backprojection import cluster_labels as cluster_labels
    from refold.backprojection import cluster_statistics as cluster_statistics
    from refold.cluster import HDBSCAN as HDBSCAN
    from refold.cluster import Agglomerative as Agglomerative
    from refold.cluster import GaussianMixture as GaussianMixture
    from refold.cluster import KMeans as KMeans
    from refold.cluster import LandmarkClusterer as LandmarkClusterer
    from refold.cluster import MiniBatchKMeans as MiniBatchKMeans
    from refold.cluster import as_clusterer as as_clusterer
    from refold.cluster import estimate_clusters as estimate_clusters
    from refold.cluster import validity as validity
    from refold.cube import as_cube as as_cube
    from refold.cube import fold as fold
    from refold.cube import unfold as unfold
    from refold.editing import Edits as Edits
    from refold.editing import Selection as Selection
    from refold.editing import edits as edits
    from refold.embed import UMAP as UMAP
    from refold.embed import Landmarks as Landmarks
    from refold.engine import ClusterSums as ClusterSums
    from refold.engine import Histogram as Histogram
    from refold.engine import Moments as Moments
    from refold.engine import Sample as Sample
    from refold.engine import Visitor as Visitor
    from refold.engine import ZarrWriter as ZarrWriter
    from refold.engine import quantiles as quantiles
    from refold.engine import sweep as sweep
    from refold.errors import RefoldError as RefoldError
    from refold.exchange import to_hyperspy as to_hyperspy
    from refold.features import CentreOfMass as CentreOfMass
    from refold.features import ChannelSelection as ChannelSelection
    from refold.features import DeviationSelection as DeviationSelection
    from refold.features import Fusion as Fusion
    from refold.features import Scaler as Scaler
    from refold.features import align as align
    from refold.features import angular_variance as angular_variance
    from refold.features import centre_of_mass as centre_of_mass
    from refold.features import cepstrum as cepstrum
    from refold.features import element_maps as element_maps
    from refold.features import find_beam as find_beam
    from refold.features import line_intensities as line_intensities
    from refold.features import log_fourier as log_fourier
    from refold.features import radial_profile as radial_profile
    from refold.features import suggest_lines as suggest_lines
    from refold.features import virtual_detectors as virtual_detectors
    from refold.features import xray_lines as xray_lines
    from refold.phases import export_labels as export_labels
    from refold.phases import export_masks as export_masks
    from refold.phases import export_spectra as export_spectra
    from refold.phases import unmix as unmix
    from refold.pipeline import plan as plan
    from refold.pipeline import run as run
    from refold.prepare import Spikes as Spikes
    from refold.prepare import ZeroLoss as ZeroLoss
    from refold.prepare import align_zero_loss as align_zero_loss
    from refold.prepare import bands as bands
    from refold.prepare import calibrate_zero_loss as calibrate_zero_loss
    from refold.prepare import clip as clip
    from refold.prepare import crop as crop
    from refold.prepare import log1p as log1p
    from refold.prepare import mask as mask
    from refold.prepare import neighbour_average as neighbour_average
    from refold.prepare import normalise as normalise
    from refold.prepare import rebin as rebin
    from refold.prepare import relative_thickness as relative_thickness
    from refold.prepare import remove_background as remove_background
    from refold.prepare import remove_spikes as remove_spikes
    from refold.prepare import softmax as softmax
    from refold.prepare import spike_histogram as spike_histogram
    from refold.prepare import zscore as zscore
    from refold.recipe import Recipe as Recipe
    from refold.reclustering import clusterings as clusterings
    from refold.reclustering import forget_clustering as forget_clustering
    from refold.reclustering import recluster as recluster
    from refold.reduce import ICA as ICA
    from refold.reduce import MNF as MNF
    from refold.reduce import NMF as NMF
    from refold.reduce import PCA as PCA
    from refold.reduce import Autoencoder as Autoencoder
    from refold.reduce import Decomposition as Decomposition
    from refold.reduce import Online as Online
    from refold.reduce import decompose as decompose
    from refold.reduce import elbow_position as elbow_position
    from refold.reduce import promote_outliers as promote_outliers
    from refold.reduce import separate as separate
    from refold.report import composite as composite
    from refold.report import figures as figures
    from refold.report import to_geotiff as to_geotiff
    from refold.source import checksum as checksum
    from refold.source import convert as convert
    from refold.source import from_hyperspy as from_hyperspy
    from refold.source import info as info
    from refold.source import open as open
    from refold.source import synthetic as synthetic
    from refold.store import open_run as open_run
    from refold.trust import compare as compare
    from refold.trust import stability as stability

__version__ = "0.1.0.dev0"

# Names are resolved when first used, so that `import refold` costs no more than what is needed.
_ROOMS = {
    "refold.backprojection": ("backproject", "cluster_labels", "cluster_statistics"),
    "refold.cluster": (
        "HDBSCAN",
        "Agglomerative",
        "GaussianMixture",
        "KMeans",
        "LandmarkClusterer",
        "MiniBatchKMeans",
        "as_clusterer",
        "estimate_clusters",
        "validity",
    ),
    "refold.cube": ("as_cube", "fold", "unfold"),
    "refold.editing": ("Edits", "Selection", "edits"),
    "refold.embed": ("UMAP", "Landmarks"),
    "refold.engine": ("ClusterSums", "Histogram", "Moments", "Sample", "Visitor", "ZarrWriter", "quantiles", "sweep"),
    "refold.errors": ("RefoldError",),
    "refold.exchange": ("to_hyperspy",),
    "refold.features": (
        "CentreOfMass",
        "ChannelSelection",
        "DeviationSelection",
        "Fusion",
        "Scaler",
        "align",
        "angular_variance",
        "centre_of_mass",
        "cepstrum",
        "element_maps",
        "find_beam",
        "line_intensities",
        "log_fourier",
        "radial_profile",
        "suggest_lines",
        "virtual_detectors",
        "xray_lines",
    ),
    "refold.phases": ("export_labels", "export_masks", "export_spectra", "unmix"),
    "refold.pipeline": ("plan", "run"),
    "refold.prepare": (
        "Spikes",
        "ZeroLoss",
        "align_zero_loss",
        "bands",
        "calibrate_zero_loss",
        "clip",
        "crop",
        "log1p",
        "mask",
        "neighbour_average",
        "normalise",
        "rebin",
        "relative_thickness",
        "remove_background",
        "remove_spikes",
        "softmax",
        "spike_histogram",
        "zscore",
    ),
    "refold.recipe": ("Recipe",),
    "refold.reclustering": ("clusterings", "forget_clustering", "recluster"),
    "refold.reduce": (
        "ICA",
        "MNF",
        "NMF",
        "PCA",
        "Autoencoder",
        "Online",
        "Decomposition",
        "decompose",
        "elbow_position",
        "promote_outliers",
        "separate",
    ),
    "refold.report": ("composite", "figures", "to_geotiff"),
    "refold.source": ("checksum", "convert", "from_hyperspy", "info", "open", "synthetic"),
    "refold.store": ("open_run",),
    "refold.trust": ("compare", "stability"),
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = sorted([*_ROOM_OF, "__version__"])  # noqa: PLE0605 - a list, sorted


def __getattr__(name: str) -> Any:
    if name not in _ROOM_OF:
        raise AttributeError(f"module 'refold' has no attribute {name!r}")
    value = getattr(import_module(_ROOM_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__


import_module("refold.accessor")  # registers `cube.refold`
