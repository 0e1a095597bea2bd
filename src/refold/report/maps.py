"""Maps over the scan: labels, and any number for each pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from refold.errors import VariableError
from refold.report.canvas import ThemeName, drawing, quiet
from refold.report.colours import INVALID, NOISE, ink_on, to_rgb
from refold.report.layout import Sheet, ramp, sheet
from refold.report.regions import anchors
from refold.report.tally import Tally, labels_of, navigation_of, validity_of
from refold.report.views import Panel, block_mean, thin

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "colourise",
    "draw_scalar",
    "label_map",
    "legend_width",
    "probability_map",
    "residual_map",
    "scalar_map",
    "write_legend",
]

_LEGEND_COLUMN = 1.2
_LEGEND_ROW = 0.2
_LETTER = 0.06  # inches of a letter of the legend
_NUMBERS = (9.0, 7.0)  # sizes of the numbers on regions, the largest that fits
_DIGIT = 0.0093  # half the width of a digit in inches, for each point of its size, with some air


def label_map(
    dataset: xr.Dataset,
    *,
    theme: ThemeName = "light",
    legend: bool = True,
    width: float = 5.2,
    tally: Tally | None = None,
) -> Figure:
    """Draw which pixel belongs to which cluster.

    Parameters
    ----------
    dataset : xarray.Dataset
        A run. `labels` is drawn; `residual` tells noise from pixels that could not be used.
    theme : {"light", "dark"}
        Colours of paper and ink.
    legend : bool
        Whether to list the clusters and their shares at the right.
    width : float
        Inches of the map.
    tally : Tally, optional
        Counts of the labels, if they were made already.

    Returns
    -------
    matplotlib.figure.Figure
        A map with a scale bar, a strip for a line scan, some slices for a stack. The first row is on top, as at the
        microscope. A cluster's number stands on its largest region wherever there is room.

    Notes
    -----
    No more than 1024 pixels a side are read into the picture, every nth of the scan.
    """
    tally = tally or Tally.of(dataset)
    labels = labels_of(dataset)
    with drawing(theme) as look:
        side = legend_width(tally, width) if legend else 0.0
        page = sheet(labels, look, width=width, side=side)
        validity = validity_of(dataset) if tally.invalid else None
        for axes, panel in zip(page.axes, page.panels, strict=True):
            draw_labels(page, axes, panel, labels, validity, tally)
        page.bar()
        if legend:
            write_legend(page, tally, side)
        return page.figure


def draw_labels(
    page: Sheet, axes: Axes, panel: Panel, labels: xr.DataArray, validity: xr.DataArray | None, tally: Tally
) -> None:
    """Draw one panel of a label map on axes that are there already."""
    image = thin(labels, panel).astype(np.int64)
    invalid = None if validity is None else np.isnan(thin(validity, panel).astype(float))
    quiet(axes)
    if invalid is not None:
        page.hatch(axes)
    page.picture(axes, panel, colourise(image, tally, invalid))
    if page.line:
        page.tick(axes)
    else:
        _write_numbers(page, axes, panel, image, tally)
        if page.ticked:
            page.tick(axes)


def colourise(labels: NDArray[np.int64], tally: Tally, invalid: NDArray[np.bool_] | None = None) -> NDArray[np.uint8]:
    """Turn labels into RGBA: clusters in their colours, noise in grey, invalid pixels transparent."""
    table = np.concatenate([to_rgb([NOISE]), to_rgb(tally.colours)])
    table = np.concatenate([np.round(table * 255), np.full((len(table), 1), 255)], axis=1).astype(np.uint8)
    ids = np.array(tally.ids, dtype=np.int64)
    image = table[np.where(labels < 0, 0, np.searchsorted(ids, labels) + 1)]
    if invalid is not None:
        image[invalid & (labels < 0)] = 0
    return image


def _write_numbers(page: Sheet, axes: Axes, panel: Panel, image: NDArray[np.int64], tally: Tally) -> None:
    box = axes.get_position()
    wide, high = page.figure.get_size_inches()
    per_row, per_column = box.height * high / panel.shape[0], box.width * wide / panel.shape[1]
    thinning = panel.shape[0] / image.shape[0], panel.shape[1] / image.shape[1]
    pixel = (per_row * thinning[0], per_column * thinning[1])
    for number, colour in zip(tally.ids, tally.colours, strict=True):
        row, column, room = anchors(image == number, pixel)
        size = next((s for s in _NUMBERS if room >= s * _DIGIT * max(len(str(number)), 1.3)), None)
        if size is None:
            continue
        x, y = (column + 0.5) * thinning[1] - 0.5, (row + 0.5) * thinning[0] - 0.5
        axes.text(x, y, str(number), color=ink_on(colour), ha="center", va="center_baseline", fontsize=size)


def legend_width(tally: Tally, width: float) -> float:
    """Inches that the list of the clusters takes beside a map of that width."""
    rows = max(int(width * 0.9 / _LEGEND_ROW), 8)
    entries = len(tally.ids) + 2
    return 0.2 + _legend_column(tally) * int(np.ceil(entries / rows))


def _legend_column(tally: Tally) -> float:
    """Inches of a column of the list: a name takes room too."""
    longer = (len(tally.title(n)) - len(str(number)) for n, number in enumerate(tally.ids))
    return _LEGEND_COLUMN + _LETTER * max(longer, default=0)


def write_legend(page: Sheet, tally: Tally, side: float) -> None:
    """List the clusters, and their shares, at the right of a sheet."""
    from matplotlib.patches import Patch

    handles = [
        Patch(facecolor=colour, label=f"{tally.title(n)}   {_percent(tally.share(n))}")
        for n, colour in enumerate(tally.colours)
    ]
    if tally.noise or not tally.ids:
        handles.append(Patch(facecolor=NOISE, label=f"noise   {_percent(tally.noise_share)}"))
    if tally.invalid:
        handles.append(Patch(facecolor="none", edgecolor=INVALID, hatch="//////", linewidth=0, label="not usable"))
    columns = max(round((side - 0.2) / _legend_column(tally)), 1)
    needed = _LEGEND_ROW * int(np.ceil(len(handles) / columns))
    if needed > page.height + page.foot:
        page.grow(needed - page.height - page.foot)
    wide, high = page.figure.get_size_inches()
    page.figure.legend(
        handles=handles, ncols=columns, loc="upper left",
        bbox_to_anchor=((page.width + page.pad + 0.12) / wide, 1 - page.pad / high),
        borderaxespad=0.0, handlelength=1.1, handleheight=1.1, handletextpad=0.6, columnspacing=1.2, labelspacing=0.42,
    )  # fmt: skip


def _percent(share: float) -> str:
    from refold.report.words import percent

    return percent(share)


def probability_map(dataset: xr.Dataset, *, theme: ThemeName = "light", width: float = 5.2) -> Figure:
    """Draw how sure each pixel's label is, from 0 to 1. See `scalar_map`."""
    return scalar_map(
        dataset, "probability", theme=theme, width=width, limits=(0.0, 1.0), validity=validity_of(dataset)
    )


def residual_map(dataset: xr.Dataset, *, theme: ThemeName = "light", width: float = 5.2) -> Figure:
    """Draw what the reduction left unexplained in each pixel. See `scalar_map`."""
    return scalar_map(dataset, "residual", theme=theme, width=width, colours="magma")


def scalar_map(
    dataset: xr.Dataset,
    name: str,
    *,
    theme: ThemeName = "light",
    width: float = 5.2,
    limits: tuple[float, float] | None = None,
    colours: str = "viridis",
    label: str | None = None,
    validity: xr.DataArray | None = None,
) -> Figure:
    """Draw a number for each pixel.

    Parameters
    ----------
    dataset : xarray.Dataset
        A run.
    name : str
        A variable on the navigation dims.
    theme : {"light", "dark"}
        Colours of paper and ink.
    width : float
        Inches of the map.
    limits : tuple of float, optional
        Values of the first and the last colour; by default the 1st and 99th percentile.
    colours : str
        A matplotlib colour map.
    label : str, optional
        Written at the colour bar; the variable's name by default.
    validity : xarray.DataArray, optional
        NaN where a pixel's number means nothing, though it has one.

    Returns
    -------
    matplotlib.figure.Figure
        A map with scale bar and colour bar, a profile for a line scan, some slices for a stack. Pixels without a
        number are hatched.

    Raises
    ------
    VariableError
        If the variable is missing, or is not on the navigation dims.

    Notes
    -----
    Larger maps are averaged over blocks to at most 1024 pixels a side, reading a few rows at a time.
    """
    navigation = navigation_of(dataset)
    if name not in dataset or set(dataset[name].dims) != set(navigation):
        raise VariableError(
            found=f"no variable {name!r} on {', '.join(navigation)}",
            wanted=f"one of {', '.join(str(v) for v in dataset if set(dataset[str(v)].dims) == set(navigation))}",
            remedy="Draw a variable that the run has for each pixel.",
        )
    array = dataset[name].transpose(*navigation)
    with drawing(theme) as look:
        page = sheet(array, look, width=width, strip=1.1)
        draw_scalar(page, array, limits=limits, colours=colours, label=label or name, validity=validity)
        return page.figure


def draw_scalar(
    page: Sheet,
    array: xr.DataArray,
    *,
    limits: tuple[float, float] | None,
    colours: str,
    label: str,
    validity: xr.DataArray | None = None,
) -> None:
    """Draw a number for each pixel on a sheet that is laid out already; see `scalar_map`."""
    images = [_image(array, panel, validity) for panel in page.panels]
    low, high = limits or _range(images)
    if page.line:
        _profile(page, images[0].ravel(), low, high, label)
        return
    for axes, panel, image in zip(page.axes, page.panels, images, strict=True):
        quiet(axes)
        if np.isnan(image).any():
            page.hatch(axes)
        page.picture(axes, panel, image, cmap=colours, vmin=low, vmax=high)
        if page.ticked:
            page.tick(axes)
    page.bar()
    _colour_bar(page, low, high, colours, label)


def _image(array: xr.DataArray, panel: Panel, validity: xr.DataArray | None) -> NDArray[np.float64]:
    image = block_mean(array, panel)
    if validity is not None:
        image[np.isnan(thin(validity, panel).astype(float))] = np.nan
    return image


def _range(images: list[NDArray[np.float64]]) -> tuple[float, float]:
    values = np.concatenate([image[np.isfinite(image)] for image in images])
    if not values.size:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(values, [1, 99]))
    if high > low:
        return low, high
    return (low, low + abs(low) * 0.01) if low else (0.0, 1.0)


def _colour_bar(page: Sheet, low: float, high: float, colours: str, label: str) -> None:
    if not page.foot:
        page.grow(0.42)
    left, right = page.width * 0.52, page.width
    ramp(page.inches(left, 0.2, right - left, 0.09), low, high, colours, label, page.look)


def _profile(page: Sheet, values: NDArray[np.float64], low: float, high: float, label: str) -> None:
    (axes,) = page.axes
    size = len(page.across.values)
    positions = (np.arange(len(values)) + 0.5) * size / len(values) - 0.5
    box = axes.get_position()
    axes.set_position((box.x0 + 0.08, box.y0, box.width - 0.08, box.height * 0.92))
    axes.plot(positions, values, color=page.look.ink, lw=1.2, marker="o" if size == 1 else None)
    margin = 0.06 * (high - low)
    axes.set(xlim=(-0.5, size - 0.5), ylim=(low - margin, high + margin), ylabel=label)
    page.tick(axes)
