"""Models to and from datasets and Zarr: arrays and JSON, no pickles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from refold.errors import StoreError, StoreExistsError

NOTE = "refold_model"
_ROLE_OF_COMPONENTS = {"role": "signal"}


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
        Arrays over ``component`` and the signal dims; the note as JSON in its attributes.
    """
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
    return xr.DataArray(values, dims=dims, coords=coords, name=note["signal_name"], attrs=note["signal_attrs"])


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
        If there is no Zarr group.
    """
    try:
        with xr.open_zarr(path, consolidated=False) as dataset:
            loaded: xr.Dataset = dataset.load()
    except FileNotFoundError as error:
        raise StoreError(f"no Zarr group at {path}", "the path of a saved model", "check the path") from error
    return loaded


def _plain(value: object) -> object:
    """Numbers and arrays of NumPy as JSON can hold them; anything else as text."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)
