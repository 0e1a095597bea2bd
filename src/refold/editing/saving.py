"""Edits on disk: a file beside the labels, replaced whole or not at all, and never over what somebody else saved."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import xarray as xr

from refold.editing.document import MAX_BYTES, Document, Origin
from refold.editing.operations import Frame
from refold.errors import DiskFullError, EditConflictError, EditsError, ParameterError, RefoldError
from refold.store import EDITS, OWN, path_of, sound_name
from refold.store.locking import opened, taken

_GROUP = "zarr.json"  # makes the folder an empty group, so that whoever lists the run as Zarr does not stumble on it
_WAIT = 10.0  # seconds; writing takes a fraction of one
_PAUSE = 0.02
_EMPTY_GROUP = b'{"attributes":{},"node_type":"group","zarr_format":3}'


def place_of(run: Path, clustering: str | None, name: str) -> Path:
    """Say where a set of edits of a run is.

    Parameters
    ----------
    run : Path
        The run's store.
    clustering : str or None
        A saved clustering; None for the run's own.
    name : str
        Of the set.

    Raises
    ------
    ParameterError
        If nothing could be called so.

    Examples
    --------
    >>> place_of(Path("scan.run.zarr"), "gmm5", "anna").as_posix()
    'scan.run.zarr/edits/gmm5--anna.json'
    """
    sound_name(name, "set of edits")
    if name.lower() == Path(_GROUP).stem:
        raise ParameterError(f"the name {name!r} of a set of edits", "another", "choose another name, such as edits")
    stem = name if clustering is None else f"{sound_name(clustering)}--{name}"
    return run / EDITS / f"{stem}.json"


def saved_edits(run: Any, clustering: str | None = None) -> list[str]:
    """Name the sets of edits that are saved of a run.

    Parameters
    ----------
    run : path-like or xarray.Dataset
        The run.
    clustering : str, optional
        A saved clustering; by default the one that the dataset was opened with, else the run's own.

    Returns
    -------
    list of str
        Their names, sorted; those that can not be opened as well.
    """
    if clustering is None and isinstance(run, xr.Dataset):
        clustering = run.attrs.get("clustering")
    before = "" if clustering is None or clustering == OWN else f"{clustering}--"
    found = (file.stem for file in (path_of(run) / EDITS).glob("[!.]*.json") if file.name != _GROUP)
    return sorted(
        stem.removeprefix(before) for stem in found if stem.startswith(before) and ("--" in stem) == bool(before)
    )


def read_edits(place: Path, origin: Origin, frame: Frame) -> Document | None:
    """Read the edits that are there.

    Parameters
    ----------
    place : Path
        Their file.
    origin : Origin
        Which labels they must be of.
    frame : Frame
        What they must be possible in.

    Returns
    -------
    Document or None
        None where there are none.

    Raises
    ------
    EditsError
        If what is there is no file of edits of these labels.
    """
    data = _bytes_of(place)
    return None if data is None else Document.from_bytes(data, origin, frame, str(place))


def write_edits(place: Path, document: Document, before: Document | None) -> None:
    """Replace the edits that were opened by others, if they are there still as they were.

    Parameters
    ----------
    place : Path
        The file.
    document : Document
        What to write.
    before : Document or None
        What was read there, or written last; None where nothing was.

    Raises
    ------
    EditConflictError
        If somebody saved there since; nothing is written.
    EditsError
        If what is there cannot be read, or nothing can be written there.
    DiskFullError
        If the disk is full; what was there stays.
    """
    data = document.to_bytes()
    with _said(place):
        place.parent.mkdir(exist_ok=True)
        with _locked(place.with_name(f".{place.stem}.lock"), place):
            there = read_edits(place, document.origin, document.history.frame)
            if there != before:
                _tell_of_conflict(place, there, before)
            if not (group := place.with_name(_GROUP)).exists():
                _replace(group, _EMPTY_GROUP, place.with_name(f".{place.stem}.group.partial"))
            _replace(place, data, place.with_name(f".{place.name}.partial"))


def _bytes_of(place: Path) -> bytes | None:
    with _said(place):
        try:
            with place.open("rb") as file:
                return file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            return None


def _replace(place: Path, data: bytes, partial: Path) -> None:
    """Write a file beside, and put it in the place of the old one in a single step."""
    try:
        partial.unlink(missing_ok=True)  # what somebody left who was stopped, and may be theirs alone to write
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(place)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def _tell_of_conflict(place: Path, there: Document | None, before: Document | None) -> NoReturn:
    expected = "none" if before is None else f"revision {before.revision}"
    if there is None:
        found = f"no edits any more at {place}: somebody removed them"
    else:
        found = f"revision {there.revision} at {place}, saved by {there.author or 'somebody'} at {there.time}"
    raise EditConflictError(
        found,
        f"{expected}, as it was when these edits were opened",
        "open them again and repeat yours, or save yours beside them, as in edits.save(name='mine')",
    )


# --- the operating system ---------------------------------------------------------------------------------------------


@contextmanager
def _said(place: Path) -> Iterator[None]:
    """Say in our words what the operating system refused."""
    try:
        yield
    except RefoldError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(
                f"a full disk while saving {place}",
                "room for a small file",
                "free some and save again: what was saved before is there still, and the edits are held until then",
            ) from error
        raise EditsError(
            f"{error.strerror or error} at {place}",
            "a run in whose store edits can be read and written",
            "check its permissions, or copy the run to a place of your own",
        ) from error


@contextmanager
def _locked(lock: Path, place: Path) -> Iterator[None]:
    """Be the only one who saves there. The system gives the lock back when its holder ends, however that ends."""
    handle = opened(lock)
    try:
        deadline = time.monotonic() + _WAIT
        while not taken(handle):
            if time.monotonic() > deadline:
                raise EditConflictError(
                    f"somebody saving at {place} for more than {_WAIT:.0f} s", "a moment", "save again later"
                )
            time.sleep(_PAUSE)
        yield
    finally:
        os.close(handle)
