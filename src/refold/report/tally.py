"""Who is in which cluster: one pass over the labels, tile by tile, that every figure and table shares."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from refold.errors import VariableError
from refold.report.colours import palette
from refold.report.views import Panel, load, panels, thin, tiles

__all__ = ["Tally", "navigation_of", "validity_of"]

_LETTERS = 24  # of a name, in a figure


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of a label map.

    Attributes
    ----------
    ids : tuple of int
        Clusters, as `labels` numbers them.
    sizes : tuple of int
        Pixels of each.
    colours : tuple of str
        Colour of each.
    confidence : tuple of float
        Mean probability of each; NaN where there is none.
    noise, invalid, pixels : int
        Pixels in no cluster, pixels that could not be used, and all.
    names : tuple of str
        What each was called by hand; empty where it is called by its number.
    """

    ids: tuple[int, ...]
    sizes: tuple[int, ...]
    colours: tuple[str, ...]
    confidence: tuple[float, ...]
    noise: int
    invalid: int
    pixels: int
    names: tuple[str, ...] = ()

    @property
    def usable(self) -> int:
        """Pixels that could be labelled."""
        return self.pixels - self.invalid

    @property
    def noise_share(self) -> float:
        """Noise among the usable pixels; 0 if there are none."""
        return self.noise / self.usable if self.usable else 0.0

    def share(self, position: int) -> float:
        """Share of a cluster, by its position in `ids`, among the usable pixels."""
        return self.sizes[position] / self.usable if self.usable else 0.0

    def name(self, position: int) -> str:
        """Name of a cluster, by its position in `ids`; empty where it is called by its number."""
        return self.names[position] if self.names else ""

    def title(self, position: int) -> str:
        """Number of a cluster and the beginning of its name, as Matplotlib writes it: a dollar begins no formula."""
        name = self.name(position)
        name = name if len(name) <= _LETTERS else f"{name[: _LETTERS - 1]}…"
        return f"{self.ids[position]}  {name}".rstrip().replace("$", r"\$")

    @classmethod
    def of(cls, dataset: xr.Dataset) -> Tally:
        """Count the labels of a run.

        Parameters
        ----------
        dataset : xarray.Dataset
            With `labels`, and `probability`, `residual`, `cluster_size`, `cluster_name` and `cluster_colour` if they
            are there.

        Returns
        -------
        Tally

        Raises
        ------
        VariableError
            If there are no labels, or they are not whole numbers.
        """
        labels = labels_of(dataset)
        ids = _known(dataset)
        validity = validity_of(dataset)
        probability = dataset.get("probability")
        counts: dict[int, int] = dict.fromkeys(ids, 0)
        belief: dict[int, float] = dict.fromkeys(ids, 0.0)
        invalid = 0
        shape = tuple(labels.sizes.values())
        for tile in tiles(shape):
            where = dict(zip(labels.dims, tile, strict=True))
            part = load(labels.isel(where)).astype(np.int64).ravel()
            unique, inverse, number = np.unique(part, return_inverse=True, return_counts=True)
            weights = None if probability is None else _flat(probability, labels, where)
            total = np.bincount(inverse, weights=weights, minlength=len(unique))
            for i, label in enumerate(unique):
                counts[int(label)] = counts.get(int(label), 0) + int(number[i])
                belief[int(label)] = belief.get(int(label), 0.0) + float(total[i])
            if validity is not None:
                invalid += int((np.isnan(_flat(validity, labels, where)) & (part < 0)).sum())
        ids = tuple(sorted(label for label in counts if label >= 0))
        sizes = tuple(counts[i] for i in ids)
        confidence = tuple(
            belief[i] / counts[i] if probability is not None and counts[i] else float("nan") for i in ids
        )
        noise = sum(number for label, number in counts.items() if label < 0) - invalid
        chosen = _written(dataset, "cluster_colour")
        colours = tuple(chosen.get(i, colour) for i, colour in zip(ids, palette(len(ids)), strict=True))
        given = _written(dataset, "cluster_name")
        names = tuple("" if (name := given.get(i, "")) == f"cluster {i}" else name for i in ids)
        return cls(ids, sizes, colours, confidence, noise, invalid, prod(shape), names)


def labels_of(dataset: xr.Dataset) -> xr.DataArray:
    """Find the labels of a run."""
    if "labels" not in dataset:
        raise VariableError(
            found=f"a dataset of {', '.join(map(str, dataset.data_vars)) or 'no variables'}",
            wanted="a run with the variable labels",
            remedy="Let the run finish: start it again and it goes on. Then give what refold.open_run returns.",
        )
    labels = dataset["labels"]
    if labels.dtype.kind not in "iu" or labels.ndim == 0 or labels.size == 0:
        raise VariableError(
            found=f"labels of dtype {labels.dtype} and shape {labels.shape}",
            wanted="whole numbers on one or more navigation dims, none of them empty",
            remedy="Take the labels from refold.open_run, or cast them with .astype('int32').",
        )
    return labels


def navigation_of(dataset: xr.Dataset) -> tuple[str, ...]:
    """Navigation dims of a run: those of its labels."""
    return tuple(str(d) for d in labels_of(dataset).dims)


def validity_of(dataset: xr.Dataset) -> xr.DataArray | None:
    """Find a variable that is NaN just where a pixel could not be used.

    The residual is, unless it was not computed; a variable that is NaN under a label says nothing and is passed over.
    """
    labels = labels_of(dataset)
    for name in ("residual", "embedding", "scores"):
        if name not in dataset:
            continue
        found = dataset[name]
        found = found.isel({d: 0 for d in found.dims if d not in labels.dims})
        if set(found.dims) != set(labels.dims):
            continue
        found = found.transpose(*labels.dims)
        if not any(_missing_under_label(found, labels, panel) for panel in panels(labels)):
            return found
    return None


def _missing_under_label(array: xr.DataArray, labels: xr.DataArray, panel: Panel) -> bool:
    labelled = thin(labels, panel, 256).astype(np.int64) >= 0
    return bool(np.isnan(thin(array, panel, 256).astype(np.float64)[labelled]).any())


def clusters_of(array: xr.DataArray) -> tuple[int, ...]:
    """Numbers of the clusters along the dim `cluster`: its coordinate, or 0, 1, 2, ..."""
    coordinate = array.coords.get("cluster")
    if coordinate is not None and coordinate.dtype.kind in "iu":
        return tuple(int(i) for i in coordinate.values)
    return tuple(range(array.sizes["cluster"]))


def _known(dataset: xr.Dataset) -> tuple[int, ...]:
    """Clusters the run declares, so that one without a pixel is still shown."""
    means = sorted(str(name) for name in dataset.data_vars if str(name).startswith("cluster_mean"))
    for name in ("cluster_size", *means, "cluster_name"):
        if name in dataset and "cluster" in dataset[name].dims:
            return clusters_of(dataset[name])
    return ()


def _written(dataset: xr.Dataset, name: str) -> dict[int, str]:
    """Texts that edits by hand gave to clusters, by number."""
    if name not in dataset or dataset[name].dims != ("cluster",):
        return {}
    return dict(zip(clusters_of(dataset[name]), map(str, dataset[name].values), strict=True))


def _flat(array: xr.DataArray, labels: xr.DataArray, where: dict[object, slice]) -> NDArray[np.float64]:
    part = array.isel({d: s for d, s in where.items() if d in array.dims}).transpose(*labels.dims)
    return load(part).astype(np.float64).ravel()
