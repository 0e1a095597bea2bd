"""Compiled geometry: which points lie in a lasso or a box. Numbers are compared in float64, whatever the points are in.

This module imports Numba; import it inside functions.
"""

from __future__ import annotations

import numba
import numpy as np

NEAR = 2  # class of a cell whose points must be asked one by one


@numba.njit(nogil=True, cache=True)
def band_of(y, low, scale, bands):  # type: ignore[no-untyped-def]  # compiled
    """Number the horizontal band of a height; it rises with the height, however the product is rounded."""
    return min(max(int((y - low) * scale), 0), bands - 1)


@numba.njit(nogil=True, cache=True)
def edges_by_band(edges, low, scale, bands):  # type: ignore[no-untyped-def]  # compiled
    """List, one band after the other, the edges (x, y, x, y) that reach into it: where each list begins, and all."""
    begins = np.zeros(bands + 1, np.int64)
    for e in range(len(edges)):
        one, other = edges[e, 1], edges[e, 3]
        for band in range(band_of(min(one, other), low, scale, bands), band_of(max(one, other), low, scale, bands) + 1):
            begins[band + 1] += 1
    begins = np.cumsum(begins)
    listed = np.empty(begins[-1], np.int64)
    free = begins[:-1].copy()
    for e in range(len(edges)):
        one, other = edges[e, 1], edges[e, 3]
        for band in range(band_of(min(one, other), low, scale, bands), band_of(max(one, other), low, scale, bands) + 1):
            listed[free[band]] = e
            free[band] += 1
    return begins, listed


@numba.njit(nogil=True, cache=True)
def _odd(x, y, edges, begins, listed, band):  # type: ignore[no-untyped-def]  # compiled
    """Whether a ray towards larger x crosses an odd number of edges; those of its band are all it can cross."""
    inside = False
    for k in range(begins[band], begins[band + 1]):
        e = listed[k]
        x1, y1, x2, y2 = edges[e, 0], edges[e, 1], edges[e, 2], edges[e, 3]
        if (y1 > y) != (y2 > y) and x < (x2 - x1) * (y - y1) / (y2 - y1) + x1:
            inside = not inside
    return inside


@numba.njit(nogil=True, cache=True)
def classed_cells(box, edges, begins, listed, scale, columns, across):  # type: ignore[no-untyped-def]  # compiled
    """Class the cells of a raster over the polygon: outside, inside, or so near an edge that points must be asked.

    An edge is near every cell that it passes, and those beside, above and below: far more than rounding can move it.
    """
    bands = len(begins) - 1
    cells = np.zeros((bands, columns), np.uint8)
    for e in range(len(edges)):
        x1, y1, x2, y2 = edges[e, 0], edges[e, 1], edges[e, 2], edges[e, 3]
        low, high = min(y1, y2), max(y1, y2)
        first, last = band_of(low, box[2], scale, bands), band_of(high, box[2], scale, bands)
        for row in range(max(first - 1, 0), min(last + 1, bands - 1) + 1):
            start = min(max(box[2] + (row - 1) / scale, low), high)
            stop = min(max(box[2] + (row + 2) / scale, low), high)
            one, other = x1, x2
            if low < high:
                one = x1 + (x2 - x1) * (start - y1) / (y2 - y1)
                other = x1 + (x2 - x1) * (stop - y1) / (y2 - y1)
            left = band_of(min(one, other), box[0], across, columns)
            right = band_of(max(one, other), box[0], across, columns)
            cells[row, max(left - 1, 0) : min(right + 2, columns)] = NEAR
    for row in range(bands):
        y = box[2] + (row + 0.5) / scale
        for column in range(columns):
            if cells[row, column] != NEAR:
                cells[row, column] = _odd(box[0] + (column + 0.5) / across, y, edges, begins, listed, row)
    return cells


@numba.njit(nogil=True, cache=True)
def in_polygon(xs, ys, box, edges, begins, listed, scale, cells, across, found):  # type: ignore[no-untyped-def]  # compiled
    """Even-odd rule: a point is inside where a ray towards larger x crosses an odd number of edges.

    A height that is that of a vertex counts for the edge above it, so points between two polygons that share an edge
    are in one of them. What is far from every edge is as its cell is.
    """
    x_low, x_high, y_low, y_high = box
    bands, columns = cells.shape
    for i in range(len(xs)):
        x, y = np.float64(xs[i]), np.float64(ys[i])
        inside = False
        if x_low <= x <= x_high and y_low <= y <= y_high:
            band = band_of(y, y_low, scale, bands)
            cell = cells[band, band_of(x, x_low, across, columns)]
            inside = _odd(x, y, edges, begins, listed, band) if cell == NEAR else cell == 1
        found[i] = inside


@numba.njit(nogil=True, cache=True)
def in_box(xs, ys, box, found):  # type: ignore[no-untyped-def]  # compiled
    """Whether points lie in a box, its edges included."""
    x_low, x_high, y_low, y_high = box
    for i in range(len(xs)):
        x, y = np.float64(xs[i]), np.float64(ys[i])
        found[i] = x_low <= x <= x_high and y_low <= y <= y_high
