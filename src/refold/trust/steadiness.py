"""What repeats of a run say about it, in maps, in numbers and in words."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from refold.report.words import count, percent, plural
from refold.trust.matching import adjusted_rand_index, jaccard

_MAPS = ("stability", "consensus", "consensus_probability")
_TABLES = (
    "agreeing_pixels",
    "repeat_clusters",
    "repeat_ari",
    "pairwise_ari",
    "cluster_jaccard",
    "cluster_stability",
)
_DISSOLVED, _STABLE = 0.5, 0.75  # Hennig's limits of the mean Jaccard index


@dataclass(frozen=True)
class Stability:
    """How far a run can be trusted.

    Parameters
    ----------
    maps : xarray.Dataset
        ``stability (*navigation)``: share of the repeats that agree with the run's label, NaN where a pixel is
        invalid. ``consensus`` and ``consensus_probability``: the clustering that most repeats agree on, in the run's
        numbers. Lazy, on the scan's own grid.
    tables : xarray.Dataset
        ``repeat_ari (repeat)``, ``pairwise_ari (repeat, other_repeat)``, ``repeat_clusters (repeat)``,
        ``cluster_jaccard (repeat, cluster)``, ``cluster_stability (cluster)``, ``agreeing_pixels (agreeing)``.
    sizes : ndarray of int64, shape (clusters,)
        Pixels of each cluster of the run, where the run has counted them.
    asked : mapping
        ``repeats``, ``vary``, ``dose``, ``random_state``.
    """

    maps: xr.Dataset
    tables: xr.Dataset
    sizes: npt.NDArray[np.int64] | None
    asked: Mapping[str, Any]

    @classmethod
    def of(cls, run: xr.Dataset) -> Stability:
        """What a run knows of its stability, from the dataset that `refold.open_run` gives."""
        asked = json.loads(run.attrs["stages"])["stability"]["notes"]
        sizes = run["cluster_size"].values if "cluster_size" in run else None
        return cls(run[list(_MAPS)], run[list(_TABLES)].load(), sizes, asked)

    @property
    def ari(self) -> npt.NDArray[np.float64]:
        """Adjusted Rand index of each repeat and the run, over all valid pixels; noise is a cluster like any other."""
        return np.asarray(self.tables["repeat_ari"].values)

    @property
    def pairwise_ari(self) -> npt.NDArray[np.float64]:
        """Adjusted Rand index of each two repeats."""
        return np.asarray(self.tables["pairwise_ari"].values)

    @property
    def jaccard(self) -> xr.Dataset:
        """For each cluster the ``mean`` and the ``lowest`` Jaccard index over the repeats."""
        every = self.tables["cluster_jaccard"]
        return xr.Dataset({"mean": every.mean("repeat"), "lowest": every.min("repeat")})

    @property
    def agreement(self) -> float:
        """Mean of the stability over all valid pixels."""
        pixels = self.tables["agreeing_pixels"].values
        return float(pixels @ np.arange(pixels.size) / max(1, pixels.sum()) / (pixels.size - 1))

    @property
    def doubtful(self) -> float:
        """Share of the valid pixels of which fewer than half of the repeats agree."""
        pixels = self.tables["agreeing_pixels"].values
        return float(pixels[2 * np.arange(pixels.size) < pixels.size - 1].sum() / max(1, pixels.sum()))

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        steadiness, known = self.tables["cluster_stability"].values, self.jaccard
        clusters = [
            {
                "cluster": at,
                "pixels": None if self.sizes is None else int(self.sizes[at]),
                "stability": _number(steadiness[at]),
                "jaccard_mean": _number(known["mean"].values[at]),
                "jaccard_lowest": _number(known["lowest"].values[at]),
            }
            for at in range(steadiness.size)
        ]
        return {
            **self.asked,
            "agreement": self.agreement,
            "doubtful": self.doubtful,
            "ari": self.ari.tolist(),
            "pairwise_ari": self.pairwise_ari.tolist(),
            "clusters_in_repeats": self.tables["repeat_clusters"].values.tolist(),
            "clusters": clusters,
        }

    def __str__(self) -> str:
        facts, ari = self.as_dict(), _spread(self.ari)
        changed = [{"seed": "other seeds", "landmarks": "other landmarks"}[name] for name in self.asked["vary"]]
        changed += [f"{percent(self.asked['dose'])} of the dose"] if self.asked["dose"] is not None else []
        others = self.pairwise_ari[np.triu_indices(len(self.ari), 1)]
        found = _spread(self.tables["repeat_clusters"].values)
        lines = [
            f"{plural(len(self.ari), 'repeat')} with {', '.join(changed)}",
            f"  labels     {percent(self.agreement)} agree with the run's",
            f"  pixels     {percent(self.doubtful)} are doubtful: fewer than half of the repeats agree",
            f"  ARI        {ari} to the run" + (f", {_spread(others)} to each other" if others.size else ""),
            f"  clusters   {found} in the repeats, {len(facts['clusters'])} in the run",
            "",
            "  cluster      pixels   stability   Jaccard mean   lowest",
        ]
        return "\n".join(lines + [_row(entry) for entry in facts["clusters"]])


def _row(entry: Mapping[str, Any]) -> str:
    pixels = "–" if entry["pixels"] is None else count(entry["pixels"])
    mean = entry["jaccard_mean"]
    word = "" if mean is None or mean >= _STABLE else "   dissolved" if mean < _DISSOLVED else "   unsure"
    numbers = [entry["stability"], mean, entry["jaccard_lowest"]]
    stability, mean_text, lowest = ("–" if number is None else f"{number:.2f}" for number in numbers)
    return f"  {entry['cluster']:>7}  {pixels:>10}   {stability:>9}   {mean_text:>12}   {lowest:>6}{word}"


def _spread(values: npt.NDArray[Any]) -> str:
    """Median, and in brackets the smallest and the largest, if they are others."""
    digits = 0 if values.dtype.kind in "iu" else 3
    low, middle, high = (f"{value:.{digits}f}" for value in (values.min(), np.median(values), values.max()))
    return middle if low == high else f"{middle} ({low} … {high})"


def _number(value: Any) -> float | None:
    """JSON has no NaN."""
    return None if np.isnan(value) else float(value)


def tables_to_dataset(
    tables: Mapping[tuple[int, int], npt.NDArray[np.int64]],
    agreeing: npt.NDArray[np.int64],
    clusters: Sequence[int],
) -> xr.Dataset:
    """Turn what a sweep counted into the declared variables.

    Parameters
    ----------
    tables : mapping
        Contingency table of each two labellings, in the run's numbers; labelling 0 is the run.
    agreeing : ndarray of int64, shape (repeats + 1,)
        Pixels by the number of repeats that agree with the run.
    clusters : sequence of int
        Clusters found in each repeat.

    Returns
    -------
    xarray.Dataset
        The numbers of a `Stability`.
    """
    n = len(clusters)
    own = [tables[0, at] for at in range(1, n + 1)]
    n_clusters = own[0].shape[0] - 1
    pairwise = np.eye(n)
    for (one, other), table in tables.items():
        if one:
            pairwise[one - 1, other - 1] = pairwise[other - 1, one - 1] = adjusted_rand_index(table)
    sizes = own[0].sum(axis=1)[:-1]
    kept = sum(np.diagonal(_square(table, n_clusters)) for table in own)
    with np.errstate(invalid="ignore"):
        steadiness = (kept / (n * sizes)).astype(np.float32)
    every = np.stack([jaccard(table, np.arange(table.shape[1])) for table in own]).astype(np.float32)
    found = {
        "agreeing_pixels": ("agreeing", agreeing),
        "repeat_clusters": ("repeat", np.asarray(clusters, np.int64)),
        "repeat_ari": ("repeat", np.array([adjusted_rand_index(table) for table in own])),
        "pairwise_ari": (("repeat", "other_repeat"), pairwise),
        "cluster_jaccard": (("repeat", "cluster"), every),
        "cluster_stability": ("cluster", steadiness),
    }
    return xr.Dataset(found, coords={"cluster": np.arange(n_clusters)})


def _square(table: npt.NDArray[np.int64], n: int) -> npt.NDArray[np.int64]:
    """Clusters only, with a column for each of the first n, also those that nothing was named after."""
    square = np.zeros((n, n), np.int64)
    width = min(n, table.shape[1] - 1)
    square[:, :width] = table[:-1, :width]
    return square
