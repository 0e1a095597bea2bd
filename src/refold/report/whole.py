"""Files that are there when they are whole: one, or several in a folder."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from refold.errors import DiskFullError, RefoldError, StoreError, StoreExistsError


@contextmanager
def whole_files(paths: Sequence[Path], *, overwrite: bool) -> Iterator[tuple[Path, ...]]:
    """Give places to write to, which become the files (or folders) once all of them are whole; else nothing is left.

    Parameters
    ----------
    paths : sequence of Path
        All in one folder, which is made where it is not there.
    overwrite : bool
        Whether what is there already may go, once the new ones are whole.

    Yields
    ------
    tuple of Path
        Hidden places beside them, with the same suffixes.

    Raises
    ------
    StoreExistsError
        If something is there already.
    DiskFullError, StoreError
        If they cannot be written.
    """
    _refuse_existing(paths, overwrite=overwrite)
    folder = paths[0].parent
    made = _first_missing(folder)
    hidden = folder / f".{paths[0].name}.{os.getpid()}.partial"
    try:
        with written_to(folder):
            shutil.rmtree(hidden, ignore_errors=True)
            hidden.mkdir(parents=True)
            partial = tuple(hidden / path.name for path in paths)
            yield partial
            for written, path in zip(partial, paths, strict=True):
                _put(written, path)
    except BaseException:
        shutil.rmtree(hidden, ignore_errors=True)
        if made is not None:
            _remove_empty(folder, made)
        raise
    shutil.rmtree(hidden, ignore_errors=True)


def _refuse_existing(paths: Sequence[Path], *, overwrite: bool) -> None:
    there = [path for path in paths if os.path.lexists(path)]
    if there and not overwrite:
        more = f" and {len(there) - 1} more" if len(there) > 1 else ""
        raise StoreExistsError(f"{there[0]}{more}, which exists", "new files", "choose others, or pass overwrite=True")
    for path in there:
        if path.is_dir() and not path.is_symlink() and any(path.iterdir()) and not _is_zarr(path):
            found = f"{path}, a folder with other things than a Zarr store"
            raise StoreExistsError(found, "a new file", "choose another path: it is not overwritten")
    folder = next((place for place in (paths[0].parent, *paths[0].parent.parents) if place.exists()), None)
    if folder is not None and not folder.is_dir():
        raise StoreExistsError(f"{folder}, which is a file", "a folder to write into", "choose another place")


def _is_zarr(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("zarr.json", ".zgroup", ".zarray"))


def _first_missing(folder: Path) -> Path | None:
    """The outermost folder that has to be made."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    return missing[-1] if missing else None


def _remove_empty(folder: Path, outermost: Path) -> None:
    """Take away folders that were made, as long as nobody put anything into them."""
    for place in (folder, *folder.parents):
        try:
            place.rmdir()
        except OSError:
            return
        if place == outermost:
            return


def _put(written: Path, path: Path) -> None:
    """Put what was written into its place; a folder cannot replace one that holds something."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    written.replace(path)


@contextmanager
def written_to(path: Path) -> Iterator[None]:
    """Say in our words what the system refused while files were written there."""
    try:
        yield
    except RefoldError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            remedy = "free some, or choose another place"
            raise DiskFullError(f"a full disk while writing to {path}", "room for the files", remedy) from error
        remedy = "check the path and its permissions"
        raise StoreError(f"{error.strerror or error} at {path}", "a place that can be written", remedy) from error
