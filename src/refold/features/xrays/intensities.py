"""How much of each line clusters hold, with the errors of counting."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from refold.errors import ParameterError
from refold.features.xrays.table import BEAM, EV, RESOLUTION, Spectrometer, choose_lines, energy_axis, line_coords
from refold.features.xrays.windows import Background, Weights, weights_of

_MEAN = "cluster_mean"
_NO_COUNTS = ("normalise", "log1p", "clip", "background")  # steps after which noise is not Poisson's


def line_intensities(
    run: xr.Dataset | xr.DataArray,
    lines: Sequence[str] | None = None,
    *,
    sizes: Sequence[int] | xr.DataArray | None = None,
    cube: str | None = None,
    scan: xr.DataArray | None = None,
    width: float = 1.0,
    background: Background = "linear",
    resolution: float | None = None,
) -> xr.Dataset:
    """Measure X-ray lines in the mean spectra of clusters, with their counting errors.

    Parameters
    ----------
    run : xarray.Dataset or xarray.DataArray
        A run of X-ray spectra, as `refold.open_run` gives it; or mean spectra ``(cluster, energy)`` of counts. These
        must not have been scaled, clipped or logarithmed, as nothing is known then of their noise.
    lines : sequence of str, optional
        Lines and elements, as for `refold.xray_lines`. By default those of the run's own maps, or that the scan lists.
    sizes : sequence of int, optional
        Pixels of each cluster, for mean spectra without a run.
    cube : str, optional
        Which cube, in a run of several; by default the one with an axis of energy in eV or keV.
    scan : xarray.DataArray, optional
        The scan, for what it says of its elements, beam and detector. A run of element maps keeps these itself.
    width, background, resolution
        As for `refold.element_maps`.

    Returns
    -------
    xarray.Dataset
        By ``cluster`` and ``line``: ``intensity``, net counts in a pixel, and ``error``, its standard deviation;
        ``counts``, all counts in the window over all pixels of the cluster; ``significance``, the net counts over
        their standard deviation. Names and colours that clusters were given stay with them.

    Raises
    ------
    ParameterError
        If there are no such spectra, no sizes, no lines, or the run's spectra are no counts.

    Notes
    -----
    Counts have the variance of Poisson: that of a net intensity is the sum of all counts with the squares of their
    weights, so that what is taken off adds its own noise. An error is of counting alone: neither of absorption nor of
    lines that overlap.

    Examples
    --------
    >>> import refold
    >>> counts = np.full((2, 1000), 4.0)
    >>> counts[0, 630:650] += 12
    >>> energy = (np.arange(1000) * 0.01, {"units": "keV"})
    >>> means = refold.as_cube(counts, signal="energy", dims=("cluster", "energy"), coords={"energy": energy})
    >>> found = line_intensities(means, ["Fe_Ka"], sizes=[100, 50])  # doctest: +SKIP
    >>> found.intensity.values.round().tolist()  # doctest: +SKIP
    [[156.0], [0.0]]
    """
    means = _means(run, cube) if isinstance(run, xr.Dataset) else run
    axis = energy_axis(means)
    if "cluster" not in means.dims or means.ndim != 2:
        raise ParameterError(f"mean spectra on {means.dims}", "dims (cluster, energy)", "name the dims so")
    means = means.transpose("cluster", axis.name)
    pixels = _sizes(run, means, sizes)
    told = means.assign_attrs({} if scan is None else scan.attrs)
    if isinstance(run, xr.Dataset):
        _check_counts(run, means)
        own = lines_of_run(run, str(means.name))
        lines = own.get("lines") if lines is None and scan is None else lines
        told = told.assign_attrs({key: own[key] for key in (BEAM, RESOLUTION) if key in own and key not in told.attrs})
    spectrometer = Spectrometer.of(told, resolution)
    chosen = choose_lines(spectrometer, lines)
    weights = weights_of(spectrometer, chosen, width, background)
    coords = line_coords(chosen, spectrometer.units)
    coords["cluster"] = means["cluster"] if "cluster" in means.coords else np.arange(means.sizes["cluster"])
    found = _measured(np.asarray(means.values, np.float64), pixels, weights)
    if isinstance(run, xr.Dataset):  # what people call clusters stays with them
        found |= {name: run[name].variable for name in ("cluster_name", "cluster_colour") if name in run}
    return xr.Dataset(found, coords)


def _measured(means: npt.NDArray[Any], pixels: npt.NDArray[Any], weights: Weights) -> dict[str, Any]:
    """Sums of the channels of each line, and what counting leaves open about them."""
    known = np.nan_to_num(np.where(pixels[:, None] > 0, means, 0.0))
    total = known * pixels[:, None]
    net, variance = total @ weights.net.T, np.clip(total, 0, None) @ np.square(weights.net).T
    deviation, size = np.sqrt(variance), np.maximum(pixels, 1)[:, None]
    dims = ("cluster", "line")
    per_pixel = {"units": "counts", "long_name": "net counts in a pixel"}
    return {
        "intensity": (dims, net / size, per_pixel),
        "error": (dims, deviation / size, {"units": "counts", "long_name": "standard deviation of the intensity"}),
        "counts": (dims, total @ weights.gross.T, {"units": "counts", "long_name": "all counts of the cluster"}),
        "significance": (
            dims,
            np.divide(net, deviation, out=np.zeros_like(net), where=deviation > 0),
            {"units": "1", "long_name": "net counts over their standard deviation"},
        ),
    }


def lines_of_run(run: xr.Dataset, mean: str = _MEAN) -> Mapping[str, Any]:
    """What a run that learnt from element maps says of its lines.

    Parameters
    ----------
    run : xarray.Dataset
        As `refold.open_run` gives it.
    mean : str
        Name of its mean spectra: of the one cube, or of one of several.

    Returns
    -------
    mapping
        ``lines`` by their names, energy of the beam and resolution, as they were when the maps were made; nothing for
        other runs. Of a run that did not write them down, lines and elements as its recipe names them.
    """
    name = _cube_of(mean)
    cubes = _noted(run)
    noted = cubes.get(name) if name else next(iter(cubes.values()), None)
    if isinstance(noted, Mapping) and "lines" in noted:
        return noted
    elements = _tables(run, mean)[1].get("elements")
    return {"lines": elements} if isinstance(elements, list) else {}


def _noted(run: xr.Dataset) -> Mapping[str, Any]:
    """What the record of a run says of the features of each cube; nothing, if the attribute is somebody else's."""
    return _of_mapping(run.attrs.get("stages"), "fuse", "notes", "cubes")


def _of_mapping(text: Any, *keys: str) -> Mapping[str, Any]:
    """What a text of JSON holds under keys within keys."""
    try:
        found: Any = json.loads(str(text))
    except ValueError:
        return {}
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def has_counts(run: xr.Dataset, mean: str = _MEAN) -> bool:
    """Whether mean spectra of a run are counts of as many pixels as their clusters have."""
    return not _scaled_by(run, mean) and not _is_repeated(run, mean)


def _check_counts(run: xr.Dataset, means: xr.DataArray) -> None:
    """Refuse spectra that a run's steps made no counts, of whose noise nothing is known, and counts met repeatedly."""
    if scaled := _scaled_by(run, str(means.name)):
        found = f"spectra after {', '.join(scaled)} in [prepare]"
        raise ParameterError(found, "spectra of counts", "take such steps in features.then, on maps of elements")
    if _is_repeated(run, str(means.name)):
        remedy = "give the mean spectra alone, with sizes=[…] in pixels of their own grid"
        raise ParameterError("spectra of a coarser grid than the labels", "sizes of clusters on their grid", remedy)


def _scaled_by(run: xr.Dataset, mean: str = _MEAN) -> list[str]:
    """Steps of a run after which its mean spectra are no counts."""
    prepare, _ = _tables(run, mean)
    scaled = [step for step in _NO_COUNTS if prepare.get(step)]
    if prepare.get("rebin") and prepare.get("rebin_how") == "mean":  # more was counted than is told
        scaled.append("rebin by the mean")
    return scaled


def _is_repeated(run: xr.Dataset, mean: str) -> bool:
    """Whether a cube of a coarser grid was laid over the pixels of the first, so that its counts are met repeatedly."""
    cubes = _of_mapping(run.attrs.get("source"), "cubes")
    navigation = run["labels"].dims if "labels" in run else ()
    pixels = [
        math.prod(size for dim, size in zip(told["dims"], told["shape"], strict=True) if dim in navigation)
        for told in (cubes.get(_cube_of(mean)), next(iter(cubes.values()), None))
        if isinstance(told, Mapping)
    ]
    return len(pixels) == 2 and pixels[0] < pixels[1]


def _tables(run: xr.Dataset, mean: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the recipe of a run says of one cube under ``prepare`` and ``features``."""
    try:
        tables = tomllib.loads(str(run.attrs.get("recipe", "")))
    except tomllib.TOMLDecodeError:  # an attribute of somebody else's
        tables = {}
    own = tables.get("cubes", {}).get(_cube_of(mean), {})
    prepare, features = ({**tables.get(part, {}), **own.get(part, {})} for part in ("prepare", "features"))
    return prepare, features


def _cube_of(mean: str) -> str:
    """The cube that mean spectra are of; empty where there is only one."""
    return mean.removeprefix(_MEAN).removeprefix("_")


def _means(run: xr.Dataset, cube: str | None) -> xr.DataArray:
    """Mean spectra of a run."""
    if cube is not None:
        names = [name for name in (f"{_MEAN}_{cube}", _MEAN) if name in run]
    else:
        names = [str(name) for name in run.data_vars if str(name).partition(f"{_MEAN}")[1] and _is_spectra(run[name])]
    if not names:
        wanted = f"cluster_mean of the cube {cube!r}" if cube else "cluster_mean along an axis of energy in eV or keV"
        raise ParameterError(f"a run with {', '.join(map(str, run.data_vars))}", wanted, "give a run of X-ray spectra")
    if len(names) > 1:
        cubes = [name.removeprefix(f"{_MEAN}_") for name in names]
        raise ParameterError(f"spectra of {cubes}", "one of them", f"say which, as in cube={cubes[0]!r}")
    return run[names[0]]


def _is_spectra(means: xr.DataArray) -> bool:
    dim = str(means.dims[-1])
    return means.ndim == 2 and dim in means.coords and means[dim].attrs.get("units") in EV


def _sizes(run: Any, means: xr.DataArray, sizes: Any) -> npt.NDArray[np.float64]:
    """Pixels of each cluster."""
    if sizes is None and isinstance(run, xr.Dataset) and "cluster_size" in run:
        sizes = run["cluster_size"].values
    found = None if sizes is None else np.asarray(sizes, np.float64)
    if found is None or found.shape != (means.sizes["cluster"],):
        shown = "no sizes of clusters" if found is None else f"{found.size} sizes"
        wanted = f"one number of pixels for each of {means.sizes['cluster']} clusters"
        raise ParameterError(shown, wanted, "errors follow from all counts: pass sizes=[…]")
    return found
