"""What a coordinate says about length: spacing, unit, a round scale bar, ticks."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, isfinite, log10

import numpy as np
import xarray as xr
from numpy.typing import NDArray

__all__ = ["Axis", "area", "format_number", "nice_length", "pretty_unit", "scale_bar", "ticks"]

METRE = {"pm": 1e-12, "nm": 1e-9, "µm": 1e-6, "mm": 1e-3, "m": 1.0, "km": 1e3}
_SPELLINGS = {
    "um": "µm",
    "μm": "µm",  # Greek mu, as some files write it, to the micro sign
    "micron": "µm",
    "microns": "µm",
    "angstrom": "Å",
    "a": "Å",
    "meter": "m",
    "metre": "m",
    "meters": "m",
    "metres": "m",
}
_NO_UNIT = {"", "px", "pix", "pixel", "pixels", "<undefined>", "undefined", "none", "1"}
_UNEVEN = 0.01  # largest relative departure of a step from the mean step in an even axis


@dataclass(frozen=True, slots=True)
class Axis:
    """One dimension as the figures need it.

    Attributes
    ----------
    name : str
        The dimension.
    values : numpy.ndarray
        Its coordinate, or 0, 1, 2, ... where there is none that is numeric and finite.
    unit : str
        As printed; empty if unknown.
    step : float or None
        Distance between neighbours, positive; None if the axis is not even or has one entry.
    """

    name: str
    values: NDArray[np.float64]
    unit: str
    step: float | None

    @classmethod
    def of(cls, array: xr.DataArray, dim: str) -> Axis:
        """Read the axis `dim` of `array`."""
        size = array.sizes[dim]
        coordinate = array.coords.get(dim)
        if coordinate is None or coordinate.dtype.kind not in "iuf" or not np.isfinite(coordinate.values).all():
            return cls(dim, np.arange(size, dtype=float), "", 1.0)
        values = np.asarray(coordinate.values, dtype=float)
        unit = pretty_unit(str(coordinate.attrs.get("units", "")))
        steps = np.diff(values)
        mean = float(steps.mean()) if size > 1 else 0.0
        even = mean != 0 and bool(np.all(np.abs(steps - mean) <= _UNEVEN * abs(mean)))
        return cls(dim, values, unit, abs(mean) if even else None)

    @property
    def label(self) -> str:
        """Name and unit, as written along an axis."""
        return f"{self.name} ({self.unit})" if self.unit else self.name

    @property
    def monotonic(self) -> bool:
        """Whether the values only rise or only fall."""
        steps = np.diff(self.values)
        return bool(np.all(steps > 0) or np.all(steps < 0))


def pretty_unit(unit: str) -> str:
    """Write a unit the way it is printed: ``1/nm`` and ``$nm^{-1}$`` become nm⁻¹, ``um`` becomes µm.

    Examples
    --------
    >>> pretty_unit("um"), pretty_unit("1/Å"), pretty_unit("$A^{-1}$"), pretty_unit("keV")
    ('µm', 'Å⁻¹', 'Å⁻¹', 'keV')
    """
    plain = unit.strip().replace("$", "").replace("{", "").replace("}", "").replace("\\", "")
    if plain.lower() in _NO_UNIT:
        return ""
    inverse = False
    if plain.startswith("1/"):
        inverse, plain = True, plain[2:].strip()
    for ending in ("^-1", "**-1", "⁻¹", "-1"):
        if plain.endswith(ending):
            inverse, plain = True, plain[: -len(ending)].strip()
            break
    plain = _SPELLINGS.get(plain.lower(), plain)
    if plain == "A" and inverse:
        plain = "Å"
    return f"{plain}⁻¹" if inverse else plain


def nice_length(limit: float) -> float:
    """Largest 1, 2 or 5 times a power of ten that is not above `limit`.

    Examples
    --------
    >>> nice_length(37.0), nice_length(0.6), nice_length(1999.0)
    (20.0, 0.5, 1000.0)
    """
    exponent = floor(log10(limit))
    for power in (exponent, exponent - 1):
        for digit in (5, 2, 1):
            length = float(f"{digit}e{power}")
            if length <= limit * (1 + 1e-12):
                return length
    return float(f"1e{exponent - 1}")


def format_number(value: float) -> str:
    """Shortest text of a number: no trailing zeros, no exponent between 0.001 and a million."""
    if not isfinite(value):
        return "–"
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 1e6:
        return f"{value:.6f}".rstrip("0").rstrip(".") if abs(value) < 1e3 else f"{value:.0f}"
    return f"{value:.3g}"


def scale_bar(axis: Axis, pixels: int, share: float = 0.3) -> tuple[float, str]:
    """Choose a scale bar for `pixels` of an even axis.

    Parameters
    ----------
    axis : Axis
        The horizontal axis.
    pixels : int
        Width of the picture in pixels of the scan.
    share : float
        Largest share of the width that the bar may take.

    Returns
    -------
    length : float
        In pixels of the scan.
    text : str
        Such as ``20 nm``; ``50 px`` where the unit or the step is not known.
    """
    if not axis.unit or axis.step is None:
        length = nice_length(max(pixels * share, 1.0))
        return length, f"{length:.0f} px"
    step, unit = axis.step, axis.unit
    if unit in METRE:
        metres = nice_length(pixels * step * METRE[unit] * share)
        unit = next((u for u in reversed(METRE) if metres >= METRE[u] * (1 - 1e-9)), "pm")
        return metres / (step * METRE[axis.unit]), f"{format_number(metres / METRE[unit])} {unit}"
    length = nice_length(pixels * step * share)
    return length / step, f"{format_number(length)} {unit}"


def ticks(axis: Axis, n: int = 5) -> tuple[list[float], list[str]]:
    """Choose round values along an axis drawn in array order.

    Parameters
    ----------
    axis : Axis
        Rising, falling or neither; in the last case the positions are the texts.
    n : int
        About how many.

    Returns
    -------
    positions : list of float
        In pixels along the axis, 0 at the centre of the first.
    texts : list of str
    """
    from matplotlib.ticker import MaxNLocator, ScalarFormatter

    size = len(axis.values)
    index = np.arange(size, dtype=float)
    values = axis.values if axis.monotonic else index
    low, high = float(values.min()), float(values.max())
    if size == 1:
        return [0.0], [format_number(low)]
    chosen = np.asarray(MaxNLocator(n, steps=[1, 2, 5, 10]).tick_values(low, high), dtype=float)
    margin = (high - low) * 1e-9
    chosen = chosen[(chosen >= low - margin) & (chosen <= high + margin)]
    order = np.argsort(values)
    positions = np.interp(chosen, values[order], index[order])
    formatter = ScalarFormatter(useOffset=False)
    formatter.set_powerlimits((-4, 9))  # northings in full
    formatter.create_dummy_axis(minpos=1)
    texts = formatter.format_ticks([float(v) for v in chosen])
    return [float(p) for p in positions], [str(t) for t in texts]


def area(axes: list[Axis], pixels: int) -> str:
    """Write the area of so many pixels; empty unless there are two even axes of lengths in one unit."""
    if len(axes) != 2 or not axes[0].unit or axes[0].unit != axes[1].unit or not (axes[0].step and axes[1].step):
        return ""
    from refold.report.words import rounded

    value, unit = pixels * axes[0].step * axes[1].step, axes[0].unit
    if unit in METRE:
        square = value * METRE[unit] ** 2
        unit = next((u for u in reversed(METRE) if square >= METRE[u] ** 2), unit)
        value = square / METRE[unit] ** 2
    return f"{rounded(value)} {unit}²"
