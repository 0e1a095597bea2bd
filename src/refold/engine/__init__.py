"""The heart: one traversal of a scan, block by block, feeding any number of visitors."""

from refold.engine.block import Block, Where
from refold.engine.cluster_sums import ClusterSums, ClusterSumsResult
from refold.engine.histogram import Histogram
from refold.engine.layout import plan_grid, working_bytes
from refold.engine.moments import Moments, MomentsResult
from refold.engine.once import Once
from refold.engine.quantiles import RankSearch, quantile_bound, quantiles
from refold.engine.sample import Sample, SampleResult, pixel_keys
from refold.engine.settings import Settings, current_settings, settings
from refold.engine.traversal import sweep
from refold.engine.visitor import Visitor
from refold.engine.writer import ZarrWriter

__all__ = [
    "Block",
    "ClusterSums",
    "ClusterSumsResult",
    "Histogram",
    "Moments",
    "MomentsResult",
    "Once",
    "RankSearch",
    "Sample",
    "SampleResult",
    "Settings",
    "Visitor",
    "Where",
    "ZarrWriter",
    "current_settings",
    "pixel_keys",
    "plan_grid",
    "quantile_bound",
    "quantiles",
    "settings",
    "sweep",
    "working_bytes",
]
