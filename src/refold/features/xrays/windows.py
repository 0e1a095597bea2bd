"""Channels about lines, and beside them for what is below: every intensity is one weighted sum of channels."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from refold.errors import ParameterError, RefoldWarning
from refold.features.xrays.lines import Line, lines_of
from refold.features.xrays.table import Spectrometer

Background = Literal["none", "linear"]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
# In full widths: where the windows beside a line begin and how wide they are, as eXSpy has them; how far they may be
# moved away from other lines; how near to one of these is too near.
_BEGIN, _WIDE, _FARTHEST, _CLEAR = 2.0, 1.0, 6.0, 1.0
_NOISE = 150.0  # eV; below lie the zero peak and the noise, which are no background of anything
_SEEN = 0.1  # share of a shell's X-rays from which on a line of the same element is kept clear of


@dataclass(frozen=True)
class Weights:
    """By what channels are multiplied before they are added up.

    Parameters
    ----------
    gross, net : numpy.ndarray
        Shape (line, channel): of all counts in the window, and with what is below them taken off. The variance of a
        net intensity of counts is the sum with ``net ** 2``.
    """

    gross: Floats
    net: Floats


def weights_of(spectrometer: Spectrometer, lines: Sequence[Line], width: float, background: Background) -> Weights:
    """Plan the sums of lines.

    Parameters
    ----------
    spectrometer : Spectrometer
        With an axis.
    lines : sequence of Line
        Which.
    width : float
        Of each window, in full widths.
    background : {"none", "linear"}
        What is taken off.

    Returns
    -------
    Weights
        Channels are taken whole, those whose middle lies in the window.

    Raises
    ------
    ParameterError
        If there is no such background, or a width that is none.
    """
    energies = spectrometer.energies
    if energies is None:
        raise AssertionError("windows without an axis")
    if background not in ("none", "linear"):
        raise ParameterError(f"background={background!r}", "'none' or 'linear'", "choose one of the two")
    if not 0 < width < np.inf:
        raise ParameterError(f"width={width!r}", "a number of full widths above 0", "1 is the full width itself")
    gross = np.zeros((len(lines), energies.size))
    below = np.zeros_like(gross)
    others = _strong_lines(lines)
    for row, line in enumerate(lines):
        half = width * spectrometer.width(line.energy) / 2
        inside = window(energies, line.energy - half, line.energy + half)
        gross[row, inside] = 1
        if background == "linear":
            below[row] = _below(spectrometer, energies, line, inside, width, others)
    return Weights(gross, gross - below)


def window(energies: Floats, low: float, high: float) -> Mask:
    """Channels whose middle lies in a window; the nearest one, where it is narrower than channels are wide."""
    inside: Mask = (energies >= low) & (energies <= high)
    if not inside.any():
        inside = np.arange(energies.size) == np.argmin(np.abs(energies - (low + high) / 2))
    return inside


def _strong_lines(lines: Sequence[Line]) -> list[Line]:
    """Every line of the elements that would be in the way, those that are measured among them."""
    elements = dict.fromkeys(line.element for line in lines)
    siblings = [line for element in elements for line in lines_of(element) if line.share >= _SEEN]
    return list({line.name: line for line in (*lines, *siblings)}.values())


def _below(
    spectrometer: Spectrometer, energies: Floats, line: Line, inside: Mask, width: float, others: Sequence[Line]
) -> Floats:
    """Weights of the channels beside a line that say what is below it: a straight line through both sides."""
    fwhm = spectrometer.width(line.energy)
    blocked = [
        (other.energy, _CLEAR * spectrometer.width(other.energy))
        for other in others
        if other.name != line.name and abs(other.energy - line.energy) > fwhm / 2
    ]
    sides = [_beside(energies, line.energy, fwhm, sign, max(_BEGIN, width / 2 + 1), blocked) for sign in (-1, 1)]
    found = [side for side in sides if side is not None]
    weights = np.zeros(energies.size)
    if not found:
        said = f"nothing is taken off below {line.name}: other lines leave no room for windows beside it"
        warnings.warn(said, RefoldWarning, stacklevel=5)
        return weights
    # A line through the mean of each side, at the middle of the window; with one side alone its mean.
    centres = [float(energies[side].mean()) for side in found]
    middle = float(energies[inside].mean())
    shares = [1.0] if len(found) == 1 else [centres[1] - middle, middle - centres[0]]
    for side, share in zip(found, shares, strict=True):
        weights[side] += share / sum(shares) * inside.sum() / side.sum()
    return weights


def _beside(
    energies: Floats, energy: float, fwhm: float, sign: int, begin: float, blocked: Sequence[tuple[float, float]]
) -> Mask | None:
    """The nearest window on one side that is on the axis and clear of other lines, if there is one."""
    for start in np.arange(begin, max(begin, _FARTHEST) + 0.1, 0.25):
        low, high = sorted((energy + sign * start * fwhm, energy + sign * (start + _WIDE) * fwhm))
        if low < max(energies.min(), _NOISE) or high > energies.max():
            return None
        if all(at + room <= low or at - room >= high for at, room in blocked):
            return window(energies, low, high)
    return None
