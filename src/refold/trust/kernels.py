"""Compiled: binomial thinning of counts, with a random stream for each pixel and channel."""

from __future__ import annotations

import math

import numba
import numpy as np

_AT_ONCE = 64
_MANY = 4096
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@numba.njit(nogil=True, cache=True)
def _mixed(z):  # type: ignore[no-untyped-def]  # compiled
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014, OOPSLA)."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@numba.njit(nogil=True, cache=True)
def _uniform(stream, draw):  # type: ignore[no-untyped-def]  # compiled
    bits = _mixed(stream + np.uint64(draw) * _GOLDEN)
    return (np.float64(bits >> np.uint64(11)) + 0.5) * 2.0**-53


@numba.njit(nogil=True, cache=True)
def _few(n, odds, nothing, u):  # type: ignore[no-untyped-def]  # compiled
    """How many of n are drawn, by inversion of the binomial distribution."""
    x, chance = 0, nothing
    while u > chance and x < n:
        u -= chance
        x += 1
        chance *= odds * (n - x + 1) / x
    return x


@numba.njit(nogil=True, cache=True)
def _drawn(n, p, nothing, stream):  # type: ignore[no-untyped-def]  # compiled
    """How many of n counts are drawn, each with probability p."""
    if n > _MANY:
        radius = math.sqrt(-2 * math.log(_uniform(stream, 0)))
        normal = radius * math.cos(2 * math.pi * _uniform(stream, 1))
        return min(max(round(n * p + normal * math.sqrt(n * p * (1 - p))), 0), n)
    total, draw, odds = 0, 0, p / (1 - p)
    while n > 0:
        part = min(n, _AT_ONCE)
        total += _few(part, odds, nothing[part], _uniform(stream, draw))
        n -= part
        draw += 1
    return total


@numba.njit(nogil=True, cache=True)
def thin_counts(counts, pixels, p, seed, kept):  # type: ignore[no-untyped-def]  # compiled
    """Thin rows of counts; return how many values are none."""
    rarer = min(p, 1 - p)  # what is kept, or what is taken away: fewer steps
    nothing = (1 - rarer) ** np.arange(_AT_ONCE + 1)
    wrong = 0
    for i in range(counts.shape[0]):
        of_pixel = _mixed(seed * _GOLDEN + np.uint64(pixels[i] + 1))
        for j in range(counts.shape[1]):
            value = counts[i, j]
            if value == 0:
                kept[i, j] = 0
            elif not math.isfinite(value):
                kept[i, j] = value
            elif value < 0 or value != math.floor(value):
                wrong += 1
            else:
                n = np.int64(value)
                drawn = _drawn(n, rarer, nothing, _mixed(of_pixel + np.uint64(j + 1) * _GOLDEN))
                kept[i, j] = drawn if rarer == p else n - drawn
    return wrong
