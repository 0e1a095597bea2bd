"""Clustering of the landmarks, and of whole cubes."""

from __future__ import annotations

from refold.cluster.agglomerative import Agglomerative
from refold.cluster.counting import ClusterCount, estimate_clusters
from refold.cluster.hdbscan import HDBSCAN
from refold.cluster.mixture import GaussianMixture
from refold.cluster.naming import order_by_size
from refold.cluster.protocol import Clusterer
from refold.cluster.wrapping import LandmarkClusterer, as_clusterer

__all__ = [
    "HDBSCAN",
    "Agglomerative",
    "ClusterCount",
    "Clusterer",
    "GaussianMixture",
    "LandmarkClusterer",
    "as_clusterer",
    "estimate_clusters",
    "order_by_size",
]
