"""What a cube is: navigation and signal dims, checked at the door."""

from refold.cube.axes import (
    ROLE,
    as_cube,
    check_cube,
    is_lazy,
    n_features,
    n_pixels,
    navigation_dims,
    navigation_shape,
    signal_dims,
    signal_shape,
)
from refold.cube.door import check_signal, signal_template, table_as_cube
from refold.cube.folding import fold, unfold
from refold.cube.fullgrid import to_full_grid
from refold.cube.scans import IMAGE_DIM, check_same_grid, cubes_of, image_as_cube
from refold.cube.variables import VARIABLES, Variable, conform, declared

__all__ = [
    "IMAGE_DIM",
    "ROLE",
    "VARIABLES",
    "Variable",
    "as_cube",
    "check_cube",
    "check_same_grid",
    "check_signal",
    "conform",
    "cubes_of",
    "declared",
    "fold",
    "image_as_cube",
    "is_lazy",
    "n_features",
    "n_pixels",
    "navigation_dims",
    "navigation_shape",
    "signal_dims",
    "signal_shape",
    "signal_template",
    "table_as_cube",
    "to_full_grid",
    "unfold",
]
