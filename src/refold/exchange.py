"""Out to HyperSpy: cubes, runs and decompositions as signals, with results where its own plots find them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from refold.cube import navigation_dims, signal_dims
from refold.errors import CubeError, ParameterError
from refold.origin import cube_named, found_scan, identity_of_run, prepared_scan, refuse_own
from refold.recipe import Recipe
from refold.reduce import elbow_position
from refold.report.whole import whole_files
from refold.source.hyperspy import to_signal
from refold.source.learning import described_by_components, place_clusters, place_decomposition
from refold.store import open_model


def to_hyperspy(obj: Any, scan: xr.DataArray | None = None, *, cube: str | None = None) -> Any:
    """Make a signal of HyperSpy of a cube, a run or a decomposition.

    Parameters
    ----------
    obj : xarray.DataArray, xarray.Dataset or Decomposition
        A cube; a run, as `refold.run` and `refold.open_run` give it; or what `refold.decompose` returned.
    scan : xarray.DataArray, optional
        What the run was made of, where it cannot be found any more by itself.
    cube : str, optional
        Of a run of several cubes the one that the signal is to be of; by default the first.

    Returns
    -------
    hyperspy.api.signals.BaseSignal
        Lazy where the cube is lazy, on its own array, with axes and metadata; a cube that `refold.from_hyperspy` made
        comes back as it was. Its class follows from ``signal_type`` (EELS and EDS need eXSpy). Of a run it is the scan,
        cropped as in the run and prepared in its signal dims, on the grid of the labels, and its `learning_results`
        hold factors, loadings, variances and mean, cluster labels and cluster signals, where ``plot_decomposition_…``,
        ``plot_scree_plot``, ``get_decomposition_model`` and ``plot_cluster_…`` find them.

    Raises
    ------
    CubeError
        If it is none of these, or the scan is not the one of the run.
    ParameterError
        If the scan of a run is gone and its components cannot stand for it; or there is no such cube.
    MissingDependencyError
        If HyperSpy is not installed.

    Notes
    -----
    Nothing of the scan of a run is read, only its scores and labels, which HyperSpy's plots want in memory; of a
    `Decomposition` the cube is read once. Where the scan cannot be found (it was in memory, or the file changed), the
    signal of a run is what the components say of it: scores times components, and the mean.

    Counts that were weighted for their noise (``scaling="poisson"``) are weighted back, as HyperSpy does. What a mean
    of weighted counts adds differs from pixel to pixel, which HyperSpy has no place for: it is one more component, the
    last one.

    Examples
    --------
    >>> import numpy as np, refold
    >>> signal = refold.to_hyperspy(refold.as_cube(np.ones((3, 4, 5)), signal="energy"))
    >>> signal
    <Signal1D, title: , dimensions: (4, 3|5)>
    """
    if isinstance(obj, xr.Dataset):
        return _of_run(obj, scan, cube)
    if all(hasattr(obj, name) for name in ("factors", "loadings", "explained_variance", "cube")):
        return _of_decomposition(obj)
    return to_signal(obj)


def save_signal(run: xr.Dataset, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write a run as a signal of HyperSpy, with its results where HyperSpy's own plots find them.

    Parameters
    ----------
    run : xarray.Dataset
        A run whose scan can be found; see `to_hyperspy`.
    path : path-like
        The new file, ``.hspy``.
    overwrite : bool
        Whether what is there may go, once the new file is whole.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ParameterError
        If it is named otherwise: RosettaSciIO writes ``.zspy`` with Zarr before 3 alone, which Refold cannot run with.
    StoreExistsError
        If there is something at the path already; or it is the run's own store or scan, even with ``overwrite=True``.
    StoreError
        If it cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != ".hspy":
        remedy = "name it so; RosettaSciIO writes .zspy with Zarr before 3 alone"
        raise ParameterError(f"a signal named {path.name}", "a name that ends in .hspy", remedy)
    refuse_own(run, path)
    with whole_files([path], overwrite=overwrite) as (place,):
        to_hyperspy(run).save(place)
    return path


# --- decompositions ---------------------------------------------------------------------------------------------------


def _of_decomposition(found: Any) -> Any:
    signal, found = to_signal(found.cube), found.load()
    results = {name: getattr(found, name) for name in ("factors", "loadings", "mean")}
    results |= {name: getattr(found, name) for name in ("explained_variance", "explained_variance_ratio")}
    results["number_significant_components"] = found.number_significant_components
    results["decomposition_algorithm"] = type(found.estimator).__name__
    place_decomposition(signal, found.cube, results)
    return signal


# --- runs -------------------------------------------------------------------------------------------------------------


def _of_run(run: xr.Dataset, scan: xr.DataArray | None, cube: str | None) -> Any:
    if "labels" not in run and "scores" not in run:
        raise CubeError(f"a dataset of {list(run)}", "a run, with scores or labels", "give what refold.run returned")
    recipe = Recipe.from_toml(run.attrs.get("recipe", ""))
    identity = identity_of_run(run)
    name = cube_named(cube, identity)
    several = "cubes" in identity
    if several:
        run = _of_cube(run, name)
    scan = scan if scan is not None else found_scan(identity["cubes"][name] if several else identity, recipe, name)
    results = _decomposition_of(run, whole=not several)
    if scan is None:
        if results is None:
            raise ParameterError(
                "a run whose scan is not where it was, or not the same",
                "the scan, or a run with components",
                "give it, as in refold.to_hyperspy(run, scan)",
            )
        prepared = described_by_components(results, results["loadings"]).rename(name)
    else:
        prepared = prepared_scan(scan, recipe, name)
    signal = to_signal(prepared)
    if results is not None and set(results["factors"].dims) == {"component", *signal_dims(prepared)}:
        place_decomposition(signal, prepared, results)
    if {"labels", "cluster_mean"} <= set(run):
        place_clusters(signal, prepared, run, recipe.cluster.method)
    return signal


def _of_cube(run: xr.Dataset, name: str) -> xr.Dataset:
    """What a run of several cubes says of one of them, over the dims that it has by itself."""
    own = {f"{what}_{name}": what for what in ("components", "cluster_mean") if f"{what}_{name}" in run}
    shared = [what for what in ("labels", "membership", "scores", "explained_variance_ratio") if what in run]
    part = run[[*own, *shared]].rename(own)
    # Dims that cubes have in common were told apart by the names of these.
    return part.rename({dim: str(dim).removesuffix(f"_{name}") for dim in part.dims if str(dim).endswith(f"_{name}")})


def _decomposition_of(run: xr.Dataset, *, whole: bool) -> dict[str, Any] | None:
    """Factors and loadings as HyperSpy understands them: a pixel is the loadings times the factors, and the mean."""
    if not {"scores", "components"} <= set(run):
        return None
    scores, model = run["scores"], open_model(run) if whole else None
    found: dict[str, Any] = {
        "factors": run["components"].load(),
        "loadings": scores,
        "explained_variance_ratio": run["explained_variance_ratio"],
        "number_significant_components": elbow_position(run["explained_variance_ratio"].values) + 1,
    }
    if model is None:
        return found
    told = json.loads(model.attrs["refold_model"])
    found |= {"decomposition_algorithm": told["model"], "explained_variance": model["explained_variance"]}
    return found | _unscaled(model, scores, weighted=told["parameters"].get("scaling") == "poisson")


def _unscaled(model: xr.Dataset, scores: xr.DataArray, *, weighted: bool) -> dict[str, Any]:
    """Factors of the data, not of what was made of them to find the components."""
    factors, mean = model["components"].load(), model["mean"].load()
    if "scale" in model:
        scale = model["scale"].load()
        factors = (factors / scale.where(scale > 0)).fillna(0.0)
    if not weighted:
        return {"factors": factors, "mean": mean if bool((mean != 0).any()) else None}
    # A weighted pixel adds up to the root of its sum, by which it was divided.
    measured = [dim for dim in factors.dims if dim != "component"]
    roots = (xr.dot(scores, factors.sum(measured).astype(scores.dtype)) + float(mean.sum())).clip(min=0)
    loadings = scores * roots
    if bool((mean != 0).any()):
        last = {"component": [factors.sizes["component"]]}
        factors = xr.concat([factors, mean.expand_dims(component=last["component"])], "component")
        loadings = xr.concat([loadings, roots.expand_dims("component", axis=-1).assign_coords(last)], "component")
    loadings = loadings.transpose(*navigation_dims(scores), "component").assign_coords(
        {dim: scores[dim] for dim in navigation_dims(scores)}
    )
    return {"factors": factors.astype(np.float64), "loadings": loadings, "poissonian_noise_normalized": True}
