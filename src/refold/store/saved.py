"""Clusterings that a run keeps beside its own: what they may be called, and under which record each is found."""

from __future__ import annotations

import re

from refold.errors import ParameterError

OWN = "run"
"""What the clustering of the run itself is called among others."""
CLUSTERINGS = "clusterings"
"""Group of a run's store in which each saved clustering has a group of its own."""

_SOUND = re.compile(r"(?!\.)(?!.*--)[A-Za-z0-9_.-]{1,64}")


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
        If it is anything but 1 to 64 letters, digits, ``_``, ``.`` and ``-``, begins with a dot, or holds ``--``.

    Examples
    --------
    >>> sound_name("gmm5")
    'gmm5'
    """
    if isinstance(name, str) and _SOUND.fullmatch(name):
        return name
    raise ParameterError(
        f"the name {name!r} of a {what}",
        "1 to 64 of the letters a to z and A to Z, digits, _, . and -, not beginning with a dot and without --",
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
