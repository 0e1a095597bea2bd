"""One more clustering of a run's latent space: made where nobody looks, and kept in the run when it is whole."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from typing import Any

import xarray as xr

from refold.answers import cluster_landmarks, clusterer_for, write_labels, write_on_full_grid, write_statistics
from refold.cluster import parameters_of
from refold.engine import current_settings, plan_grid, settings
from refold.engine.display import progress_for_terminal
from refold.engine.progress import Progress
from refold.engine.resident import peak_memory, reset_peak
from refold.errors import DataError, ParameterError, RefoldWarning, StoreExistsError
from refold.outline import Outline
from refold.parts import cubes_given
from refold.planning import Grid
from refold.recipe import Cluster, Recipe
from refold.recipe.checking import nearest
from refold.reclustering.listing import noise_of, options_of
from refold.store import (
    OWN,
    RunStore,
    StageRecord,
    entry_of_clustering,
    open_run,
    saved_names,
    seal_of,
    sound_name,
    stage_fingerprint,
    versions,
)
from refold.store.disk import stored_in
from refold.store.locking import alone
from refold.trust.finished import FinishedRun

_PARTIAL = "stages/clustering"  # where a clustering is made, until it is whole
_EMBED, _FEATURES = "stages/embed", "stages/features"
_PACKAGES = {"hdbscan": ("refold", "hdbscan"), "kmeans": ("refold",)}  # of others scikit-learn's version matters


def recluster(
    run: Any,
    name: str,
    method: str = "gaussian_mixture",
    n_clusters: int | None = None,
    *,
    scan: Any = None,
    neighbours: int | None = None,
    overwrite: bool = False,
    memory: int | str | None = None,
    workers: int | None = None,
    client: Any = None,
    progress: Progress | None = None,
    **options: Any,
) -> xr.Dataset:
    """Cluster the latent space that a run has once more, give every pixel its label, and keep both with the run.

    Parameters
    ----------
    run : path-like or xarray.Dataset
        A finished run: its store, or what `refold.run` or `refold.open_run` gave.
    name : str
        What the clustering is kept as: letters, digits, ``_``, ``.`` and ``-``.
    method : {"gaussian_mixture", "hdbscan", "kmeans", "agglomerative"}
        What finds the clusters.
    n_clusters : int, optional
        How many; HDBSCAN finds their number itself, the others must be told.
    scan : xarray.DataArray, xarray.Dataset or path, optional
        What the run was made of, for the mean signals of the clusters. Only looked at where the run does not keep the
        features that it learnt from; without either, there are no mean signals, and a warning says so.
    neighbours : int, optional
        Landmarks that vote on a pixel; by default as many as in the run.
    overwrite : bool
        Whether a clustering of this name is replaced, once the new one is whole.
    memory, workers, client, progress
        As for `refold.run`; memory and workers are those of the run, unless given.
    **options
        As the class of the method takes them (`refold.GaussianMixture`, `refold.HDBSCAN`, `refold.KMeans`,
        `refold.Agglomerative`), such as ``covariance_type="tied"``; and ``soft_labels=True``, as in a recipe.

    Returns
    -------
    xarray.Dataset
        The run with this clustering, as ``refold.open_run(path, clustering=name)`` gives it. Of a mixture also
        ``mixture_means``, ``mixture_covariances`` and ``mixture_weights`` in the latent space.

    Raises
    ------
    StoreError
        If there is no run, it was stopped before its labels were written, or somebody else clusters it just now.
    StoreExistsError
        If there is another clustering of this name.
    ParameterError
        If the name will not do, or the method has no such option, or not with such a value.
    RecipeError
        If the number of clusters is missing, or given to HDBSCAN.
    DataError
        If the scan is not the one of the run.

    See Also
    --------
    refold.clusterings : what there is.
    refold.estimate_clusters : helps to find the number.

    Notes
    -----
    Landmarks, latent coordinates and scores are the run's. With the options of its recipe the labels are the run's, bit
    for bit. As the clustering stands on the embedding, a run that is gone on with keeps it as long as that stays, and
    forgets it with that. Asked again for the same, it is read from the run.

    Examples
    --------
    >>> import tempfile, refold
    >>> phantom = refold.synthetic.four_d_stem((24, 24), detector=(16, 16), seed=0)
    >>> place = tempfile.mkdtemp() + "/phantom.run.zarr"
    >>> run = refold.run(phantom.cube, store=place, n_components=6, embed="none", features=True, report=False)
    >>> found = recluster(run, "gmm4", n_clusters=4)
    >>> found.mixture_means.shape, list(refold.clusterings(run))
    ((4, 6), ['run', 'gmm4'])
    """
    if sound_name(name) == OWN:
        raise ParameterError(f"the name {name!r}, which is that of the run's own clustering", "another", "choose one")
    finished = FinishedRun(run)
    recipe = _recipe(finished.recipe, method, n_clusters, neighbours, options)
    asked = {"cluster": recipe.cluster.to_dict(), "backproject": recipe.backproject.to_dict()}
    packages = _PACKAGES.get(method, ("refold", "scikit-learn"))
    before = finished.records["embed"].fingerprint
    fingerprint = stage_fingerprint("clusterings", asked, before, packages)
    if not _there(finished.store, name, fingerprint, overwrite=overwrite, scan=scan):
        _check_free(finished.store, name)
        began = finished.store.note.get("resources", {})
        resources = {"memory": memory or began.get("memory"), "workers": workers or began.get("workers")}
        progress = progress if progress is not None else progress_for_terminal()
        with settings(**resources, client=client, progress=progress):
            averaged = _averaged(finished, recipe, scan)
            with alone(finished.store.path):
                if not _there(finished.store, name, fingerprint, overwrite=overwrite, scan=scan):  # by now
                    _make(finished, name, recipe, fingerprint, averaged)
    return open_run(finished.store.path, clustering=name)


def _recipe(
    recipe: Recipe, method: str, n_clusters: int | None, neighbours: int | None, options: Mapping[str, Any]
) -> Recipe:
    """The recipe that would have made this clustering; refuses what the method does not have."""
    sections = {item.name for item in fields(Cluster)} - {"method", "n_clusters", "parameters"}
    known = [*parameters_of(method), "soft_labels"]
    for option in options:
        if option not in known:
            raise ParameterError(
                f"option {option!r} of method {method!r}", f"one of {', '.join(known)}", nearest(option, known)
            )
    own = {option: value for option, value in options.items() if option in sections}
    more = {option: value for option, value in options.items() if option not in sections}
    section = Cluster.from_mapping({"method": method, "n_clusters": n_clusters, **own, "parameters": more})
    clusterer_for(section, embedded=recipe.embed.method == "umap")
    voting = recipe.backproject if neighbours is None else type(recipe.backproject)(neighbours)
    return replace(recipe, cluster=section, backproject=voting)


def _there(store: RunStore, name: str, fingerprint: str, *, overwrite: bool, scan: Any) -> bool:
    """Whether the very same is there already; of another of that name an error, unless it may be replaced."""
    if name not in saved_names(store.note) or overwrite:
        return False
    entry = entry_of_clustering(store.note, name)
    if entry["fingerprint"] == fingerprint:
        return bool(entry["notes"]["statistics"]) or scan is None
    said = ", ".join(f"{key}={value}" for key, value in entry["notes"]["options"].items())
    raise StoreExistsError(
        f"a clustering {name!r} in {store.path}, by {entry['notes']['method']} with {said}",
        "a name that is free",
        "choose another name, or replace it: overwrite=True, --overwrite",
    )


def _check_free(store: RunStore, name: str) -> None:
    """Check that no other clustering's folder would be the same one where the case of letters does not count."""
    same = [one for one in saved_names(store.note) if one != name and one.lower() == name.lower()]
    if same:
        raise ParameterError(
            f"the name {name!r} beside {same[0]!r}", "names that some systems' folders can have, too", "choose another"
        )


def _averaged(run: FinishedRun, recipe: Recipe, scan: Any) -> dict[str, tuple[xr.DataArray, Grid]]:
    """What mean signals are taken of, and how it is cut: features that the run keeps, or the scan given, or nothing."""
    source = run.store.note["source"]
    if "features" in run.records:
        names = list(source["cubes"]) if "cubes" in source else [source["name"]]
        groups = [f"{_FEATURES}/{name}" for name in names] if "cubes" in source else [_FEATURES]
        cubes = {name: run.store.read(group)["features"] for name, group in zip(names, groups, strict=True)}
        return {name: (cube, plan_grid(cube)) for name, cube in cubes.items()}
    if scan is None:
        warnings.warn(
            f"{run.store.path} keeps no features and no scan was given: mean signals of the clusters are left out; "
            "pass the scan as scan=…, --scan, or make the run with features=True",
            RefoldWarning,
            stacklevel=3,
        )
        return {}
    outline = Outline(*cubes_given(scan, recipe))
    if outline.identity != source:
        raise DataError(
            f"a scan {outline.identity['name']} {outline.identity['shape']}",
            f"the one of the run, {source.get('path', source['name'])} {source['shape']} as it was then",
            "give that one, or none: the labels need no scan",
        )
    return {part.name: (part.cube, outline.grids[part.name]) for part in outline.parts}


def _make(
    run: FinishedRun,
    name: str,
    recipe: Recipe,
    fingerprint: str,
    averaged: Mapping[str, tuple[xr.DataArray, Grid]],
) -> None:
    """Make the clustering where nobody looks, and put it in its place when it is whole."""
    tally, store = current_settings().progress.tally, run.store
    sweeps, tasks, began = tally.sweeps, tally.tasks, time.perf_counter()
    reset_peak()
    store.clear()  # of what a clustering that was stopped may have left
    marks = store.read(_EMBED).load()
    found = cluster_landmarks(recipe.cluster, marks, run.scores)
    store.write(f"{_PARTIAL}/landmarks", found)
    binned = "stages/binned" in run.records["labels"].holds
    group = f"{_PARTIAL}/binned" if binned else _PARTIAL
    kept = xr.merge([marks.drop_vars("landmark_embedding", errors="ignore"), found])  # the run has that of every pixel
    write_labels(store, group, run.scores, kept, **recipe.section("backproject"))
    if binned:
        write_on_full_grid(store, group, _PARTIAL, store.read("")["labels"].coords)
    chunks = tally.chunks_read
    if averaged:
        write_statistics(store, _PARTIAL, averaged, store.array(group, "labels"), found.sizes["cluster"])
    record = StageRecord(
        fingerprint=fingerprint,
        seconds=time.perf_counter() - began,
        sweeps=tally.sweeps - sweeps,
        tasks=tally.tasks - tasks,
        chunks_read=tally.chunks_read - chunks if averaged and "features" not in run.records else 0,
        bytes_written=store.size_of([_PARTIAL]),
        peak_memory=peak_memory(),
        notes=_notes(store, recipe, int(found.sizes["cluster"]), statistics=bool(averaged)),
        follows="embed",
    )
    sealed = replace(record, notes={**(record.notes or {}), "seal": seal_of(name, asdict(record))})
    store.settle(name, sealed, _PARTIAL)


def _notes(store: RunStore, recipe: Recipe, clusters: int, *, statistics: bool) -> dict[str, Any]:
    """What is kept of a clustering beside its arrays."""
    return {
        "method": recipe.cluster.method,
        "options": options_of(recipe.cluster),
        "clusters": clusters,
        "noise": noise_of(store.read(_PARTIAL)["labels"]),
        "statistics": statistics,
        "stored": stored_in(store.path / _PARTIAL),
        "recipe": recipe.to_toml(),
        "versions": versions(),
    }
