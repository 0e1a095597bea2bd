"""Open a run as one Dataset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import xarray as xr

from refold.cube import declared, to_full_grid
from refold.errors import ParameterError, StoreError
from refold.store.disk import stored_in
from refold.store.run import RunStore
from refold.store.saved import OWN, entry_of_clustering, places_of, record_of_labels, remedy_of

# Where each stage leaves what readers want, in the order in which a name is looked for.
_GROUPS = {
    "labels": "",
    "statistics": "",
    "reduce": "stages/reduce",
    "embed": "stages/embed",
    "cluster": "stages/cluster",
    "stability": "stages/stability",
}


def open_run(path: str | Path, clustering: str | None = None) -> xr.Dataset:
    """Open a run: every result of its finished stages, lazily, on the scan's own grid and coordinates.

    Parameters
    ----------
    path : path-like
        The run's store.
    clustering : str, optional
        A clustering that `refold.recluster` has kept with the run: its labels, probabilities, memberships and mean
        signals take the place of the run's own. By default, and for ``"run"``, these.

    Returns
    -------
    xarray.Dataset
        ``labels``, ``probability``, ``scores``, ... as declared in `refold.cube.VARIABLES`. Results that were found
        on a coarser navigation grid are given to every pixel by coordinate. The attributes hold ``recipe`` (TOML) and
        ``source``, ``stages``, ``plan``, ``versions`` (JSON); of a saved clustering its name as ``clustering``, and the
        recipe that would have made it.

    Raises
    ------
    StoreError
        If there is no run, no such clustering, or what is kept of it is not as it was written.

    Examples
    --------
    >>> import refold
    >>> refold.open_run("scan.run.zarr").labels.plot()  # doctest: +SKIP
    """
    store = RunStore.open(path)
    note = store.note
    finished = [(stage, group) for stage, group in _GROUPS.items() if stage in note["stages"]]
    own = clustering is None or clustering == OWN
    parts = [_part(store, group) for group in dict.fromkeys(group for _, group in finished)]
    whole = _together(parts) if own else _with_clustering(store, note, str(clustering))
    whole.attrs = {
        "recipe": note.get("recipe", ""),
        **{name: json.dumps(note.get(name, {})) for name in ("source", "stages", "plan", "versions", "measured")},
        **({} if own else _said_of(note, str(clustering))),
    }
    whole.encoding["source"] = str(store.path)  # for whoever needs more of the run than a dataset can hold
    return whole


def _part(store: RunStore, group: str) -> xr.Dataset:
    """What is declared of a group: of a model only what it found."""
    part = store.read(group)
    return part[[name for name in part.data_vars if declared(str(name))]]


def _together(parts: list[xr.Dataset]) -> xr.Dataset:
    """All of them on the grid of the first; of what several have, what the first has."""
    whole = xr.Dataset()
    for part in parts:
        if not whole.coords:
            whole = part
            continue
        new = part.drop_vars([name for name in part.data_vars if name in whole])
        whole = whole.merge(_on_grid(new, whole), compat="override", join="outer")
    return whole


def _with_clustering(store: RunStore, note: dict[str, Any], name: str) -> xr.Dataset:
    """A saved clustering, and what of the run is no answer of its own clustering."""
    entry = entry_of_clustering(note, name)
    place = next((one for one in places_of(name) if entry.get("holds") == [one]), record_of_labels(name))
    wanted_files, found_files = entry["notes"]["stored"], stored_in(store.path / place)
    if found_files != wanted_files:
        told = [f"{files} files of {size} bytes" for files, size in (found_files, wanted_files)]
        raise _damaged(store, name, f"{told[0]}, where {told[1]} were written")
    try:
        answer, marks = _part(store, place), _part(store, f"{place}/landmarks")
    except (FileNotFoundError, ValueError, KeyError) as error:  # a group that is gone, or no group any more
        raise _damaged(store, name, f"{type(error).__name__}: {error}") from error
    root = _part(store, "")
    sizes = {
        "labels": root["labels"].sizes,
        "membership": {**root["labels"].sizes, "cluster": entry["notes"]["clusters"]},
    }
    for variable, wanted in sizes.items():
        found = dict(answer[variable].sizes) if variable in answer else None
        if found != dict(wanted):
            raise _damaged(store, name, f"{variable} of {found}, where {dict(wanted)} was written")
    kept = root[[variable for variable in ("embedding",) if variable in root]]
    shared = [_part(store, _GROUPS[stage]) for stage in ("reduce", "embed") if stage in note["stages"]]
    return _together([answer, kept, *shared, marks])


def _damaged(store: RunStore, name: str, what: str) -> StoreError:
    return StoreError(
        f"the clustering {name!r} of {store.path} without what its record says ({what})",
        "the arrays as they were written",
        remedy_of(name),
    )


def _said_of(note: dict[str, Any], name: str) -> dict[str, str]:
    """What a dataset says of the clustering in place of what it says of the run's own."""
    notes = entry_of_clustering(note, name)["notes"]
    found = {key: notes[key] for key in ("clusters", "noise")}
    return {
        "clustering": name,
        "recipe": notes["recipe"],
        "measured": json.dumps({**note.get("measured", {}), **found}),
    }


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
