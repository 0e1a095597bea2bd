"""More clusterings of the same latent space, kept in a run beside its own."""

from refold.reclustering.listing import Clustering, clusterings, forget_clustering
from refold.reclustering.making import recluster

__all__ = ["Clustering", "clusterings", "forget_clustering", "recluster"]
