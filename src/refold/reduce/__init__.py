"""Fewer numbers for each pixel that still say what it is."""

from refold.reduce.pca import PCA

__all__ = ["PCA"]
