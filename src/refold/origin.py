"""Where the scan of a run is, as the run was made of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import xarray as xr

from refold.cube import signal_dims
from refold.errors import CubeError, ParameterError, SourceError, StoreExistsError
from refold.parts import open_cube, prepare
from refold.recipe import Recipe
from refold.store import RunStore, identify


def identity_of_run(run: xr.Dataset) -> Mapping[str, Any]:
    """What a run says of its scan, or of each of its cubes; empty where it says nothing."""
    told: Mapping[str, Any] = json.loads(run.attrs.get("source") or "{}")
    return told


def cube_named(cube: str | None, identity: Mapping[str, Any]) -> str:
    """Name of a cube of the run: the one asked for, or the first.

    Raises
    ------
    ParameterError
        If the run was made of no such cube.
    """
    names = list(identity["cubes"]) if "cubes" in identity else [str(identity.get("name", "signal"))]
    if cube is not None and cube not in names:
        raise ParameterError(f"cube={cube!r}", f"one of {', '.join(names)}", "name a cube that the run was made of")
    return cube or names[0]


def refuse_own(run: xr.Dataset, path: Path) -> None:
    """Let nothing be written over what a run is kept in or was made of, nor over a folder that holds it.

    Parameters
    ----------
    run : xarray.Dataset
        The run that is written out.
    path : Path
        Where to.

    Raises
    ------
    StoreExistsError
        If that is there.
    """
    identity = identity_of_run(run)
    cubes = list(identity["cubes"].values()) if "cubes" in identity else [identity]
    wanted = path.resolve()
    for place in (run.encoding.get("source"), *(cube.get("path") for cube in cubes)):
        if place and (own := Path(place).resolve()).exists() and wanted in (own, *own.parents):
            found = f"{path}, where the run is kept, or what it was made of"
            raise StoreExistsError(found, "another place", "choose one: not even overwrite=True takes that away")


def found_scan(identity: Mapping[str, Any], recipe: Recipe, name: str) -> xr.DataArray | None:
    """The scan where the run says that it was, if it is the same still.

    Parameters
    ----------
    identity : mapping
        Of the cube.
    recipe : Recipe
        Of the run.
    name : str
        Of the cube.

    Returns
    -------
    xarray.DataArray or None
        As it is stored, lazily.
    """
    options = recipe.of_cube(name)[0].to_dict()
    if "path" not in options and "path" in identity:
        options |= {"path": identity["path"], "signal": identity["name"]}
    if "path" not in options:
        return None
    try:
        scan = open_cube(name, options)
    except (SourceError, ParameterError, CubeError):
        return None
    return scan if identify(scan) == identity else None


def prepared_scan(scan: xr.DataArray, recipe: Recipe, name: str) -> xr.DataArray:
    """The scan as it was prepared, on the grid of the labels: navigation dims are not rebinned."""
    _, steps, _ = recipe.of_cube(name)
    signal = {dim: factor for dim, factor in steps.rebin.items() if dim in signal_dims(scan)}
    crop = {dim: span for dim, span in steps.crop.items() if dim in scan.dims}
    return prepare(scan, replace(steps, rebin=signal, crop=crop))[1]


def signals_of(run: xr.Dataset, scan: xr.DataArray | None = None, cube: str | None = None) -> xr.DataArray:
    """Every pixel's signal as the run was made of it, lazily.

    Parameters
    ----------
    run : xarray.Dataset
        As `refold.open_run` gives it.
    scan : xarray.DataArray, optional
        As it was recorded, where the run cannot find it by itself.
    cube : str, optional
        Of a run of several cubes the one to take; by default the first.

    Returns
    -------
    xarray.DataArray
        The scan, cropped as in the run and prepared in its signal dims; or, where it is gone, the features that the run
        keeps of it.

    Raises
    ------
    ParameterError
        If there is no such cube, or neither the scan nor its features are there.
    """
    recipe, identity = Recipe.from_toml(run.attrs.get("recipe", "")), identity_of_run(run)
    name = cube_named(cube, identity)
    if scan is None:
        scan = found_scan(identity["cubes"][name] if "cubes" in identity else identity, recipe, name)
    if scan is not None:
        return prepared_scan(scan, recipe, name)
    kept = _kept_features(run, f"stages/features/{name}" if "cubes" in identity else "stages/features")
    if kept is None:
        raise ParameterError(
            "a run whose scan is not where it was, or not the same, and that keeps no features of it",
            "the scan",
            "give it as scan=…, as it was recorded",
        )
    return kept


def _kept_features(run: xr.Dataset, group: str) -> xr.DataArray | None:
    place = Path(run.encoding.get("source", ""))
    if not run.encoding.get("source") or not (place / group / "features").is_dir():
        return None
    return RunStore.open(place).read(group)["features"]
