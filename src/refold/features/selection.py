"""What selections of signal pixels have in common: one sweep of moments, a mask, and the way back to the signal."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import xarray as xr
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from refold.cube import check_cube, n_features, signal_dims, signal_shape
from refold.engine import Moments, MomentsResult, sweep
from refold.errors import CubeError, DataError, ParameterError, StoreError
from refold.features.counts import Counts
from refold.features.rows import feature_coords, lay

Mask = npt.NDArray[np.bool_]
_NOTE = "refold_selection"


class Selection(BaseEstimator):  # type: ignore[misc] # scikit-learn ships no types
    """Signal pixels chosen by the moments of their values; see `DeviationSelection` and `ChannelSelection`."""

    log: bool = False
    _clip = True  # values at zero
    _fitted: ClassVar[dict[str, Callable[[Any], Any]]] = {}  # besides the images: how each is read from JSON

    mask_: xr.DataArray
    deviation_: xr.DataArray
    mean_: xr.DataArray
    n_features_: int

    def visitors(self, cube: xr.DataArray) -> tuple[Moments, ...]:
        """What must see the cube, in one sweep.

        Parameters
        ----------
        cube : xarray.DataArray
            What will be fitted: its shape and dtype are looked at.

        Returns
        -------
        tuple of Moments
            Of the values that `transform` gives.
        """
        cube = check_cube(cube)
        counts = Counts(cube.dtype, self.log, self._clip)
        return (Moments(n_features=n_features(cube), of=counts if counts.changes else None),)

    def settle(self, cube: xr.DataArray, results: tuple[MomentsResult, ...]) -> Self:
        """Choose, once the visitors have seen the cube.

        Parameters
        ----------
        cube : xarray.DataArray
            The cube.
        results : tuple
            Of the visitors, in their order.

        Returns
        -------
        Selection
            Itself.

        Raises
        ------
        DataError
            If no pixel of the scan is valid, or nothing is left to choose.
        """
        cube, (moments,) = check_cube(cube), results
        if moments.count == 0:
            raise DataError("no pixel whose signal is finite", "at least one", "mask dead channels with refold.mask")
        self.mean_ = _image(cube, moments.mean, "mean", "mean", log=self.log)
        self.deviation_ = _image(cube, np.sqrt(moments.variance), "deviation", "standard deviation", log=self.log)
        varies = (moments.maximum > moments.minimum).reshape(signal_shape(cube))
        mask = self._choose(cube, varies)
        self.n_features_ = int(mask.sum())
        if not self.n_features_:
            raise DataError("no channel that varies among those allowed", "at least one", "allow more: see the options")
        self.mask_ = _image(cube, mask, "mask", "kept")
        return self

    def fit(self, cube: xr.DataArray, y: object = None) -> Self:
        """Choose signal pixels, in one sweep.

        Parameters
        ----------
        cube : xarray.DataArray
            A cube, lazy or not. Pixels of the scan with a value that is not finite are left out.
        y : None
            Ignored.

        Returns
        -------
        Selection
            Itself.

        Raises
        ------
        DataError
            If no pixel of the scan is valid, or nothing is left to choose.
        ParameterError
            If an option has a value that it cannot have for this cube.
        """
        cube = check_cube(cube)
        return self.settle(cube, sweep(cube, *self.visitors(cube), label="features"))

    def transform(self, cube: xr.DataArray) -> xr.DataArray:
        """Keep the signal pixels chosen.

        Parameters
        ----------
        cube : xarray.DataArray
            A cube with the signal that was fitted.

        Returns
        -------
        xarray.DataArray
            ``(*navigation, feature)``, as lazy as the cube: the values in the C order of the signal. Where they were
            in the signal stands beside ``feature``, under the names of the signal dims.

        Raises
        ------
        CubeError
            If the signal is another.
        """
        check_is_fitted(self, "mask_")
        cube = check_cube(cube)
        self._check_signal(cube)
        counts = Counts(cube.dtype, self.log, self._clip)
        chosen = np.flatnonzero(self.mask_.values)
        places = np.unravel_index(chosen, self.mask_.shape)
        others = {}
        for dim, at in zip(signal_dims(cube), places, strict=True):
            attrs = {key: value for key, value in cube[dim].attrs.items() if key != "role"}
            others[dim] = (cube[dim].values[at], attrs)
        attrs = {key: value for key, value in cube.attrs.items() if not (self.log and key == "units")}
        coords, dims = feature_coords(self.n_features_, **others), {"feature": self.n_features_}
        return lay(cube, _Kept(chosen, counts), coords, dims, counts.dtype, attrs)

    def fold(self, values: Any) -> xr.DataArray:
        """Put what belongs to the features back on the signal.

        Parameters
        ----------
        values : xarray.DataArray or array_like
            With a dim ``feature`` (for other arrays: the last one), such as loadings, means, or the cube of features
            itself.

        Returns
        -------
        xarray.DataArray
            The signal dims in the place of ``feature``, NaN outside of the mask; as lazy as the values.

        Raises
        ------
        ParameterError
            If there are not as many features as were chosen.
        """
        check_is_fitted(self, "mask_")
        if not isinstance(values, xr.DataArray):
            values = np.asarray(values)
            values = xr.DataArray(values, dims=[f"dim_{at}" for at in range(values.ndim - 1)] + ["feature"])
        if values.sizes.get("feature") != self.n_features_:
            found = f"values with sizes {dict(values.sizes)}"
            raise ParameterError(found, f"{self.n_features_} along 'feature'", "fold what this selection transformed")
        mask = self.mask_.values
        place = np.zeros(mask.shape, np.int64)
        place[mask] = np.arange(self.n_features_)
        dims = self.mask_.dims
        bare = values.drop_vars([name for name, coord in values.coords.items() if "feature" in coord.dims])
        spread: xr.DataArray = bare.isel(feature=xr.DataArray(place, dims=dims)).where(xr.DataArray(mask, dims=dims))
        order = [other for dim in values.dims for other in (dims if dim == "feature" else (dim,))]
        spread = spread.assign_coords({str(dim): self.mask_[dim] for dim in dims})
        return spread.transpose(*order)

    def to_dataset(self) -> xr.Dataset:
        """The fitted selection as a dataset: arrays, and JSON in its attributes.

        Returns
        -------
        xarray.Dataset
            What `from_dataset` takes: ``mask``, ``deviation`` and ``mean`` over the signal dims.
        """
        check_is_fitted(self, "mask_")
        fitted = {name: getattr(self, name) for name in self._fitted}
        note = {"model": type(self).__name__, "parameters": self.get_params(deep=False), "fitted": fitted}
        images = {"mask": self.mask_, "deviation": self.deviation_, "mean": self.mean_}
        return xr.Dataset(images, attrs={_NOTE: json.dumps(note, default=_plain)})

    @classmethod
    def from_dataset(cls, dataset: xr.Dataset) -> Self:
        """Take up a selection from the dataset that `to_dataset` made.

        Parameters
        ----------
        dataset : xarray.Dataset
            In memory, or opened from a store.

        Returns
        -------
        Selection
            Fitted; it transforms and folds as the one that was saved.

        Raises
        ------
        StoreError
            If the dataset is something else.
        """
        note = json.loads(dataset.attrs.get(_NOTE, "{}"))
        if note.get("model") != cls.__name__:
            found = f"a dataset of {note.get('model', 'no selection')}"
            raise StoreError(found, f"one of {cls.__name__}", "read it with the class that made it")
        model = cls(**note["parameters"])
        for name, read in cls._fitted.items():
            setattr(model, name, read(note["fitted"][name]))
        model.mask_, model.deviation_, model.mean_ = (dataset[name].load() for name in ("mask", "deviation", "mean"))
        model.n_features_ = int(model.mask_.sum())
        return model

    @abstractmethod
    def _choose(self, cube: xr.DataArray, varies: Mask) -> Mask:
        """Tell which signal pixels to keep, of those that vary at all; over the signal dims."""

    def _check_signal(self, cube: xr.DataArray) -> None:
        found, wanted = (dict(zip(a.dims, a.shape, strict=True)) for a in (cube.isel(_corner(cube)), self.mask_))
        if found != wanted:
            raise CubeError(f"signal {found}", f"{wanted}, as was fitted", "prepare both cubes in the same way")


@dataclass(frozen=True)
class _Kept:
    """Values of chosen signal pixels of some rows."""

    chosen: npt.NDArray[np.int64]
    counts: Counts

    def __call__(self, rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return self.counts.of(np.take(rows.reshape(len(rows), -1), self.chosen, axis=1))


def strongest(values: npt.NDArray[np.float64], allowed: Mask, n: int) -> Mask:
    """Mark the largest values among those allowed; of equal ones those that come first.

    Parameters
    ----------
    values : numpy.ndarray
        Of any shape.
    allowed : numpy.ndarray
        Of the same shape.
    n : int
        How many, if there are so many.

    Returns
    -------
    numpy.ndarray
        Of the same shape.
    """
    ranked = np.argsort(np.where(allowed, -values, np.inf), axis=None, kind="stable")[: min(n, int(allowed.sum()))]
    mask = np.zeros(allowed.size, dtype=bool)
    mask[ranked] = True
    return mask.reshape(allowed.shape)


def share_of(name: str, value: Any) -> float:
    """Read a share.

    Parameters
    ----------
    name : str
        Of the option.
    value : float
        Above 0 and up to 1.

    Returns
    -------
    float
        The share.

    Raises
    ------
    ParameterError
        If it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 < value <= 1:
        raise ParameterError(f"{name}={value!r}", "a share above 0 and up to 1", f"try {name}=0.4")
    return float(value)


def _plain(value: Any) -> Any:
    """NumPy's numbers as JSON has them."""
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else str(value)


def _corner(cube: xr.DataArray) -> dict[Any, int]:
    return {dim: 0 for dim in cube.dims if dim not in signal_dims(cube)}


def _image(cube: xr.DataArray, values: npt.NDArray[Any], name: str, meaning: str, *, log: bool = False) -> xr.DataArray:
    """Values over the signal dims, with the cube's coordinates."""
    dims = signal_dims(cube)
    coords = {key: coord for key, coord in cube.coords.items() if set(coord.dims) <= set(dims) and coord.dims}
    attrs = {"long_name": f"{meaning} of log(1 + counts)" if log else meaning}
    if "units" in cube.attrs and not log and values.dtype.kind == "f":
        attrs["units"] = cube.attrs["units"]
    return xr.DataArray(values.reshape(signal_shape(cube)), coords, dims, name, attrs)
