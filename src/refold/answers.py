"""Answers, from landmarks to every pixel: what the stages of a run and a clustering made later of it share."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import xarray as xr

from refold.backprojection import Refolder, backproject, cluster_statistics, to_full_grid
from refold.cluster import (
    Assigned,
    Clusterer,
    GaussianMixture,
    NearestCentre,
    assign_all,
    assigned_to,
    clusterer_of,
    parameters_of,
)
from refold.cube import n_features, navigation_shape
from refold.embed import LATENT_GAP
from refold.engine import ClusterSums, ZarrWriter, current_settings, plan_grid, sweep
from refold.errors import RecipeError
from refold.planning import Grid
from refold.recipe import Cluster
from refold.recipe.checking import nearest
from refold.store import RunStore

_CHUNK_BYTES = 16_000_000  # of arrays that are written: large enough to read fast, small enough to pick from


def clusterer_for(options: Cluster, *, embedded: bool) -> Any:
    """Make the clusterer that a recipe names, for the space that it will see.

    Parameters
    ----------
    options : Cluster
        The section of the recipe.
    embedded : bool
        Whether that space is UMAP's, whose distances have a scale of their own; see `refold.embed.LATENT_GAP`.

    Returns
    -------
    Clusterer, or KMeans, which also clusters cubes
        Not fitted.

    Raises
    ------
    RecipeError
        If the method has no parameter of a name that is given.
    ParameterError
        If one has a value that it cannot have.
    """
    known = parameters_of(options.method)
    for name in options.parameters:
        if name not in known:
            raise RecipeError(
                f"cluster.parameters.{name} with cluster.method = {options.method!r}",
                f"one of {', '.join(known)}",
                nearest(name, known),
            )
    arguments = options.arguments()
    if arguments.get("cluster_selection_epsilon", 0.0) is None:
        arguments["cluster_selection_epsilon"] = LATENT_GAP if embedded else 0.0
    return clusterer_of(options.method, **arguments)


def cluster_landmarks(options: Cluster, marks: xr.Dataset, scores: xr.DataArray) -> xr.Dataset:
    """Cluster the landmarks; or, by k-means where nothing was embedded, every pixel's scores.

    Parameters
    ----------
    options : Cluster
        The section of the recipe.
    marks : xarray.Dataset
        The landmarks, as a run keeps them.
    scores : xarray.DataArray
        Every pixel in the space that they were drawn in, lazily.

    Returns
    -------
    xarray.Dataset
        ``landmark_label``, ``landmark_probability``, ``landmark_membership``; ``centres`` if every pixel was seen; the
        Gaussians of a mixture.
    """
    embedded = "landmark_embedding" in marks
    rows = marks["landmark_embedding" if embedded else "landmark_scores"]
    weights = marks["landmark_weight"].values
    model = clusterer_for(options, embedded=embedded)
    found: dict[str, Any] = {}
    answer: Clusterer | Assigned
    if options.method == "kmeans" and not embedded:  # it can, out of core
        centres = np.asarray(model.fit(scores).cluster_centers_, np.float64)
        found["centres"] = (("cluster", "component"), centres)
        answer = assigned_to(NearestCentre(centres), rows.values)
    else:
        fitted: Clusterer = model.fit(
            rows.values,
            weights=weights,
            **places_for(options, marks["landmark_pixel"].values, navigation_shape(scores)),
        )
        found |= _gaussians(fitted)
        answer = assign_all(fitted, weights) if options.soft_labels and not found else fitted
    found |= {
        "landmark_label": ("landmark", answer.labels_),
        "landmark_probability": ("landmark", answer.probabilities_),
        "landmark_membership": (("landmark", "cluster"), answer.membership_),
    }
    return xr.Dataset(found)


def places_for(options: Cluster, pixels: Any, grid: Sequence[int]) -> dict[str, Any]:
    """Where the landmarks lie on the grid, for a method that can ask which of them are neighbours there.

    Parameters
    ----------
    options : Cluster
        The section of the recipe.
    pixels : ndarray of int
        Flat indices of the landmarks.
    grid : sequence of int
        Navigation shape.
    """
    return {"pixels": pixels, "grid": tuple(grid)} if options.method == "agglomerative" else {}


def _gaussians(fitted: Clusterer) -> dict[str, Any]:
    """Shapes of the clusters in the space that was clustered, where the method gives them any; it leaves no noise."""
    if not isinstance(fitted, GaussianMixture):
        return {}
    return {
        "mixture_means": (("cluster", "latent"), fitted.means_),
        "mixture_covariances": (("cluster", "latent", "other_latent"), fitted.covariances_),
        "mixture_weights": ("cluster", fitted.weights_),
    }


def landmark_answers(kept: xr.Dataset, **options: Any) -> tuple[Any, dict[str, Any]]:
    """The landmarks, and what was found on them, in the words of `refold.backproject`.

    Parameters
    ----------
    kept : xarray.Dataset
        The landmarks and their clusters, as a run keeps both.
    **options
        Of the back-projection.
    """
    marks = SimpleNamespace(pixels_=kept["landmark_pixel"].values, rows_=kept["landmark_scores"].values)
    names = {"labels": "label", "probability": "probability", "membership": "membership", "embedding": "embedding"}
    answers = {name: kept[f"landmark_{own}"].values for name, own in names.items() if f"landmark_{own}" in kept}
    return marks, {**answers, **options}


def write_labels(store: RunStore, group: str, scores: xr.DataArray, kept: xr.Dataset, **options: Any) -> None:
    """Give every pixel the answer of its nearest landmarks, or of the nearest centre where all pixels were clustered.

    Parameters
    ----------
    store : RunStore
        Where to.
    group : str
        Group of the store.
    scores : xarray.DataArray
        Every pixel, lazily.
    kept : xarray.Dataset
        The landmarks and their clusters.
    **options
        Of the back-projection.
    """
    marks, answers = landmark_answers(kept, **options)
    grid = plan_grid(scores)
    chunks, shared = target_chunks(grid, scores)
    templates = {str(name): like for name, like in backproject(scores, marks, **answers).items()}
    targets = store.targets(group, templates, chunks)
    answer = NearestCentre(kept["centres"].values) if "centres" in kept else Refolder(marks, **answers)
    sweep(scores, ZarrWriter(targets, answer, shared=shared), grid=grid, label="labels")


def write_on_full_grid(store: RunStore, binned: str, group: str, coords: Any) -> None:
    """Give every pixel of the scan the answer of the window that it fell into.

    Parameters
    ----------
    store : RunStore
        Where from, and where to.
    binned, group : str
        Groups of the answer on the coarser grid, and on the scan's.
    coords : mapping
        Coordinates of the scan's grid.
    """
    store.write(group, _evenly_chunked(to_full_grid(store.read(binned), coords)))


def write_statistics(
    store: RunStore, group: str, cubes: Mapping[str, tuple[xr.DataArray, Grid]], labels: Any, n_clusters: int
) -> None:
    """Write mean and deviation of the signal of every cluster, in every cube.

    Parameters
    ----------
    store : RunStore
        Where to.
    group : str
        Group of the store.
    cubes : mapping of str to (xarray.DataArray, Grid)
        What is averaged, and how it is cut: as in every sweep over it, so that chunks are read as often as was planned.
    labels : zarr.Array
        On their grid.
    n_clusters : int
        Clusters there are.
    """
    for at, (name, (cube, grid)) in enumerate(cubes.items()):
        state_bytes = ClusterSums(labels, n_clusters, n_features=n_features(cube)).nbytes
        partitions = min(grid.n_partitions, current_settings().budget.max_partitions(state_bytes))
        found = cluster_statistics(cube, labels, n_clusters, grid=replace(grid, n_partitions=partitions))
        if len(cubes) > 1:
            found = found.rename({variable: f"{variable}_{name}" for variable in ("cluster_mean", "cluster_std")})
            found = found.drop_vars("cluster_size") if at else found
        store.write(group, found)


def target_chunks(grid: Grid, like: xr.DataArray) -> tuple[tuple[int, ...], bool]:
    """Chunks of an array that blocks are written into, and whether blocks share them.

    They do not, unless edges of blocks that no chunk size divides would make for countless tiny chunks, and the blocks
    are written in this process, where they can wait for each other.
    """
    most = max(1, _CHUNK_BYTES // (n_features(like) * like.dtype.itemsize))
    chunks = grid.target_chunks(most)
    tiny = math.prod(chunks) < min(most, grid.block_pixels) // 8
    if tiny and current_settings().client is None:
        return grid.target_chunks(most, shared=True), True
    return chunks, False


def _evenly_chunked(answer: xr.Dataset) -> xr.Dataset:
    """The same in chunks of one size, as Zarr wants them: what comes from a coarser grid has chunks of any."""
    labels = answer["labels"]
    widest = max(variable.size for variable in answer.data_vars.values()) // labels.size
    side = max(1, int((_CHUNK_BYTES / (4 * max(1, widest))) ** (1 / labels.ndim)))
    return answer.chunk(dict.fromkeys(labels.dims, side))
