"""Models to and from datasets and Zarr: arrays and JSON, no pickles."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import xarray as xr
from sklearn.utils.validation import check_is_fitted

from refold.errors import StoreError, StoreExistsError

NOTE = "refold_model"
_ROLE_OF_COMPONENTS = {"role": "signal"}


class Saved:
    """A model that can be kept: it declares what it is made of, and takes up from that what follows from it."""

    _arrays: ClassVar[Mapping[str, tuple[str, ...]]] = {}  # by name, less the underscore: dims of what was fitted
    _facts: ClassVar[tuple[str, ...]] = ()  # attributes that JSON can hold

    _signal: xr.DataArray
    _dtype: np.dtype[Any]
    n_features_in_: int

    def to_dataset(self) -> xr.Dataset:
        """The fitted model as a dataset: arrays, and JSON in its attributes.

        Returns
        -------
        xarray.Dataset
            What `from_dataset` takes. Components have the dims and coordinates of the signal that was fitted; where
            one has the name of a dim or variable of the model, it gets another: ``component_of_signal``.
        """
        check_is_fitted(self)
        note = {
            "parameters": self._told(),
            "fitted": {name: getattr(self, name) for name in self._facts},
            "dtype": self._dtype.name,
            "feature_names": getattr(self, "feature_names_in_", None),
        }
        arrays = {name: (dims, getattr(self, f"{name}_")) for name, dims in self._arrays.items()}
        return to_dataset(self, arrays, self._signal, note)

    @classmethod
    def from_dataset(cls, dataset: xr.Dataset) -> Self:
        """Take up a model from the dataset that `to_dataset` made.

        Parameters
        ----------
        dataset : xarray.Dataset
            In memory, or opened from a store.

        Returns
        -------
        Saved
            Fitted, of this class; its scores are those of the model that was saved, to the last bit.

        Raises
        ------
        StoreError
            If the dataset is something else.
        """
        note = read_note(dataset, cls.__name__)
        model = cls(**note["parameters"])
        for name, value in note["fitted"].items():
            setattr(model, name, value)
        if note["feature_names"] is not None:
            model.feature_names_in_ = np.array(note["feature_names"], dtype=object)  # type: ignore[attr-defined] # as scikit-learn does
        for name, dims in cls._arrays.items():
            shape = [model.n_features_in_ if dim == "feature" else -1 for dim in dims]
            value = dataset[name].values if name in dataset else None
            setattr(model, f"{name}_", value.reshape(shape) if "feature" in dims and value is not None else value)
        model._signal, model._dtype = signal_of(dataset, note), np.dtype(note["dtype"])
        model._take_up(dataset)
        return model

    def _told(self) -> dict[str, Any]:
        """Parameters that JSON can hold."""
        parameters: dict[str, Any] = self.get_params(deep=False)  # type: ignore[attr-defined] # of an estimator
        seed = parameters.get("random_state")
        if not isinstance(seed, int | None):
            parameters["random_state"] = int(seed) if isinstance(seed, np.integer) else None
        return parameters

    def _take_up(self, dataset: xr.Dataset) -> None:
        """Make what follows from the arrays, as the last step of being read."""
        raise NotImplementedError

    def save(self, path: str | Path) -> None:
        """Write the fitted model as a Zarr group.

        Parameters
        ----------
        path : str or pathlib.Path
            Folder to make.

        Raises
        ------
        StoreExistsError
            If there is something already.
        """
        write(self.to_dataset(), path)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a model that `save` wrote.

        Parameters
        ----------
        path : str or pathlib.Path
            The folder.

        Returns
        -------
        Saved
            Fitted, of this class.

        Raises
        ------
        StoreError
            If there is no such model.
        """
        return cls.from_dataset(read(path))


def to_dataset(model: Any, arrays: dict[str, Any], signal: xr.DataArray, note: dict[str, Any]) -> xr.Dataset:
    """Lay out a model's arrays as a dataset.

    Parameters
    ----------
    model : object
        Its class names the model.
    arrays : dict of str to numpy.ndarray
        Each of shape (component,), (feature,) or (component, feature), by the dims given with it; None is left out.
    signal : xarray.DataArray
        Signal side of the cube that was fitted.
    note : dict
        What JSON can hold of the rest.

    Returns
    -------
    xarray.Dataset
        Arrays over ``component`` and the signal dims, renamed as by `beside`; the note as JSON in its attributes.
    """
    own = {dim for dims, _ in arrays.values() for dim in dims if dim != "feature"}
    signal, names = beside(signal, {"component", *own, *arrays})
    variables: dict[str, Any] = {}
    for name, (dims, array) in arrays.items():
        if array is not None:
            shape = tuple(size for dim in dims for size in (signal.shape if dim == "feature" else (array.shape[0],)))
            named = tuple(word for dim in dims for word in (map(str, signal.dims) if dim == "feature" else (dim,)))
            variables[name] = (named, np.asarray(array).reshape(shape))
    count = len(arrays["components"][1])
    coords = {**signal.coords, "component": ("component", np.arange(count), _ROLE_OF_COMPONENTS)}
    told = {
        "model": type(model).__name__,
        "signal_dims": [str(dim) for dim in signal.dims],
        "signal_names": names,
        "signal_name": signal.name,
        "signal_attrs": signal.attrs,
        **note,
    }
    return xr.Dataset(variables, coords=coords, attrs={NOTE: json.dumps(told, default=_plain)})


def read_note(dataset: xr.Dataset, model: str) -> dict[str, Any]:
    """Note of a dataset that `to_dataset` made.

    Parameters
    ----------
    dataset : xarray.Dataset
        Hopefully a model.
    model : str
        Name of the class that it should hold.

    Returns
    -------
    dict
        The note.

    Raises
    ------
    StoreError
        If it is something else.
    """
    note: dict[str, Any] = json.loads(dataset.attrs.get(NOTE, "{}"))
    if note.get("model") != model:
        raise StoreError(
            f"a dataset that holds {note.get('model') or 'no model'}",
            f"one made by {model}.to_dataset",
            "give the path that the model was saved to",
        )
    return note


def signal_of(dataset: xr.Dataset, note: dict[str, Any]) -> xr.DataArray:
    """Signal side of the cube that a saved model was fitted on."""
    dims = note["signal_dims"]
    coords = {name: coord for name, coord in dataset.coords.items() if set(coord.dims) <= set(dims)}
    values = np.broadcast_to(np.zeros((), dtype=np.float32), tuple(dataset.sizes[dim] for dim in dims))
    signal = xr.DataArray(values, dims=dims, coords=coords, name=note["signal_name"], attrs=note["signal_attrs"])
    return signal.rename(note.get("signal_names", {}))


def beside(signal: xr.DataArray, taken: Collection[str]) -> tuple[xr.DataArray, dict[str, str]]:
    """A signal that can lie in one dataset with arrays of a model: scores are a cube, too, with components as signal.

    Parameters
    ----------
    signal : xarray.DataArray
        Signal side of a cube.
    taken : collection of str
        Names that its dims and coordinates must not have.

    Returns
    -------
    signal : xarray.DataArray
        With ``component`` called ``component_of_signal``, and so on.
    names : dict of str to str
        From new names to those that it had.
    """
    clashing = sorted({str(name) for name in (*signal.dims, *signal.coords)} & set(taken))
    renamed = signal.rename({name: f"{name}_of_signal" for name in clashing})
    return renamed, {f"{name}_of_signal": name for name in clashing}


def write(dataset: xr.Dataset, path: str | Path) -> None:
    """Write a model's dataset as a Zarr group.

    Parameters
    ----------
    dataset : xarray.Dataset
        From `to_dataset`.
    path : str or pathlib.Path
        Folder to make.

    Raises
    ------
    StoreExistsError
        If there is something already.
    """
    if Path(path).exists():
        raise StoreExistsError(
            f"something at {path}", "a path that is free", "choose another path, or remove what is there"
        )
    dataset.to_zarr(path, mode="w-", zarr_format=3, consolidated=False)


def read(path: str | Path) -> xr.Dataset:
    """Read a model's dataset.

    Parameters
    ----------
    path : str or pathlib.Path
        A folder that `write` made.

    Returns
    -------
    xarray.Dataset
        In memory.

    Raises
    ------
    StoreError
        If there is no Zarr group, or it was cut short.
    """
    try:
        with xr.open_zarr(path, consolidated=False) as dataset:
            loaded: xr.Dataset = dataset.load()
    except FileNotFoundError as error:
        raise StoreError(f"no Zarr group at {path}", "the path of a saved model", "check the path") from error
    except (RuntimeError, ValueError) as error:  # of codecs, and of JSON
        raise StoreError(
            f"a model at {path} that cannot be read ({error})",
            "one as it was written",
            "take the model from a copy, or fit it again",
        ) from error
    return loaded


def _plain(value: object) -> object:
    """Numbers and arrays of NumPy as JSON can hold them; anything else as text."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)
