"""Landmarks and their embedding."""

from __future__ import annotations

from refold.embed.landmarks import Landmarks, draw_together
from refold.embed.umap import LATENT_GAP, UMAP

__all__ = ["LATENT_GAP", "UMAP", "Landmarks", "draw_together"]
