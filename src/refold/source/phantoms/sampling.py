"""Counted noise, drawn from one stream a pixel so that no chunking can change it.

Every pixel owns the SplitMix64 stream (Steele, Lea and Flood, OOPSLA 2014) that starts at a mix of the seed and
the pixel's flat index. A pixel whose rate is a mixture ``sum_s rates[s] * sources[s]`` is drawn exactly as the sum of
its parts: a Poisson number of counts a source, each count put in a channel by that source's alias table (Walker
1977). That costs time by the count and not by the channel, and low dose is what real scans have. Past a few counts
a channel the channels are drawn one by one instead: by inversion, and by PTRS (Hoermann 1993) from a mean of ten up.
"""

from __future__ import annotations

import math

import numba
import numpy as np
import numpy.typing as npt

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_S27, _S30, _S31, _S32, _S11 = (np.uint64(n) for n in (27, 30, 31, 32, 11))
_LOW = np.uint64(0xFFFFFFFF)
_TO_UNIT = 1.0 / 9007199254740992.0  # 2**-53

Floats = npt.NDArray[np.float64]
Packed = npt.NDArray[np.uint64]
Pixels = npt.NDArray[np.int64]
Counts = npt.NDArray[np.integer]


def alias_tables(sources: Floats) -> Packed:
    """Pack one alias table a source: the threshold in the upper 32 bits of each entry, the alias in the lower.

    Parameters
    ----------
    sources
        Weights, (sources, channels); a source of zeros only gets an unused table of zeros.
    """
    n = sources.shape[1]
    tables = np.zeros(sources.shape, np.uint64)
    for table, weights in zip(tables, sources, strict=True):
        total = weights.sum()
        if total <= 0:
            continue
        share = weights * (n / total)
        alias = np.arange(n, dtype=np.uint64)
        small, large = list(np.flatnonzero(share < 1)), list(np.flatnonzero(share >= 1))
        while small and large:
            low, high = small.pop(), large[-1]
            alias[low] = high
            share[high] -= 1 - share[low]
            if share[high] < 1:
                small.append(large.pop())
        # What rounding left over is full, except a channel of no weight, which no rounding may fill.
        for rest in (*small, *large):
            if weights[rest] > 0:
                share[rest], alias[rest] = 1.0, rest
            else:
                share[rest], alias[rest] = 0.0, int(np.argmax(weights))
        threshold = np.clip(np.rint(share * 2.0**32), 0, 2.0**32 - 1).astype(np.uint64)
        # A full channel is its own alias, so the threshold that 32 bits cannot hold does no harm.
        table[:] = (threshold << _S32) | alias
    return tables


@numba.njit(nogil=True, cache=True)
def _mix(z: np.uint64) -> np.uint64:
    z = (z ^ (z >> _S30)) * _MIX_1
    z = (z ^ (z >> _S27)) * _MIX_2
    return z ^ (z >> _S31)


@numba.njit(nogil=True, cache=True)
def _poisson(mean: float, state: np.uint64) -> tuple[int, np.uint64]:
    """Draw one Poisson number; returns it and the stream's new state."""
    if mean <= 0.0:
        return 0, state
    if mean < 10.0:
        state += _GOLDEN
        left = (_mix(state) >> _S11) * _TO_UNIT
        chance, count = math.exp(-mean), 0
        while left > chance and count < 1000:
            left -= chance
            count += 1
            chance *= mean / count
        return count, state
    b = 0.931 + 2.53 * math.sqrt(mean)
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    v_r = 0.9277 - 3.6224 / (b - 2.0)
    while True:
        state += _GOLDEN
        u = (_mix(state) >> _S11) * _TO_UNIT - 0.5
        state += _GOLDEN
        v = ((_mix(state) >> _S11) + 1.0) * _TO_UNIT
        us = 0.5 - abs(u)
        if us <= 0.0:
            continue
        k = math.floor((2.0 * a / us + b) * u + mean + 0.43)
        if us >= 0.07 and v <= v_r:
            return int(k), state
        if k < 0 or (us < 0.013 and v > us):
            continue
        if math.log(v * inverse_alpha / (a / (us * us) + b)) <= k * math.log(mean) - mean - math.lgamma(k + 1.0):
            return int(k), state


@numba.njit(nogil=True, cache=True)
def _count_by_source(seed: np.uint64, pixels: Pixels, rates: Floats, tables: Packed, out: Counts) -> None:
    n = np.uint64(tables.shape[1])
    for p in range(pixels.size):
        state = _mix(seed + _mix(np.uint64(pixels[p]) + _GOLDEN))
        line = out[p]
        line[:] = 0
        for s in range(rates.shape[1]):
            counts, state = _poisson(rates[p, s], state)
            table = tables[s]
            for _ in range(counts):
                state += _GOLDEN
                bits = _mix(state)
                channel = ((bits & _LOW) * n) >> _S32
                entry = table[channel]
                if (bits >> _S32) >= (entry >> _S32):
                    channel = entry & _LOW
                line[channel] += 1


@numba.njit(nogil=True, cache=True)
def _count_by_channel(seed: np.uint64, pixels: Pixels, rates: Floats, sources: Floats, out: Counts) -> None:
    mean = np.empty(sources.shape[1])
    for p in range(pixels.size):
        state = _mix(seed + _mix(np.uint64(pixels[p]) + _GOLDEN))
        mean[:] = 0.0
        for s in range(rates.shape[1]):
            if rates[p, s] > 0.0:
                for c in range(mean.size):
                    mean[c] += rates[p, s] * sources[s, c]
        for c in range(mean.size):
            count, state = _poisson(mean[c], state)
            out[p, c] = count


@numba.njit(nogil=True, cache=True)
def _add_gaussian(seed: np.uint64, pixels: Pixels, deviation: float, out: npt.NDArray[np.float32]) -> None:
    """Box and Muller (1958): two normal numbers from two uniform ones."""
    for p in range(pixels.size):
        state = _mix(seed + _mix(np.uint64(pixels[p]) + _GOLDEN))
        for c in range(0, out.shape[1], 2):
            state += _GOLDEN
            radius = deviation * math.sqrt(-2.0 * math.log(((_mix(state) >> _S11) + 1.0) * _TO_UNIT))
            state += _GOLDEN
            angle = 2.0 * math.pi * ((_mix(state) >> _S11) * _TO_UNIT)
            out[p, c] += radius * math.cos(angle)
            if c + 1 < out.shape[1]:
                out[p, c + 1] += radius * math.sin(angle)


def count(
    seed: int,
    pixels: Pixels,
    *,
    rates: Floats,
    sources: Floats,
    tables: Packed | None,
    dtype: np.dtype[np.integer],
) -> Counts:
    """Draw the Poisson counts of a mixture.

    Parameters
    ----------
    seed
        Seed of the whole phantom.
    pixels
        Flat C-order indices of the pixels in the full scan.
    rates
        Expected counts of each source, (pixels, sources).
    sources
        Shape of each source, summing to one, (sources, channels).
    tables
        Their alias tables; None draws channel by channel.
    dtype
        Integer type of the counts.
    """
    out = np.empty((pixels.size, sources.shape[1]), dtype)
    if tables is None:
        _count_by_channel(np.uint64(seed), pixels, rates, sources, out)
    else:
        _count_by_source(np.uint64(seed), pixels, rates, tables, out)
    return out


def add_gaussian(seed: int, pixels: Pixels, deviation: float, out: npt.NDArray[np.float32]) -> None:
    """Add normal noise of one standard deviation to ``out`` (pixels, channels), in place."""
    _add_gaussian(np.uint64(seed), pixels, deviation, out)
