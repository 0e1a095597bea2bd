"""The place of a run before it begins: what is there already, and how much room there is."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from refold.errors import StoreExistsError
from refold.store.disk import is_run
from refold.store.run import RunStore


def enter(path: Path, source: Mapping[str, Any]) -> RunStore | None:
    """Find the run of a scan that is at a place already.

    Parameters
    ----------
    path : Path
        Where the run is, or will be.
    source : mapping
        The scan's identity, from `identify`.

    Returns
    -------
    RunStore or None
        The run to go on with; None where nothing is.

    Raises
    ------
    StoreExistsError
        If something else is there, or a run of another scan.
    """
    if not path.exists():
        return None
    if not is_run(path):
        raise StoreExistsError(
            f"{path}, which is not a run of Refold", "a new place, or a run to go on with", "choose another output"
        )
    store = RunStore.open(path)
    was = store.note["source"]
    if was != dict(source):
        raise StoreExistsError(
            f"{path}, a run of {was.get('path', was['name'])} {was['shape']}",
            f"a run of {source.get('path', source['name'])} {source['shape']} as it is now",
            "choose another output, or remove that run if the scan was replaced",
        )
    return store


def free_disk(path: Path) -> int:
    """Bytes free where something will be written."""
    folder = path.absolute()
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free
