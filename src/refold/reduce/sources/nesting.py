"""A model within the dataset of another that started from it."""

from __future__ import annotations

import json
from typing import Any

import xarray as xr

from refold.reduce.saving import NOTE

_PREFIX = "decomposition_"


def with_base(own: xr.Dataset, base: xr.Dataset) -> xr.Dataset:
    """Put the dataset of a decomposition into that of a model.

    Parameters
    ----------
    own, base : xarray.Dataset
        As their `to_dataset` gave them.

    Returns
    -------
    xarray.Dataset
        Names of the decomposition begin with ``decomposition_``.
    """
    told = {**own.attrs, _PREFIX + NOTE: base.attrs[NOTE]}
    prefixed = {name: f"{_PREFIX}{name}" for name in (*base.data_vars, "component")}
    return own.merge(base.rename(prefixed), compat="override").assign_attrs(told)


def base_of(dataset: xr.Dataset) -> Any:
    """The decomposition that `with_base` put in, as a model.

    Parameters
    ----------
    dataset : xarray.Dataset
        As `with_base` gave it.

    Returns
    -------
    Projecting
        Fitted, of the class that it was.
    """
    import refold.reduce as room  # which imports this file

    own = dataset[[name for name in map(str, dataset.data_vars) if name.startswith(_PREFIX)]]
    names = {name: name.removeprefix(_PREFIX) for name in (*map(str, own.data_vars), f"{_PREFIX}component")}
    base = own.rename(names)
    base.attrs = {NOTE: dataset.attrs[_PREFIX + NOTE]}
    return getattr(room, json.loads(base.attrs[NOTE])["model"]).from_dataset(base)
