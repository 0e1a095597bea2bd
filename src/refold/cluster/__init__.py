"""Clustering of the landmarks, and of whole cubes."""

from __future__ import annotations

from refold.cluster.agglomerative import Agglomerative
from refold.cluster.choosing import Assigned, assign_all, assigned_to, clusterer_of, parameters_of
from refold.cluster.counting import ClusterCount, estimate_clusters
from refold.cluster.dbcv import validity
from refold.cluster.hdbscan import HDBSCAN
from refold.cluster.kmeans import KMeans
from refold.cluster.minibatch import MiniBatchKMeans
from refold.cluster.mixture import GaussianMixture
from refold.cluster.naming import order_by_size
from refold.cluster.nearest_centre import NearestCentre
from refold.cluster.protocol import Clusterer
from refold.cluster.wrapping import LandmarkClusterer, as_clusterer

__all__ = [
    "HDBSCAN",
    "Agglomerative",
    "Assigned",
    "ClusterCount",
    "Clusterer",
    "GaussianMixture",
    "KMeans",
    "LandmarkClusterer",
    "MiniBatchKMeans",
    "NearestCentre",
    "as_clusterer",
    "assign_all",
    "assigned_to",
    "clusterer_of",
    "estimate_clusters",
    "order_by_size",
    "parameters_of",
    "validity",
]
