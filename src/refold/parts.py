"""The cubes of a scan, each with the lazy steps that a recipe lays over it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import xarray as xr

from refold.cube import check_same_grid, cubes_of, n_features, navigation_dims, signal_dims
from refold.errors import CubeError, ParameterError, RecipeError
from refold.features import align
from refold.prepare import bands, clip, crop, log1p, mask, normalise, rebin, remove_background, remove_spikes
from refold.recipe import Features, Prepare, Recipe
from refold.recipe.document import merged
from refold.source import open as open_scan
from refold.store import identify

_OF_A_PIXEL = {"normalise", "softmax"}  # steps that divide by what a pixel holds altogether


@dataclass(frozen=True)
class Part:
    """One cube of a scan.

    Parameters
    ----------
    name : str
        Its name in the scan.
    raw : xarray.DataArray
        As it is stored.
    full : xarray.DataArray
        What cropping leaves of it: every pixel of this gets a label.
    cube : xarray.DataArray
        As it is prepared, lazily.
    features : Features
        What is learnt from of it.
    """

    name: str
    raw: xr.DataArray
    full: xr.DataArray
    cube: xr.DataArray
    features: Features

    @property
    def chunks(self) -> int:
        """Chunks as it is stored; none, if it is in memory."""
        count = 1
        for sizes in self.raw.chunks or ():
            count *= len(sizes)
        return count if self.raw.chunks is not None else 0


def cubes_given(scan: Any, recipe: Recipe) -> tuple[dict[str, xr.DataArray], Recipe]:
    """The cubes of a scan, from what was given of it and of the recipe.

    Parameters
    ----------
    scan : xarray.DataArray, xarray.Dataset, mapping or path, optional
        What to segment; by default what the recipe names.
    recipe : Recipe
        What to do; if it names cubes, these are taken, in its order.

    Returns
    -------
    cubes : dict of str to xarray.DataArray
        In the order in which they are fused.
    recipe : Recipe
        With the path, if one was given.

    Raises
    ------
    ParameterError
        If there is neither a scan nor a recipe that names one.
    CubeError
        If there is none, one of them is no cube, or the recipe names one that is not there.
    """
    if isinstance(scan, str | os.PathLike):
        recipe = recipe.with_options(source={"path": os.fspath(scan)})
        scan = None
    if scan is None and recipe.source.images:
        scan, recipe = _with_images(recipe)
    elif scan is None and not recipe.cubes:
        scan = _opened("", recipe)
    elif scan is None:
        scan = {name: _opened(name, recipe) for name in recipe.cubes}
    cubes = cubes_of(scan, same_grid=False)
    for name in recipe.cubes:
        if name not in cubes:
            raise CubeError(f"a scan of {', '.join(cubes)}", f"a cube {name!r}, which the recipe names", "rename one")
    return {name: cubes[name] for name in recipe.cubes or cubes}, recipe


def _with_images(recipe: Recipe) -> tuple[xr.Dataset, Recipe]:
    """The scan with the images beside it, and the recipe with their weights."""
    options = _source_of("", recipe)
    images = options.pop("images")
    found = open_scan(options.pop("path"), **options, images=list(images))
    first, *others = map(str, found.data_vars)
    weights = {name: {"features": {"weight": weight}} for name, weight in zip(others, images.values(), strict=True)}
    return found, recipe.with_options(cubes=merged({first: {}, **weights}, recipe.to_dict().get("cubes", {})))


def _opened(name: str, recipe: Recipe) -> xr.DataArray:
    """Open one cube as the recipe says; a scan of one cube needs no name."""
    return open_cube(name, _source_of(name, recipe))


def open_cube(name: str, options: dict[str, Any]) -> xr.DataArray:
    """Open one cube, on its own or of those that lie beside images.

    Parameters
    ----------
    name : str
        Of the cube.
    options : dict
        As the section ``source`` of a recipe, with a path.

    Returns
    -------
    xarray.DataArray
        As it is stored, lazily.
    """
    path, images = options.pop("path"), options.pop("images", None)
    if not images:
        alone: xr.DataArray = open_scan(path, **options)
        return alone
    beside = open_scan(path, **options, images=list(images))
    if name not in beside:
        raise ParameterError(f"a scan of {', '.join(map(str, beside))}", f"a cube {name!r}", "open the scan as it was")
    cube: xr.DataArray = beside[name]
    return cube


def _source_of(name: str, recipe: Recipe) -> dict[str, Any]:
    """Options of the source of one cube."""
    options = recipe.of_cube(name)[0].to_dict()
    if "path" not in options:
        what = f"cube {name!r} without a path" if name else "neither a scan nor a recipe that names one"
        raise ParameterError(what, "a scan", "give a path or a cube")
    return options


def parts_of(cubes: Mapping[str, xr.DataArray], recipe: Recipe) -> tuple[Part, ...]:
    """Lay a recipe's lazy steps over the cubes of a scan.

    Parameters
    ----------
    cubes : mapping of str to xarray.DataArray
        By name, as `cubes_given` finds them.
    recipe : Recipe
        What to do.

    Returns
    -------
    tuple of Part
        In their order, all on the navigation grid of the first.

    Raises
    ------
    CubeError
        If navigation grids differ and the recipe does not say how to align them.
    RecipeError
        If a step names a dim that no cube has.
    """
    several = len(cubes) > 1
    parts: list[Part] = []
    for name, raw in cubes.items():
        _, steps, features = recipe.of_cube(name)
        if several and not _is_of_energies(raw):
            features = _not_for_spectra(features, recipe.cubes[name].features if name in recipe.cubes else {})
        if several and n_features(raw) == 1:
            steps, features = _not_for_one_value(steps, features)
        full, prepared = prepare(raw, _of_dims(steps, raw) if several else steps)
        if parts and features.align:
            prepared = align(prepared, parts[0].cube, features.align)
        parts.append(Part(name, raw, full, _with_own_dims(prepared, name, parts), features))
    if several:
        _check_dims(recipe, parts)
        check_same_grid({part.name: part.cube for part in parts})
    return tuple(parts)


def prepare(raw: xr.DataArray, options: Prepare) -> tuple[xr.DataArray, xr.DataArray]:
    """Lay the lazy steps of a recipe over a cube.

    Parameters
    ----------
    raw : xarray.DataArray
        The cube.
    options : Prepare
        Steps.

    Returns
    -------
    full, cube : xarray.DataArray
        What is left after cropping, whose every pixel gets a label; and what is learnt from.
    """
    full = cube = crop(raw, options.crop) if options.crop else raw
    if options.bands or ("good" in cube.coords and len(signal_dims(cube)) == 1):
        cube = bands(cube, **options.bands)
    if options.spikes:
        cube = remove_spikes(cube, **options.spikes).cube
    if options.rebin:
        cube = rebin(cube, options.rebin, how=options.rebin_how)
    if options.background:
        cube = remove_background(cube, **options.background)
    if options.clip:
        cube = clip(cube, options.clip.get("min"), options.clip.get("max"))
    if options.mask:
        cube = mask(cube, **options.mask)
    if options.log1p:
        cube = log1p(cube)
    if options.normalise:
        cube = normalise(cube, options.normalise)
    return full, cube


def _with_own_dims(cube: xr.DataArray, name: str, before: list[Part]) -> xr.DataArray:
    """Rename signal dims that another cube has with other coordinates, as the energies of EDS and of EELS."""
    taken = {
        dim: f"{dim}_{name}"
        for dim in signal_dims(cube)
        if any(dim in part.cube.dims and not part.cube[dim].equals(cube[dim]) for part in before)
    }
    return cube.rename(taken) if taken else cube


def _of_dims(steps: Prepare, cube: xr.DataArray) -> Prepare:
    """Of steps that are for all cubes of a scan, those whose dims this one has."""
    cropped = {dim: span for dim, span in steps.crop.items() if dim in cube.dims}
    factors = {dim: factor for dim, factor in steps.rebin.items() if dim in cube.dims}
    found = replace(steps, crop=cropped, rebin=factors)
    return found if len(signal_dims(cube)) == 1 else replace(found, bands={}, spikes={}, background={})


def _is_of_energies(cube: xr.DataArray) -> bool:
    dims = signal_dims(cube)
    return len(dims) == 1 and cube[dims[0]].attrs.get("units") in ("eV", "keV")


def _not_for_spectra(features: Features, own: Mapping[str, Any]) -> Features:
    """Features of an image beside spectra: element maps, and steps on them, only if they are its own options."""
    if "elements" not in own and features.elements is not None:
        features = replace(features, elements=None, parameters=own.get("parameters", {}))
        features = features if "then" in own else replace(features, then=None)
    return features


def _not_for_one_value(steps: Prepare, features: Features) -> tuple[Prepare, Features]:
    """Options for an image beside spectra or patterns: a value over its own size would be 1 in every pixel."""
    named = ((step, {step} if isinstance(step, str) else set(step)) for step in features.then or ())
    left = tuple(step for step, names in named if not names & _OF_A_PIXEL)
    scale = "none" if features.scale == "unit" else features.scale
    return replace(steps, normalise=None), replace(features, then=left or None, scale=scale)


def _check_dims(recipe: Recipe, parts: list[Part]) -> None:
    known = {str(dim) for part in parts for dim in part.raw.dims}
    for dim in (*recipe.prepare.crop, *recipe.prepare.rebin):
        if dim not in known:
            raise RecipeError(f"dim {dim!r} in [prepare]", f"one of {', '.join(sorted(known))}", "rename it")


def identity_of(parts: tuple[Part, ...]) -> dict[str, Any]:
    """Which scan this is.

    Parameters
    ----------
    parts : tuple of Part
        Its cubes.

    Returns
    -------
    dict
        As `refold.store.identify` says of one cube; of several, the navigation shape and the identity of each.
    """
    if len(parts) == 1:
        return identify(parts[0].raw)
    first = parts[0].raw
    shape = [first.sizes[dim] for dim in navigation_dims(first)]
    cubes = {part.name: identify(part.raw) for part in parts}
    return {"name": " + ".join(cubes), "shape": shape, "cubes": cubes}
