"""Where a store is written: under a hidden name, until it is whole."""

from __future__ import annotations

import errno
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import xarray as xr

from refold.errors import DiskFullError, StoreError, StoreExistsError
from refold.source.finding import is_zarr


@contextmanager
def written_whole(target: Path, overwrite: bool, *, within: str = "", keep: bool = False) -> Iterator[Path]:
    """Give a hidden folder beside a target to write to, and the target's name to it when what is in it is whole.

    Parameters
    ----------
    target : Path
        Where the store shall be. Folders above it are made.
    overwrite : bool
        Whether a store that is there already may go, once the new one is whole.
    within : str
        Folder in the hidden one that is the store; by default the hidden one itself.
    keep : bool
        Whether what is in the hidden folder stays after an error, and is there again the next time.

    Yields
    ------
    Path
        Where to write it: an empty folder, unless something was kept in it. After an error, of whatever kind, nothing
        is left of it, unless it is to be kept.

    Raises
    ------
    StoreExistsError
        If there is something at the target already, or what would go is no Zarr store.
    StoreError
        If nothing can be written there.
    DiskFullError
        If the disk fills up.
    """
    if target.exists() and not overwrite:
        raise StoreExistsError(f"{target}, which exists", "a new path", "choose another, or pass overwrite=True")
    if target.exists() and not is_zarr(target):
        raise StoreExistsError(
            f"{target}, which is no Zarr store", "a new path, or a store to replace", "choose another"
        )
    with _hidden(target, keep=keep) as partial:
        try:
            yield partial
            remove(target)
            (partial / within).replace(target)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT) or isinstance(error, DiskFullError):
                remedy = "free some and resume" if keep else "free some, or choose another path"
                raise DiskFullError(f"no space left for {target}", "a larger disk", remedy) from error
            raise


@contextmanager
def _hidden(target: Path, *, keep: bool) -> Iterator[Path]:
    """A hidden folder beside a target, empty and gone afterwards unless it is to be kept until all went well."""
    place = target.with_name(f".{target.name}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if not keep:
            remove(place)
        place.mkdir(exist_ok=keep)
    except OSError as error:
        remedy = "check the path and its permissions"
        raise StoreError(f"{error.strerror or error} at {target}", "a place that can be written", remedy) from error
    well = False
    try:
        yield place
        well = True
    finally:
        if well or not keep or not any(place.iterdir()):
            shutil.rmtree(place, ignore_errors=True)


def remove(path: Path) -> None:
    """Remove a folder with all that is in it, or a file; nothing need be there."""
    if path.is_dir():
        shutil.rmtree(path)
    elif path.exists():
        path.unlink()


def write_metadata(dataset: xr.Dataset, path: Path, encoding: Mapping[str, Any], group: str | None = None) -> None:
    """Create a Zarr v3 store with dims, coordinates and attributes in place; lazy arrays stay to be written.

    Parameters
    ----------
    dataset : xarray.Dataset
        Arrays, of whose values nothing is read if they are lazy.
    path : Path
        Where: an empty folder, or nothing.
    encoding : mapping
        Of each array, as for `xarray.Dataset.to_zarr`.
    group : str, optional
        Where within the store.
    """
    import zarr

    zarr.create_group(path, zarr_format=3)
    lazy = {name: coord.compute() for name, coord in dataset.coords.items() if coord.chunks is not None}
    dataset = dataset.assign_coords(lazy)  # else they would stay to be written, and nobody does that
    dataset.to_zarr(
        path, mode="a", group=group, compute=False, zarr_format=3, consolidated=False, encoding=dict(encoding)
    )
    with warnings.catch_warnings():
        # zarr-python warns that it is not yet in the specification; readers are quicker with it.
        warnings.filterwarnings("ignore", "Consolidated metadata")
        zarr.consolidate_metadata(path, zarr_format=3)
