"""Fewer numbers for each pixel that still say what it is."""

from refold.reduce.mnf import MNF
from refold.reduce.outlying import Outliers, promote_outliers
from refold.reduce.pca import PCA

__all__ = ["MNF", "PCA", "Outliers", "promote_outliers"]
