"""How the values of pixels are distributed, before and after each step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from refold.cube import check_cube, n_features, signal_dims
from refold.engine import Block, Histogram, Moments, Where, sweep
from refold.errors import ParameterError
from refold.report.canvas import Look, ThemeName, drawing, new_figure
from refold.report.words import rounded

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["pixel_distributions"]

_ACCENT = "#0072b2"
_BINS = 60
_MOST = 24  # features in one picture
_HIGH, _NAME, _TITLE, _GAP = 0.46, 0.75, 0.3, 0.16


def pixel_distributions(
    steps: Mapping[str, xr.DataArray],
    features: Sequence[Any] | None = None,
    *,
    theme: ThemeName = "light",
    width: float = 8.0,
    **options: Any,
) -> Figure:
    """Draw how the values of all pixels are distributed, feature by feature, after each of some steps.

    Parameters
    ----------
    steps : mapping of str to xarray.DataArray
        Cubes of the same features, named after what was done: ``{"counts": maps, "z-scores": refold.zscore(maps)}``.
    features : sequence, optional
        Which to draw, by their positions on the signal dim, as ``["Fe_Ka", "O_Ka"]``; by default the first 24.
    theme : {"light", "dark"}
        Colours of paper and ink.
    width : float
        Inches of the figure.
    **options
        As for `refold.sweep`: each cube is swept twice, for the range of its values and for their numbers.

    Returns
    -------
    matplotlib.figure.Figure
        A row for each feature and a column for each step, each with its own range, the ends of which are written below.
        A line marks the mean. Bars are as high as the square root of the number of pixels.

    Raises
    ------
    ParameterError
        If there is no step, their features differ, or one named is not there.
    """
    if not isinstance(steps, Mapping) or not steps:
        raise ParameterError("no steps", "cubes by the names of what was done", 'give {"counts": maps}')
    cubes = {str(name): check_cube(cube) for name, cube in steps.items()}
    names = _names(cubes)
    rows = _rows(names, features)
    found = {name: _Counted.of(cube, rows, **options) for name, cube in cubes.items()}
    with drawing(theme) as look:
        height = _TITLE + len(rows) * (_HIGH + _GAP) + 0.1
        figure = new_figure(width, height)
        wide = (width - _NAME - 0.1) / len(cubes)
        for column, (name, counted) in enumerate(found.items()):
            for row, feature in enumerate(rows):
                top = _TITLE + row * (_HIGH + _GAP)
                place = (_NAME + column * wide, height - top - _HIGH, wide - 0.15, _HIGH)
                axes = figure.add_axes((place[0] / width, place[1] / height, place[2] / width, place[3] / height))
                _draw(axes, counted, row, look)
                if row == 0:
                    axes.set_title(name, loc="left", pad=4)
                if column == 0:
                    axes.text(
                        -0.1 / (wide - 0.15), 0.5, names[feature], ha="right", va="center", transform=axes.transAxes
                    )
        return figure


@dataclass(frozen=True)
class _Counted:
    """Counts of the values of some features, between their extremes."""

    counts: npt.NDArray[np.int64]
    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    mean: npt.NDArray[np.float64]

    @classmethod
    def of(cls, cube: xr.DataArray, rows: Sequence[int], **options: Any) -> _Counted:
        (moments,) = sweep(cube, Moments(n_features=n_features(cube)), **{"label": "ranges", **options})
        if not moments.count:
            nothing = np.zeros(len(rows))
            return cls(np.zeros((len(rows), _BINS), np.int64), nothing, nothing, nothing)
        low, high = (np.asarray(ends, np.float64)[list(rows)] for ends in (moments.minimum, moments.maximum))
        within = _WithinRange(tuple(rows), low, np.where(high > low, high - low, 1.0))
        histogram = Histogram(np.linspace(0, 1, _BINS + 1), per_feature=True, of=within)
        (counts,) = sweep(cube, histogram, **{"label": "distributions", **options})
        return cls(counts, low, high, moments.mean[list(rows)])


@dataclass(frozen=True, eq=False)
class _WithinRange:
    """Values of some features of a block, from 0 at their smallest to 1 at their largest; picklable."""

    rows: tuple[int, ...]
    low: npt.NDArray[np.float64]
    span: npt.NDArray[np.float64]

    def __call__(self, block: Block, where: Where) -> npt.NDArray[np.float64]:
        navigation = block.data.shape[: block.n_navigation]
        values = block.data.reshape(*navigation, -1)[..., list(self.rows)].astype(np.float64)
        values -= self.low
        values /= self.span
        # rounding must not put the largest beyond the last edge
        return np.clip(values, 0, 1, out=values)


def _names(cubes: Mapping[str, xr.DataArray]) -> list[str]:
    """What features are called; all cubes must have the same number of them."""
    sizes = {name: n_features(cube) for name, cube in cubes.items()}
    if len(set(sizes.values())) > 1:
        raise ParameterError(f"features {sizes}", "the same features after every step", "give steps on the same maps")
    first = next(iter(cubes.values()))
    dims = signal_dims(first)
    if len(dims) != 1:
        return [str(number) for number in range(n_features(first))]
    values = first[dims[0]].values
    return [rounded(float(at)) if values.dtype.kind in "iuf" else str(at) for at in values]


def _rows(names: Sequence[str], wanted: Sequence[Any] | None) -> list[int]:
    if wanted is None:
        return list(range(min(len(names), _MOST)))
    asked = [wanted] if isinstance(wanted, str) else list(wanted)
    rows = []
    for name in asked:
        said = rounded(float(name)) if isinstance(name, int | float) else str(name)
        if said not in names:
            raise ParameterError(
                f"feature {name!r}", f"some of {', '.join(names[:20])}", "name features that there are"
            )
        rows.append(names.index(said))
    return rows


def _draw(axes: Axes, counted: _Counted, row: int, look: Look) -> None:
    low, high = float(counted.low[row]), float(counted.high[row])
    high = high if high > low else low + 1.0
    edges = np.linspace(low, high, _BINS + 1)
    axes.stairs(np.sqrt(counted.counts[row]), edges, color=_ACCENT, fill=True, alpha=0.55, lw=0)
    axes.axvline(float(counted.mean[row]), color=look.ink, lw=0.8)
    axes.set(xlim=(low, high), yticks=[], xticks=[])
    axes.spines["left"].set_visible(False)
    for at, value, side in ((0.0, low, "left"), (1.0, float(counted.high[row]), "right")):
        axes.text(
            at, -0.06, rounded(value), ha=side, va="top", fontsize=6.5, color=look.muted, transform=axes.transAxes
        )
