"""Pictures of a scene itself: bands as colours, and classes laid over them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from refold.cube.georeference import crs_of
from refold.errors import ParameterError
from refold.report.canvas import Look, ThemeName, drawing, quiet
from refold.report.layout import Sheet, sheet
from refold.report.maps import colourise, draw_scalar, legend_width, write_legend
from refold.report.stretching import CHANNEL, Selection, Stretched, coloured, stretch, stretched
from refold.report.tally import Tally, labels_of
from refold.report.views import Panel, block_mean, thin

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["composite", "overlay"]

T = TypeVar("T", xr.DataArray, xr.Dataset)


def composite(
    cube: xr.DataArray,
    bands: Selection = "true",
    *,
    percent: Sequence[float] = (2, 98),
    colours: str = "gray",
    theme: ThemeName = "light",
    width: float = 5.2,
) -> Figure:
    """Draw bands of a cube: in true colour, in false colour, or one of them.

    Parameters
    ----------
    cube : xarray.DataArray
        With one signal dim.
    bands : {"true", "false"}, or one or three numbers
        As for `refold.composite`: names, or positions along the signal in its units.
    percent : sequence of float
        Percentiles of each band that become black and white.
    colours : str
        A matplotlib colour map, for one band.
    theme : {"light", "dark"}
        Colours of paper and ink.
    width : float
        Inches of the picture.

    Returns
    -------
    matplotlib.figure.Figure
        A map; a strip for a line scan, some slices for a stack. Where the cube has a reference system, north is up, and
        positions in map units are written along the axes; else the first row is on top, above a scale bar. Pixels of
        which a band is not finite are hatched.

    Raises
    ------
    ParameterError
        If there are no such bands, or percentiles.

    Notes
    -----
    Percentiles are exact; `refold.composite` says in how many sweeps. Larger scenes are then averaged over blocks to at
    most 1024 pixels a side, in one more.
    """
    from matplotlib import colormaps

    if colours not in colormaps:
        raise ParameterError(f"colours={colours!r}", "a colour map of matplotlib", "write gray, viridis or magma")
    shown = stretched(_north_up(cube), bands, percent)
    with drawing(theme) as look:
        page = _page(shown, look, width)
        if len(shown.limits) == 1:
            low, high = (float(limit) for limit in shown.limits[0])
            limits = (low, high) if low < high else None
            draw_scalar(page, shown.first, limits=limits, colours=colours, label=shown.bands.label)
            return page.figure
        for axes, panel in zip(page.axes, page.panels, strict=True):
            _draw(page, axes, panel, _colours(shown, panel))
        return _finished(page)


def overlay(
    picture: xr.DataArray,
    labels: xr.DataArray | xr.Dataset,
    *,
    alpha: float = 0.5,
    bands: Selection = "true",
    percent: Sequence[float] = (2, 98),
    legend: bool = True,
    theme: ThemeName = "light",
    width: float = 5.2,
) -> Figure:
    """Lay classes over a picture of the scene.

    Parameters
    ----------
    picture : xarray.DataArray
        A cube, or what `refold.composite` made of one.
    labels : xarray.DataArray or xarray.Dataset
        Class of each pixel, -1 for none, on the same grid; or a run.
    alpha : float
        How opaque the classes are, from 0 to 1.
    bands, percent
        As for `composite`, where `picture` is a cube.
    legend : bool
        Whether to list the classes and their shares at the right.
    theme : {"light", "dark"}
        Colours of paper and ink.
    width : float
        Inches of the picture.

    Returns
    -------
    matplotlib.figure.Figure
        A map as of `composite`, with every class in its colour of `label_map`, and noise in grey. Pixels that are not
        valid are hatched.

    Raises
    ------
    ParameterError
        If the grids differ, or ``alpha`` is not between 0 and 1; and as for `composite`.
    VariableError
        If labels are no whole numbers.
    """
    if not 0 <= alpha <= 1:
        raise ParameterError(f"alpha={alpha}", "a number from 0 to 1", "change it")
    scene = _north_up(picture)
    shown = coloured(scene) if CHANNEL in picture.dims else stretched(scene, bands, percent)
    run = _classes(labels, picture, shown)
    tally, found = Tally.of(run), labels_of(run)
    with drawing(theme) as look:
        side = legend_width(tally, width) if legend else 0.0
        page = _page(shown, look, width, side)
        for axes, panel in zip(page.axes, page.panels, strict=True):
            image = _colours(shown, panel)
            _draw(page, axes, panel, image)
            classes = colourise(thin(found, panel).astype(np.int64), tally, image[..., 3] == 0)
            classes[..., 3] = np.round(classes[..., 3] * alpha)
            page.picture(axes, panel, classes)
        if legend:
            write_legend(page, tally, side)
        return _finished(page)


def _north_up(scene: T, like: xr.DataArray | None = None) -> T:
    """Turn a scene in map units so that north is up and east at the right."""
    placed = scene if like is None else like
    if crs_of(placed) is None:
        return scene
    signs = {"y": -1, "x": 1}
    turned = [dim for dim, sign in signs.items() if dim in placed.dims and _rises(placed[dim]) == -sign]
    return scene.isel({dim: slice(None, None, -1) for dim in turned})


def _rises(positions: xr.DataArray) -> int:
    """1 where positions rise, -1 where they fall."""
    return int(np.sign(float(positions[-1]) - float(positions[0])))


def _classes(labels: xr.DataArray | xr.Dataset, picture: xr.DataArray, shown: Stretched) -> xr.Dataset:
    """Labels as those of a run, on the grid of the picture; the picture tells noise from what is not valid."""
    found = labels if isinstance(labels, xr.DataArray) else labels_of(labels)
    grid = shown.first
    if {**found.sizes} != {**grid.sizes} or any(not _same(found, picture, str(dim)) for dim in grid.dims):
        raise ParameterError(
            f"labels on {dict(found.sizes)}",
            f"the grid of the picture, {dict(grid.sizes)}, and its positions",
            "make the picture of the cube that was labelled",
        )
    found = _north_up(found, like=picture).transpose(*grid.dims)
    return xr.Dataset({"labels": found, "residual": shown.bands.cube.sum(shown.bands.dim, skipna=False)})


def _same(one: xr.DataArray, other: xr.DataArray, dim: str) -> bool:
    if dim not in one.coords or dim not in other.coords:
        return True
    return bool(np.allclose(one[dim].values, other[dim].values, rtol=1e-9, atol=0))


def _page(shown: Stretched, look: Look, width: float, side: float = 0.0) -> Sheet:
    grid = shown.first
    return sheet(
        grid,
        look,
        width=width,
        side=side,
        strip=1.1 if len(shown.limits) == 1 else 0.6,
        ticked=crs_of(grid) is not None and grid.ndim == 2,
    )


def _colours(shown: Stretched, panel: Panel) -> NDArray[np.uint8]:
    return stretch(block_mean(shown.bands.cube, panel, layer=shown.bands.dim), shown.limits)


def _draw(page: Sheet, axes: Axes, panel: Panel, image: NDArray[np.uint8]) -> None:
    quiet(axes)
    if not image[..., 3].all():
        page.hatch(axes)
    page.picture(axes, panel, image)
    if page.ticked:
        page.tick(axes)


def _finished(page: Sheet) -> Figure:
    page.bar()
    return page.figure
