"""Clustering of the landmarks, and of whole cubes."""

from __future__ import annotations

from refold.cluster.hdbscan import HDBSCAN
from refold.cluster.naming import order_by_size

__all__ = ["HDBSCAN", "order_by_size"]
