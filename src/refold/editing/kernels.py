"""Compiled geometry: which points lie in a lasso or a box. Numbers are compared in float64, whatever the points are in.

This module imports Numba; import it inside functions.
"""

from __future__ import annotations

import numba
import numpy as np


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
def in_polygon(xs, ys, box, edges, begins, listed, scale, found):  # type: ignore[no-untyped-def]  # compiled
    """Even-odd rule: a point is inside where a ray towards larger x crosses an odd number of edges.

    A height that is that of a vertex counts for the edge above it, so points between two polygons that share an edge
    are in one of them. Only edges of the point's band are looked at: no other can cross its ray.
    """
    x_low, x_high, y_low, y_high = box
    bands = len(begins) - 1
    for i in range(len(xs)):
        x, y = np.float64(xs[i]), np.float64(ys[i])
        inside = False
        if x_low <= x <= x_high and y_low <= y <= y_high:
            band = band_of(y, y_low, scale, bands)
            for k in range(begins[band], begins[band + 1]):
                e = listed[k]
                x1, y1, x2, y2 = edges[e, 0], edges[e, 1], edges[e, 2], edges[e, 3]
                if (y1 > y) != (y2 > y) and x < (x2 - x1) * (y - y1) / (y2 - y1) + x1:
                    inside = not inside
        found[i] = inside


@numba.njit(nogil=True, cache=True)
def in_box(xs, ys, box, found):  # type: ignore[no-untyped-def]  # compiled
    """Whether points lie in a box, its edges included."""
    x_low, x_high, y_low, y_high = box
    for i in range(len(xs)):
        x, y = np.float64(xs[i]), np.float64(ys[i])
        found[i] = x_low <= x <= x_high and y_low <= y <= y_high
