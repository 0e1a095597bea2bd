"""The clusterings of a run: what there is to say of each, and how one is forgotten."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import xarray as xr

from refold.errors import ParameterError
from refold.recipe import Cluster
from refold.recipe.checking import plain
from refold.store import OWN, RunStore, entry_of_clustering, path_of, record_of_labels, saved_names
from refold.store.locking import alone
from refold.trust.finished import FinishedRun


@dataclass(frozen=True)
class Clustering:
    """What there is to say of one clustering of a run.

    Parameters
    ----------
    name : str
        ``"run"`` is the run's own.
    method : str
        What found the clusters.
    options : mapping
        Those of its class that are set.
    clusters : int
        How many there are.
    noise : float
        Share of the pixels that belong to none.
    fingerprint : str
        Of the stage that wrote its labels; what is made of these is bound to it.
    statistics : bool
        Whether mean signals of its clusters are kept.
    """

    name: str
    method: str
    options: Mapping[str, Any]
    clusters: int
    noise: float
    fingerprint: str
    statistics: bool

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)


def clusterings(run: Any) -> dict[str, Clustering]:
    """Say which clusterings a run has.

    Parameters
    ----------
    run : path-like or xarray.Dataset
        A finished run: its store, or what `refold.run` or `refold.open_run` gave.

    Returns
    -------
    dict of str to Clustering
        By name, the run's own first, as ``"run"``; then those that `refold.recluster` made, in that order.

    Raises
    ------
    StoreError
        If there is no run, it was stopped before its labels were written, or a record is not as it was written.

    Examples
    --------
    >>> import refold
    >>> refold.clusterings("scan.run.zarr")["gmm5"].clusters  # doctest: +SKIP
    5
    """
    finished = FinishedRun(run)
    note, section = finished.store.note, finished.recipe.cluster
    noise = note.get("measured", {}).get("noise")
    own = Clustering(
        OWN,
        section.method,
        options_of(section),
        finished.n_clusters,
        noise_of(finished.store.read("")["labels"]) if noise is None else noise,
        finished.records["labels"].fingerprint,
        "statistics" in finished.records,
    )
    found = {OWN: own}
    for name in saved_names(note):
        entry = entry_of_clustering(note, name)
        said = {key: entry["notes"][key] for key in ("method", "options", "clusters", "noise", "statistics")}
        found[name] = Clustering(name=name, fingerprint=entry["fingerprint"], **said)
    return found


def forget_clustering(run: Any, name: str) -> None:
    """Remove a clustering that `refold.recluster` has kept with a run.

    Parameters
    ----------
    run : path-like or xarray.Dataset
        The run: its store, or what `refold.run` or `refold.open_run` gave.
    name : str
        Of the clustering.

    Raises
    ------
    ParameterError
        If it is the run's own.
    StoreError
        If there is no run, or no such clustering, or somebody makes one just now.

    Examples
    --------
    >>> import refold
    >>> refold.forget_clustering("scan.run.zarr", "gmm5")  # doctest: +SKIP
    """
    store = RunStore.open(path_of(run))
    if name == OWN:
        raise ParameterError("the run's own clustering", "one that refold.recluster made", "name one of these")
    with alone(store.path):
        store.fingerprint_of_labels(name)  # an error names those that are there
        store.forget(record_of_labels(name))


def options_of(section: Cluster) -> dict[str, Any]:
    """What the method of a section was given, and nothing that is for other methods: ready for JSON."""
    given = {**section.arguments(), **({"soft_labels": True} if section.soft_labels else {})}
    return {name: plain(value) for name, value in sorted(given.items()) if value is not None}


def noise_of(labels: xr.DataArray) -> float:
    """Share of the pixels that belong to no cluster."""
    return float((labels.data < 0).mean().compute())
