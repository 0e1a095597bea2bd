"""Where pixels lie, and what lies within a polygon or a box: what selections are made of."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from math import isfinite
from reprlib import repr as _abridged
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from refold.errors import ParameterError

Space = Literal["embedding", "map"]
Points = tuple[tuple[float, float], ...]
Runs = tuple[tuple[int, int], ...]
Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[Any]

SPACES: tuple[Space, ...] = get_args(Space)
MAX_RUNS = 1_000_000
"""Runs of neighbouring pixels that a list of pixels may have."""
_MAX_TURNS = 500  # up and down, of a lasso: a pixel is compared with every edge that passes its height
_SHORT = 80
_LARGEST = 1e30  # products of two such numbers are far from the largest float64
_MAX_DIM = 64  # no latent space has as many dims that anybody selects in
_CELLS = 512  # along a side of the raster that is laid over a polygon


def in_lasso(points: Points, xs: Rows, ys: Rows) -> Mask:
    """Say which points lie within a polygon, by the even-odd rule."""
    from refold.editing.kernels import in_polygon  # numba takes half a second to import

    found = np.empty(len(xs), np.bool_)
    box, edges, begins, listed, scale, cells, across = _rastered(points)
    in_polygon(xs, ys, box, edges, begins, listed, scale, cells, across, found)
    return found


def in_ranges(ends: tuple[float, ...], xs: Rows, ys: Rows) -> Mask:
    """Say which points lie within a box, its edges included."""
    from refold.editing.kernels import in_box

    found = np.empty(len(xs), np.bool_)
    in_box(xs, ys, np.array(ends), found)
    return found


@lru_cache(maxsize=64)
def _rastered(points: Points) -> tuple[Any, ...]:
    """A polygon as `in_polygon` takes it: its edges, listed by horizontal bands, and the cells of a raster over it."""
    from refold.editing.kernels import NEAR, classed_cells, edges_by_band

    corners = np.array(points, np.float64)
    edges = np.concatenate([corners, np.roll(corners, -1, axis=0)], axis=1)
    (x_low, y_low), (x_high, y_high) = corners.min(axis=0), corners.max(axis=0)
    box = np.array([x_low, x_high, y_low, y_high])
    with np.errstate(divide="ignore", over="ignore"):
        across, scale = np.float64(_CELLS) / (x_high - x_low), np.float64(_CELLS) / (y_high - y_low)
    if isfinite(across) and isfinite(scale):
        begins, listed = edges_by_band(edges, y_low, scale, _CELLS)
        cells = classed_cells(box, edges, begins, listed, scale, _CELLS, across)
    else:  # it has no width or no height to speak of
        across = scale = np.float64(0)
        begins, listed = edges_by_band(edges, y_low, scale, 1)
        cells = np.full((1, 1), NEAR, np.uint8)
    return box, edges, begins, listed, scale, cells, across


def check_turns(points: Points) -> None:
    """Check that a polygon does not go up and down so often that it would take minutes to say what lies in it."""
    heights = [y for _, y in points]
    whole = max(heights) - min(heights)
    travelled = sum(abs(later - former) for former, later in pairwise([*heights, heights[0]]))
    if travelled > 2 * _MAX_TURNS * whole:
        raise ParameterError(
            f"a lasso that goes up and down {travelled / whole / 2:.0f} times",
            f"at most {_MAX_TURNS} times",
            "draw around the pixels, or select them by number",
        )


def columns(
    space: Space,
    dims: tuple[int, int],
    embedding: Rows | None,
    where: npt.NDArray[Any] | None,
    shape: tuple[int, ...] | None,
) -> tuple[Rows, Rows]:
    """Take the two coordinates of each pixel that something is drawn in."""
    if space == "embedding":
        if embedding is None or embedding.ndim != 2:
            raise ParameterError(
                "no latent coordinates", "an array (pixel, latent)", "select on the map, or pass the embedding's rows"
            )
        check_dims(space, dims, embedding.shape[1])
        return embedding[:, dims[0]], embedding[:, dims[1]]
    if shape is None:
        raise ParameterError("places on a map of unknown shape", "its navigation shape", "pass shape=…")
    shape = (1,) * (2 - len(shape)) + tuple(shape)  # a line is a map of one row
    check_dims(space, dims, len(shape))
    places = np.unravel_index(given(where), shape)
    return places[dims[0]], places[dims[1]]


def given(where: npt.NDArray[Any] | None) -> npt.NDArray[np.int64]:
    """Check that places are given, and return them."""
    if where is None:
        raise ParameterError("pixels without their places", "the flat index of each", "pass where=…")
    return np.asarray(where, np.int64)


def check_dims(space: Space, dims: tuple[int, int], n: int) -> None:
    """Check that a space of `n` dims has these."""
    if any(not -n <= dim < n for dim in dims):
        what = "latent dims" if space == "embedding" else "dims of the map"
        raise ParameterError(f"{what} {dims}", f"two of {n}", "select along dims that the run has")


def number(value: Any) -> float:
    """Check a coordinate."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise ParameterError(f"the coordinate {shortened(value)}", "a number", "pass coordinates as floats")
    if not -_LARGEST <= value <= _LARGEST:
        raise ParameterError(f"the coordinate {shortened(value)}", f"at most {_LARGEST:g}", "draw around the pixels")
    return float(value)


def pair(point: Any) -> Sequence[Any]:
    """Check that a corner has two coordinates."""
    if isinstance(point, Sequence | np.ndarray) and not isinstance(point, str) and len(point) == 2:
        return point  # type: ignore[return-value]  # an array of two is as good
    raise ParameterError(f"the corner {shortened(point)}", "two numbers", "pass corners as (x, y)")


def placed(space: Any, dims: Any) -> tuple[Space, tuple[int, int]]:
    """Check where something is drawn, and fill in the dims."""
    if not isinstance(space, str) or space not in SPACES:
        raise ParameterError(f"the space {shortened(space)}", f"one of {', '.join(SPACES)}", "say where it was drawn")
    if dims is None:
        dims = (0, 1) if space == "embedding" else (-2, -1)
    if not isinstance(dims, Sequence) or len(dims) != 2 or any(type(dim) is not int for dim in dims):
        raise ParameterError(f"dims {shortened(dims)}", "two whole numbers", "pass them as (0, 1)")
    if any(abs(dim) > _MAX_DIM for dim in dims):
        raise ParameterError(f"dims {shortened(dims)}", f"numbers up to {_MAX_DIM}", "pass them as (0, 1)")
    return space, (dims[0], dims[1])


def runs_of(indices: Any) -> Runs:
    """Find the runs of neighbours among flat indices of pixels, or in a mask: first, and last plus one."""
    array = np.asarray(indices)
    if array.dtype == np.bool_:
        array = np.flatnonzero(array)
    if array.size and array.dtype.kind not in "iu":
        raise ParameterError(f"pixels of dtype {array.dtype}", "whole numbers, or a mask", "pass flat indices")
    flat = np.unique(array.astype(np.int64))
    cuts = np.flatnonzero(np.diff(flat) != 1)
    begins, ends = flat[np.r_[0, cuts + 1][: flat.size]], flat[np.r_[cuts, flat.size - 1][: flat.size]] + 1
    return tuple(zip(begins.tolist(), ends.tolist(), strict=True))


def check_runs(runs: Runs) -> None:
    """Check that runs of pixels rise, none touching the next, and are no more than are read again."""
    if len(runs) > MAX_RUNS:
        raise ParameterError(f"{len(runs)} runs of pixels", f"at most {MAX_RUNS}", "select by a lasso or a box instead")
    ends = [-1, *(end for run in runs for end in run)]
    if any(later <= former for former, later in pairwise(ends)):
        raise ParameterError("runs of pixels that overlap or fall", "rising ones", "pass indices of pixels")
    if ends[-1] > np.iinfo(np.int64).max:
        raise ParameterError("a pixel past any grid", "pixels of some grid", "pass indices of pixels")


def shortened(value: object) -> str:
    """What was met, as an error says it: not all of a list of thousands."""
    return _abridged(value)[:_SHORT]
