"""What a finished run holds, as its repeats need it: on the grid where it was found, in the words of the models."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
import zarr

from refold.errors import DataError, StoreError
from refold.recipe import Recipe
from refold.reduce import PCA
from refold.store import RunStore, StageRecord, path_of

# Groups of a run's store, as the stages leave them.
_FEATURES, _FUSED, _REDUCE, _EMBED, _CLUSTER, _BINNED = (
    f"stages/{name}" for name in ("features", "fuse", "reduce", "embed", "cluster", "binned")
)
_NEEDED = ("embed", "cluster", "labels")


class Marks:
    """Landmarks as `refold.backproject` takes them, with what each stands for.

    Parameters
    ----------
    pixels, rows, weights : ndarray
        Flat indices, ascending; scores; pixels that each stands for.
    """

    def __init__(self, pixels: npt.NDArray[Any], rows: npt.NDArray[Any], weights: npt.NDArray[Any]) -> None:
        self.pixels_ = np.asarray(pixels, np.int64)
        self.rows_ = np.ascontiguousarray(rows, np.float32)
        self.weights_ = np.asarray(weights, np.float64)


class FinishedRun:
    """A run whose labels are there.

    Parameters
    ----------
    run : path-like or xarray.Dataset
        Its store, or what `refold.open_run` made of it.

    Raises
    ------
    StoreError
        If there is no run, or it was stopped before its labels were written.
    ParameterError
        If a dataset does not say which store it is of.
    """

    def __init__(self, run: Any) -> None:
        self.store = RunStore.open(path_of(run))
        missing = [name for name in _NEEDED if name not in self.records]
        if missing:
            raise StoreError(
                f"{self.store.path} without its {', '.join(missing)}", "a finished run", "finish it with refold.run"
            )

    @property
    def records(self) -> dict[str, StageRecord]:
        """Its finished stages."""
        return self.store.records

    @cached_property
    def recipe(self) -> Recipe:
        """How it was made."""
        return Recipe.from_toml(self.store.note["recipe"])

    @cached_property
    def scores(self) -> xr.DataArray:
        """Every pixel in the space that landmarks were drawn in, lazily: its scores, or features that none reduced."""
        return self.store.read(_REDUCE)["scores"] if "reduce" in self.records else self.store.read(_FUSED)["features"]

    @cached_property
    def labels(self) -> zarr.Array[Any]:
        """Cluster of every pixel, on the grid of the scores."""
        binned = _BINNED in self.records["labels"].holds
        return self.store.array(_BINNED if binned else "", "labels")

    @cached_property
    def n_clusters(self) -> int:
        """Clusters found."""
        return self.store.read(_CLUSTER).sizes["cluster"]

    @cached_property
    def marks(self) -> Marks:
        """Its landmarks."""
        kept = self.store.read(_EMBED)
        return Marks(*(kept[f"landmark_{name}"].values for name in ("pixel", "scores", "weight")))

    @cached_property
    def mark_labels(self) -> npt.NDArray[np.int32]:
        """Cluster of each landmark."""
        return np.asarray(self.store.read(_CLUSTER)["landmark_label"].values, np.int32)

    def model(self) -> PCA:
        """The components that the scores are along."""
        return PCA.load(self.store.path / _REDUCE / "model")

    def counts(self, scan: xr.DataArray | None) -> xr.DataArray:
        """What the scores were projected from: the features as they were written, or the scan as it is given.

        Raises
        ------
        DataError
            If the run keeps no features and no scan is given, or the recipe made something else of the counts.
        """
        prepare = self.recipe.prepare
        changed = prepare.log1p or prepare.normalise or (prepare.rebin and prepare.rebin_how == "mean")
        if changed or "fuse" in self.records or "reduce" not in self.records:
            raise DataError(
                "scores of what are no counts: the recipe takes logarithms, means or shares of them, or makes features",
                "components of counts, which alone can be thinned",
                "leave dose out, or make a run whose recipe only crops, masks and rebins",
            )
        if "features" in self.records:
            return self.store.read(_FEATURES)["features"]
        if scan is None:
            raise DataError(
                f"{self.store.path}, which keeps no features",
                "the counts that the run learnt from",
                "pass the scan as scan=…, or make the run with features=True",
            )
        return scan
