"""Fewer numbers for each pixel that still say what it is."""

from refold.reduce.autoencoder import Autoencoder
from refold.reduce.decomposition import Decomposition, decompose
from refold.reduce.elbow import elbow_position
from refold.reduce.ica import ICA
from refold.reduce.mnf import MNF
from refold.reduce.nmf import NMF
from refold.reduce.online import Online
from refold.reduce.outlying import Outliers, promote_outliers
from refold.reduce.pca import PCA
from refold.reduce.separating import separate

__all__ = [
    "ICA",
    "MNF",
    "NMF",
    "PCA",
    "Autoencoder",
    "Decomposition",
    "Online",
    "Outliers",
    "decompose",
    "elbow_position",
    "promote_outliers",
    "separate",
]
