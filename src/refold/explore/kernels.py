"""Compiled loops over the rows in memory: pieces of the label map, and the latent space as an image."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(nogil=True, cache=True)
def function_of(index, labels, table, known):  # type: ignore[no-untyped-def]  # compiled
    """Fill the table by which labels follow from indices; False where they do not."""
    for i in range(len(index)):
        piece = index[i]
        if known[piece]:
            if table[piece] != labels[i]:
                return False
        else:
            known[piece] = True
            table[piece] = labels[i]
    return True


@numba.njit(nogil=True, cache=True)
def place(x, y, left, bottom, per_x, per_y, width, height, keep, out):  # type: ignore[no-untyped-def]  # compiled
    """Cell of an image in which each row lies; -1 outside, and for rows that are not drawn."""
    for i in range(len(x)):
        out[i] = -1
        if keep < 1.0 and _share(i) >= keep:
            continue
        a, b = (x[i] - left) * per_x, (y[i] - bottom) * per_y
        if a >= 0 and b >= 0 and a < width and b < height:  # NaN is not
            out[i] = np.int64(b) * width + np.int64(a)


@numba.njit(nogil=True, cache=True)
def _share(i):  # type: ignore[no-untyped-def]  # compiled
    """A number in 0..1 for each row that has nothing to do with where it is (splitmix64)."""
    z = np.uint64(i) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return np.float64(z >> np.uint64(11)) / 9007199254740992.0


@numba.njit(nogil=True, cache=True)
def order_by(group, groups):  # type: ignore[no-untyped-def]  # compiled
    """Rows in the order of their groups, and where each group begins."""
    begins = np.zeros(groups + 1, np.int64)
    for i in range(len(group)):
        begins[group[i] + 1] += 1
    for g in range(groups):
        begins[g + 1] += begins[g]
    at = begins[:-1].copy()
    order = np.empty(len(group), np.int32)
    for i in range(len(group)):
        order[at[group[i]]] = i
        at[group[i]] += 1
    return order, begins


@numba.njit(nogil=True, cache=True)
def gather(cells, order, begins, behind, who, count, total, first):  # type: ignore[no-untyped-def]  # compiled
    """Find for each cell its largest group, the group's rows there, all rows, and one row of the group.

    Groups below `behind` are seen only where no other is.
    """
    here = np.zeros(len(who), np.int32)
    for pair in range(2):
        for g in range(len(begins) - 1):
            if (g < behind) != (pair == 0):
                continue
            for j in range(begins[g], begins[g + 1]):
                cell = cells[order[j]]
                if cell >= 0:
                    here[cell] += 1
                    total[cell] += 1
            for j in range(begins[g], begins[g + 1]):
                cell = cells[order[j]]
                if cell < 0 or here[cell] == 0:
                    continue
                if here[cell] > count[cell] or (pair == 1 and who[cell] < behind):
                    who[cell] = g
                    count[cell] = here[cell]
                    first[cell] = order[j]
                here[cell] = 0


@numba.njit(nogil=True, cache=True)
def spread(who, total, radius, height, width, out):  # type: ignore[no-untyped-def]  # compiled
    """Let each cell that holds anything fill the empty ones around it: `out` is the fullest cell near each, or -1."""
    reach = radius * (radius + 1)
    out[:] = -1
    for row in range(height):
        for column in range(width):
            cell = row * width + column
            if total[cell] == 0:
                continue
            out[cell] = cell
            for r in range(max(row - radius, 0), min(row + radius + 1, height)):
                for c in range(max(column - radius, 0), min(column + radius + 1, width)):
                    if (r - row) ** 2 + (c - column) ** 2 > reach:
                        continue
                    other = r * width + c
                    if total[other] == 0 and (out[other] < 0 or total[out[other]] < total[cell]):
                        out[other] = cell


@numba.njit(nogil=True, cache=True)
def light(cells, mask, near, lit, out):  # type: ignore[no-untyped-def]  # compiled
    """Say of each cell whether nothing is there (0), something that is not selected (1), or something that is (2)."""
    lit[:] = 0
    for i in range(len(cells)):
        if mask[i] and cells[i] >= 0:
            lit[cells[i]] = 1
    for cell in range(len(near)):
        out[cell] = 0 if near[cell] < 0 else 1 + lit[near[cell]]
