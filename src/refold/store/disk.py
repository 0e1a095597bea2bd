"""What lies on disk: the metadata of a run, and in our words what the operating system refuses."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from refold.errors import DiskFullError, RefoldError, StoreError

NOTE = "refold"
METADATA = "zarr.json"


def metadata_of(path: Path) -> dict[str, Any]:
    """Metadata of a group of Zarr."""
    with mended_errors(path):
        metadata: dict[str, Any] = json.loads((path / METADATA).read_text(encoding="utf-8"))
        return metadata


def is_run(path: Path) -> bool:
    """Whether a run of Refold is there."""
    try:
        return NOTE in metadata_of(path).get("attributes", {})
    except (StoreError, ValueError, AttributeError):  # nothing there, or no metadata of Zarr
        return False


@contextmanager
def mended_errors(path: Path) -> Iterator[None]:
    """Say in our words what the operating system refused."""
    try:
        yield
    except RefoldError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(
                f"a full disk while writing {path}",
                "room for the run; refold plan says how much",
                "free some, and start the run again: it goes on where it stopped",
            ) from error
        raise StoreError(
            f"{error.strerror or error} at {path}", "a place that can be written", "check the path and its permissions"
        ) from error


def stored_in(folder: Path) -> list[int]:
    """Files below a folder, and their bytes: what a file that was cut short or lost changes.

    Parameters
    ----------
    folder : Path
        Such as a group of a run.

    Returns
    -------
    list of int
        Both numbers, ready for JSON.
    """
    sizes = [file.stat().st_size for file in folder.rglob("*") if file.is_file()]
    return [len(sizes), sum(sizes)]
