"""Landmarks and their embedding."""

from __future__ import annotations

from refold.embed.landmarks import Landmarks
from refold.embed.umap import UMAP

__all__ = ["UMAP", "Landmarks"]
