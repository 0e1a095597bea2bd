"""Open a run as one Dataset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import xarray as xr

from refold.cube import declared, to_full_grid
from refold.errors import ParameterError
from refold.store.run import RunStore

# Where each stage leaves what readers want, in the order in which a name is looked for.
_GROUPS = {
    "labels": "",
    "statistics": "",
    "reduce": "stages/reduce",
    "embed": "stages/embed",
    "cluster": "stages/cluster",
    "stability": "stages/stability",
}


def open_run(path: str | Path) -> xr.Dataset:
    """Open a run: every result of its finished stages, lazily, on the scan's own grid and coordinates.

    Parameters
    ----------
    path : path-like
        The run's store.

    Returns
    -------
    xarray.Dataset
        ``labels``, ``probability``, ``scores``, ... as declared in `refold.cube.VARIABLES`. Results that were found
        on a coarser navigation grid are given to every pixel by coordinate. The attributes hold ``recipe`` (TOML) and
        ``source``, ``stages``, ``plan``, ``versions`` (JSON).

    Raises
    ------
    StoreError
        If there is no run.

    Examples
    --------
    >>> import refold
    >>> refold.open_run("scan.run.zarr").labels.plot()  # doctest: +SKIP
    """
    store = RunStore.open(path)
    note = store.note
    finished = [(stage, group) for stage, group in _GROUPS.items() if stage in note["stages"]]
    whole = xr.Dataset()
    for group in dict.fromkeys(group for _, group in finished):
        part = store.read(group)
        part = part[[name for name in part.data_vars if declared(str(name))]]  # of a model only what it found
        if not whole.coords:
            whole = part
            continue
        new = part.drop_vars([name for name in part.data_vars if name in whole])
        whole = whole.merge(_on_grid(new, whole), compat="override", join="outer")
    whole.attrs = {
        "recipe": note.get("recipe", ""),
        **{name: json.dumps(note.get(name, {})) for name in ("source", "stages", "plan", "versions", "measured")},
    }
    whole.encoding["source"] = str(store.path)  # for whoever needs more of the run than a dataset can hold
    return whole


def _on_grid(part: xr.Dataset, whole: xr.Dataset) -> xr.Dataset:
    """Bring results of a coarser navigation grid to that of the answer."""
    coarser = [dim for dim in part.dims if dim in whole.sizes and part.sizes[dim] != whole.sizes[dim]]
    return to_full_grid(part, {dim: whole[dim] for dim in coarser}) if coarser else part


def open_model(run: xr.Dataset) -> xr.Dataset | None:
    """Open the model that reduced the features of a run, in full precision.

    Parameters
    ----------
    run : xarray.Dataset
        From `open_run`.

    Returns
    -------
    xarray.Dataset or None
        ``components``, ``mean``, ``scale``, ``explained_variance``, ...; none where nothing was reduced, or the run's
        store is not known any more.
    """
    place = Path(run.encoding.get("source", "")) / _GROUPS["reduce"] / "model"
    if not run.encoding.get("source") or not place.is_dir():
        return None
    model: xr.Dataset = xr.open_zarr(place, consolidated=False, chunks={})
    return model


def path_of(run: Any) -> Path:
    """Where the store of a run is.

    Parameters
    ----------
    run : path-like or xarray.Dataset
        The place itself, or what `refold.open_run` or `refold.run` gave; of a selection, the whole run's.

    Raises
    ------
    ParameterError
        If a dataset does not say which store it is of.
    """
    if not isinstance(run, xr.Dataset):
        return Path(run)
    if "source" not in run.encoding:
        raise ParameterError(
            "a dataset that does not say which store it is of",
            "a run as refold.open_run gives it, or its path",
            "pass the path: what is computed from a run is another dataset",
        )
    return Path(run.encoding["source"])
