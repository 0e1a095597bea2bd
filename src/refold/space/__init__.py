"""What is learnt from: the features of each cube, and all of them side by side."""

from refold.space.fused import FeatureSpace, makes_features
from refold.space.one_cube import PartFeatures

__all__ = ["FeatureSpace", "PartFeatures", "makes_features"]
