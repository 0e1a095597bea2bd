"""Landmarks and their embedding."""

from __future__ import annotations

from refold.embed.landmarks import Landmarks
from refold.embed.umap import LATENT_GAP, UMAP

__all__ = ["LATENT_GAP", "UMAP", "Landmarks"]
