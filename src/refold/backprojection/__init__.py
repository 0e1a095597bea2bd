"""Refolding: the landmarks' answer on every pixel, on the full grid, and what the clusters look like."""

from __future__ import annotations

from refold.backprojection.one_hot import cluster_labels
from refold.backprojection.refolding import Refolder, backproject
from refold.cube import to_full_grid
from refold.engine.statistics import cluster_statistics

__all__ = ["Refolder", "backproject", "cluster_labels", "cluster_statistics", "to_full_grid"]
