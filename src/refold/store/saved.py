"""Clusterings that a run keeps beside its own: what they may be called, and under which record each is found."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from refold.errors import ParameterError, StoreError

OWN = "run"
"""What the clustering of the run itself is called among others."""
CLUSTERINGS = "clusterings"
"""Group of a run's store in which each saved clustering has a group of its own."""
EDITS = "edits"
"""Folder of a run's store for what people made of its clusters by hand; no stage's, so no stage removes it."""

_SOUND = re.compile(r"(?![.-])(?!.*--)[A-Za-z0-9_.-]{0,63}[A-Za-z0-9_]")
_TAKEN = {"zarr.json"}  # by the metadata of the folder above
_SECOND = "--2"  # no name holds two hyphens


def sound_name(name: str, what: str = "clustering") -> str:
    """Check a name that becomes that of a folder or a file, on any system.

    Parameters
    ----------
    name : str
        The name.
    what : str
        What it is the name of, for the error.

    Returns
    -------
    str
        The same.

    Raises
    ------
    ParameterError
        If it is anything but 1 to 64 letters, digits, ``_``, ``.`` and ``-``, begins or ends with one of the
        last two, holds ``--``, or is ``zarr.json``.

    Examples
    --------
    >>> sound_name("gmm5")
    'gmm5'
    """
    if isinstance(name, str) and _SOUND.fullmatch(name) and name.lower() not in _TAKEN:
        return name
    raise ParameterError(
        f"the name {name!r} of a {what}",
        "1 to 64 of the letters a to z and A to Z, digits, _, . and -, neither . nor - at the ends, and no --",
        "choose another name, such as gmm5",
    )


def record_of_labels(clustering: str | None) -> str:
    """Name of the record of the stage that wrote the labels.

    Parameters
    ----------
    clustering : str or None
        A saved clustering; none, or ``"run"``, is the run's own.

    Raises
    ------
    ParameterError
        If nothing could be called so.

    Examples
    --------
    >>> record_of_labels(None), record_of_labels("gmm5")
    ('labels', 'clusterings/gmm5')
    """
    if clustering is None or clustering == OWN:
        return "labels"
    return f"{CLUSTERINGS}/{sound_name(clustering)}"


def places_of(clustering: str) -> tuple[str, str]:
    """Groups of a run's store in which a saved clustering may lie; its record says in which.

    Parameters
    ----------
    clustering : str
        Its name.

    Returns
    -------
    tuple of str
        The group of its name, and the one that it has where it replaced another that lay there.

    Raises
    ------
    ParameterError
        If nothing could be called so.

    Examples
    --------
    >>> places_of("gmm5")
    ('clusterings/gmm5', 'clusterings/gmm5--2')
    """
    place = f"{CLUSTERINGS}/{sound_name(clustering)}"
    return place, f"{place}{_SECOND}"


def seal_of(name: str, entry: Mapping[str, Any]) -> str:
    """Digest of what the record of a clustering says of it, so that a record that was changed since is known.

    Parameters
    ----------
    name : str
        Of the clustering.
    entry : mapping
        Its record: the fingerprint and the notes count.
    """
    notes = {key: value for key, value in (entry.get("notes") or {}).items() if key != "seal"}
    text = json.dumps([name, entry.get("fingerprint"), entry.get("follows"), notes], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def entry_of_clustering(note: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The record of a saved clustering, as a mapping.

    Parameters
    ----------
    note : mapping
        What is kept with the run.
    name : str
        Of the clustering.

    Raises
    ------
    ParameterError
        If nothing could be called so.
    StoreError
        If there is none of that name, or its record is not as it was written.
    """
    stages = note["stages"]
    entry: Mapping[str, Any] | None = stages.get(f"{CLUSTERINGS}/{sound_name(name)}")
    if entry is None:
        there = ", ".join([OWN, *saved_names(note)])
        raise StoreError(
            f"no clustering {name!r}", f"one of {there}", "name one of these, or make it with refold.recluster"
        )
    whole = isinstance(entry, Mapping) and isinstance(entry.get("notes"), Mapping)
    if not whole or entry["notes"].get("seal") != seal_of(name, entry):
        raise StoreError(
            f"a record of the clustering {name!r} that was changed since it was written",
            "records as Refold writes them",
            remedy_of(name),
        )
    return entry


def remedy_of(name: str) -> str:
    """What to do about a clustering that is not as it was written."""
    return f"forget it, refold.forget_clustering(run, {name!r}), and make it again; the rest of the run is not touched"


def saved_names(note: Mapping[str, Any]) -> list[str]:
    """Names of the clusterings that are kept beside the run's own, in the order in which they were made."""
    return [name.partition("/")[2] for name in note["stages"] if name.startswith(f"{CLUSTERINGS}/")]
