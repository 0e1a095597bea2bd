"""A run written down: its sections, checked, and TOML in and out."""

from refold.recipe.cubes import CubeOptions, Features, Fuse
from refold.recipe.document import STAGES, Recipe
from refold.recipe.options import parse_elements, parse_factors, parse_images, parse_number, parse_ranges
from refold.recipe.scan import Prepare, Source
from refold.recipe.sections import Backproject, Cluster, Embed, Landmarks, Reduce, Resources
from refold.recipe.shipped import shipped, shipped_text

__all__ = [
    "STAGES",
    "Backproject",
    "Cluster",
    "CubeOptions",
    "Embed",
    "Features",
    "Fuse",
    "Landmarks",
    "Prepare",
    "Recipe",
    "Reduce",
    "Resources",
    "Source",
    "parse_elements",
    "parse_factors",
    "parse_images",
    "parse_number",
    "parse_ranges",
    "shipped",
    "shipped_text",
]
