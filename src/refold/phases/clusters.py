"""The clusters of a run by number, name and colour, as they are or as they were edited."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from refold.errors import ParameterError
from refold.report.colours import palette
from refold.report.tally import clusters_of, labels_of
from refold.report.views import load

_LONGEST = 48  # letters of a name in that of a file; four bytes each at most, of the 255 that file systems allow


@dataclass(frozen=True, slots=True)
class Cluster:
    """One cluster of a run.

    Attributes
    ----------
    number : int
        In `labels`.
    name : str
        That it was given, or "cluster" and its number.
    colour : str
        As ``#rrggbb``.
    size : int or None
        Pixels, if the run says it.
    """

    number: int
    name: str
    colour: str
    size: int | None

    @property
    def file(self) -> str:
        """Its name as part of the name of a file, without the number."""
        return safe_name(self.name)


def clusters_in(run: xr.Dataset) -> tuple[Cluster, ...]:
    """The clusters of a run, in order of their numbers.

    Parameters
    ----------
    run : xarray.Dataset
        With `labels`; and `cluster_size`, `cluster_name`, `cluster_colour` if they are there, as after edits.

    Returns
    -------
    tuple of Cluster
        Of a run without `cluster_size` as many as the labels name, which reads these once.
    """
    numbers = _numbers(run)
    given = {name: run[f"cluster_{name}"].values for name in ("name", "colour", "size") if f"cluster_{name}" in run}
    colours = given.get("colour", palette(len(numbers)))
    names = given.get("name", [f"cluster {number}" for number in numbers])
    sizes = [int(size) for size in given["size"]] if "size" in given else [None] * len(numbers)
    return tuple(
        Cluster(number, str(names[i]) or f"cluster {number}", str(colours[i]), sizes[i])
        for i, number in enumerate(numbers)
    )


def _numbers(run: xr.Dataset) -> tuple[int, ...]:
    means = sorted(str(name) for name in run.data_vars if str(name).startswith("cluster_mean"))
    for name in ("cluster_size", *means):
        if name in run and "cluster" in run[name].dims:
            return clusters_of(run[name])
    return tuple(range(int(load(labels_of(run).max())) + 1))


def chosen_clusters(
    clusters: Sequence[Cluster], chosen: Iterable[int | str] | None, what: str = "clusters"
) -> tuple[Cluster, ...]:
    """Those of the clusters that are meant, each once, in the order in which they are named.

    Parameters
    ----------
    clusters : sequence of Cluster
        All.
    chosen : iterable of int or str, or None
        Numbers or names; None for all.
    what : str
        The option in which they were named.

    Raises
    ------
    ParameterError
        If there is no such cluster, several have that name, or one is named twice.
    """
    if chosen is None:
        return tuple(clusters)
    named = [chosen] if isinstance(chosen, str | int | np.integer) else list(chosen)
    found = tuple(_one(clusters, name, what) for name in named)
    if len({cluster.number for cluster in found}) < len(found):
        raise ParameterError(f"{what}={named!r}", "each cluster once", "name none of them again")
    return found


def _one(clusters: Sequence[Cluster], name: int | str, what: str) -> Cluster:
    by_number = isinstance(name, int | np.integer) and not isinstance(name, bool)
    found = [cluster for cluster in clusters if (cluster.number if by_number else cluster.name) == name]
    if len(found) == 1:
        return found[0]
    there = ", ".join(f"{cluster.number} ({cluster.name})" for cluster in clusters) or "none: it has no clusters"
    several = f"{len(found)} clusters of the name" if found else "no cluster"
    raise ParameterError(f"{several} {name!r} in {what}", f"one of those of the run: {there}", "give its number")


def safe_name(name: str) -> str:
    """A name as part of the name of a file on any system.

    Parameters
    ----------
    name : str
        Any text.

    Returns
    -------
    str
        Letters and digits of any script, ``_``, ``+`` and ``-``; at most 48; empty where nothing is left.

    Examples
    --------
    >>> safe_name("Fe/Ni oxide (α)"), safe_name("../../etc")
    ('Fe_Ni_oxide_α', 'etc')
    """
    text = re.sub(r"[^\w+-]+", "_", unicodedata.normalize("NFC", name))
    return text[:_LONGEST].strip("_")


def file_names(clusters: Sequence[Cluster], suffix: str) -> tuple[str, ...]:
    """Names of files, one for each cluster: its number, by which they differ, and its name.

    Examples
    --------
    >>> file_names([Cluster(0, "cluster 0", "#000000", 9), Cluster(10, "iron", "#ffffff", 5)], ".tif")
    ('cluster_00.tif', '10_iron.tif')
    """
    digits = max((len(str(cluster.number)) for cluster in clusters), default=1)
    made = []
    for cluster in clusters:
        number = f"{cluster.number:0{digits}d}"
        plain = cluster.file in {f"cluster_{cluster.number}", str(cluster.number), ""}
        made.append(f"cluster_{number}{suffix}" if plain else f"{number}_{cluster.file}{suffix}")
    return tuple(made)
