"""How likely each pixel belongs to each cluster: one small map for every cluster."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, prod, sqrt
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from refold.errors import VariableError
from refold.report.calibration import Axis, scale_bar, ticks
from refold.report.canvas import Look, ThemeName, drawing, new_figure, quiet
from refold.report.layout import STRETCH, axes_of, place, proportion_of, ramp
from refold.report.tally import Tally, clusters_of, labels_of
from refold.report.views import TILE, Panel, block_mean, load, panels, tiles
from refold.report.words import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["COLOURS", "Memberships", "draw_membership", "membership_maps", "memberships_name"]

Floats = NDArray[np.float64]

COLOURS = "viridis"
PIXELS = 1 << 20
"""About so many pixels are drawn in the maps of all clusters together."""
_SIDES = (48, 512)
_FRAME = 2.4


@dataclass(frozen=True, slots=True)
class Memberships:
    """Maps of the membership in every cluster, made small enough to draw.

    Attributes
    ----------
    ids : tuple of int
        Clusters, as `labels` numbers them.
    images : numpy.ndarray
        (cluster, row, column), from 0 to 1.
    panel : Panel
        What of the scan is drawn: all of it, or the middle slice of a stack.
    proportion : float
        Height over width as drawn.
    across : Axis
        The horizontal axis, or the only one.
    line : bool
        Values are along one axis only.
    name : str
        What is drawn.
    """

    ids: tuple[int, ...]
    images: Floats
    panel: Panel
    proportion: float
    across: Axis
    line: bool
    name: str

    @classmethod
    def of(cls, dataset: xr.Dataset, tally: Tally, pixels: int = PIXELS) -> Memberships:
        """Read `membership`; without it, the `probability` of the pixels that have the cluster's label.

        Parameters
        ----------
        dataset : xarray.Dataset
        tally : Tally
        pixels : int
            About so many in all maps together.

        Raises
        ------
        VariableError
            If the run has neither.
        """
        name, labels = memberships_name(dataset), labels_of(dataset)
        if name is None:
            raise VariableError(
                found="a run with neither membership nor probability of each pixel",
                wanted="one of them",
                remedy="Cluster with a method that says how sure it is, such as refold.HDBSCAN.",
            )
        every = panels(labels)
        panel = every[len(every) // 2]
        across, down, line = axes_of(labels, panel)
        proportion = 0.3 if line else float(np.clip(proportion_of(panel, across, down), 1 / 4, 4))
        side = int(np.clip(sqrt(pixels / max(len(tally.ids), 1)), *_SIDES))
        if name == "membership":
            array = dataset[name]
            images, ids = np.moveaxis(block_mean(array, panel, side, layer="cluster"), -1, 0), clusters_of(array)
        else:
            images, ids = _of_probability(dataset[name], labels, panel, side, tally), tally.ids
        return cls(ids, images, panel, proportion, across, line, name)

    def tick(self, axes: Axes) -> None:
        """Write coordinates along a line scan."""
        axes.set_xticks(*ticks(self.across, 4))
        axes.set_xlabel(self.across.label)


def memberships_name(dataset: xr.Dataset) -> str | None:
    """Name what says how likely a pixel is in a cluster, if the run has it."""
    navigation = set(labels_of(dataset).dims)
    if "membership" in dataset and set(dataset["membership"].dims) == navigation | {"cluster"}:
        return "membership"
    return "probability" if "probability" in dataset and set(dataset["probability"].dims) == navigation else None


def _of_probability(probability: xr.DataArray, labels: xr.DataArray, panel: Panel, side: int, tally: Tally) -> Floats:
    """Mean over blocks of the probability where a pixel has the cluster's label, and of 0 elsewhere."""
    dims = [d for d in (panel.rows, panel.columns) if d is not None]
    label_map, chance = (a.isel(panel.index).transpose(*dims) for a in (labels, probability))
    shape = tuple(label_map.sizes.values())
    longest = side * 4 if min(panel.shape) == 1 else side
    step = [ceil(n / longest) for n in shape]
    small = [ceil(n / s) for n, s in zip(shape, step, strict=True)]
    total = np.zeros(prod(small) * len(tally.ids))
    area = np.zeros(prod(small))
    for tile in tiles(shape, TILE // 4):
        where = dict(zip(dims, tile, strict=True))
        part = load(label_map.isel(where)).astype(np.int64).ravel()
        value = np.nan_to_num(load(chance.isel(where)).astype(np.float64)).ravel()
        spots = [np.arange(s.start, s.stop) // n for s, n in zip(tile, step, strict=True)]
        block = np.ravel_multi_index(np.meshgrid(*spots, indexing="ij"), small).ravel()
        area += np.bincount(block, minlength=area.size)
        member = part >= 0
        place = block[member] * len(tally.ids) + np.searchsorted(tally.ids, part[member])
        total += np.bincount(place, weights=value[member], minlength=total.size)
    image = (total.reshape(-1, len(tally.ids)) / area[:, None]).T
    return image.reshape(len(tally.ids), *(small if len(small) == 2 else (1, *small)))


def membership_maps(
    dataset: xr.Dataset, *, theme: ThemeName = "light", width: float = 9.0, tally: Tally | None = None
) -> Figure:
    """Draw for every cluster where it is likely, each map framed in the cluster's colour.

    Parameters
    ----------
    dataset : xarray.Dataset
        A run with `membership`; without it, the `probability` of the pixels in each cluster is drawn.
    theme : {"light", "dark"}
        Colours of paper and ink.
    width : float
        Inches of the figure.
    tally : Tally, optional
        Counts of the labels, if they were made already.

    Returns
    -------
    matplotlib.figure.Figure
        A grid in the order of the clusters, on one scale from 0 to 1; profiles for a line scan, the middle slice of a
        stack.

    Raises
    ------
    VariableError
        If the run has neither.

    Notes
    -----
    All maps together have about a million pixels; larger ones are averaged over blocks, some rows at a time.
    """
    tally = tally or Tally.of(dataset)
    maps = Memberships.of(dataset, tally)
    gap, title, foot, edge = 0.16, 0.24, 0.5, 0.08
    with drawing(theme) as look:
        if not tally.ids:
            figure = new_figure(width / 2, 0.8)
            figure.text(0.5, 0.5, "No cluster was found.", ha="center", va="center", color=look.muted)
            return figure
        columns = _columns(len(tally.ids), maps.proportion)
        wide = min((width - 2 * edge - gap * (columns - 1)) / columns, 3.6)
        high, rows = wide * maps.proportion, ceil(len(tally.ids) / columns)
        figure = new_figure(max(columns * (wide + gap), 3.0) + 2 * edge, rows * (high + title + gap) + foot)
        for i, number in enumerate(tally.ids):
            row, column = divmod(i, columns)
            top = row * (high + title + gap) + title + edge
            axes = place(figure, edge + column * (wide + gap), top, wide, high)
            draw_membership(axes, maps, tally, i, look)
            axes.set_title(f"{number}   {percent(tally.share(i))}", loc="left", pad=4)
            if maps.line and i + columns >= len(tally.ids):
                maps.tick(axes)
        _foot(figure, maps, labels_of(dataset), wide, edge, look)
        return figure


def _columns(n: int, proportion: float) -> int:
    """As many as make the whole about as high as wide."""
    most = max(2, min(round(sqrt(1.4 * n * proportion)), 8))
    if n <= most:
        return n
    return min(range(max(most - 1, 2), most + 2), key=lambda c: (-n % c, -c))


def _foot(figure: Figure, maps: Memberships, labels: xr.DataArray, wide: float, edge: float, look: Look) -> None:
    width, height = figure.get_size_inches()
    across, down, _ = axes_of(labels, maps.panel)
    if not maps.line and 1 / STRETCH < proportion_of(maps.panel, across, down) < STRETCH:
        length, text = scale_bar(across, maps.panel.shape[1])
        axes = place(figure, edge, height - 0.42, wide, 0.42)
        axes.set(xlim=(0, maps.panel.shape[1]), ylim=(0, 0.42))
        axes.plot([0, length], [0.3] * 2, color=look.ink, lw=3, solid_capstyle="butt")
        axes.text(0, 0.22, text, ha="left", va="top", color=look.ink)
        quiet(axes)
    if not maps.line:
        long = min(2.4, width * 0.55)
        ramp(place(figure, width - long - edge, height - 0.34, long, 0.09), 0, 1, COLOURS, maps.name, look)


def draw_membership(axes: Axes, maps: Memberships, tally: Tally, position: int, look: Look) -> None:
    """Draw where one cluster is likely, on axes that are there already."""
    colour = tally.colours[position]
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(visible=True, color=colour, linewidth=_FRAME)
    if tally.ids[position] not in maps.ids:
        axes.text(0.5, 0.5, "no map", ha="center", va="center", color=look.muted, transform=axes.transAxes)
        return
    image = maps.images[maps.ids.index(tally.ids[position])]
    if maps.line:
        values, size = np.nan_to_num(image.ravel()), max(maps.panel.shape)
        positions = (np.arange(len(values)) + 0.5) * size / len(values) - 0.5
        axes.fill_between(positions, values, color=colour, step="mid", lw=0)
        axes.set(xlim=(-0.5, size - 0.5), ylim=(0, 1.02))
        return
    axes.imshow(image, cmap=COLOURS, vmin=0, vmax=1, aspect="auto", interpolation="none")
