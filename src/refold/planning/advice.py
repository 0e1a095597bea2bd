"""What a plan says when a scan's chunks do not suit it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from refold.planning.budget import format_bytes


def convert_command(source: Mapping[str, Any], memory: int | str | None = None) -> str:
    """Write the command that stores a scan in chunks of whole signals.

    Parameters
    ----------
    source : mapping
        What `refold.open` is given: ``path``, and what the file does not say of itself.
    memory : int or str, optional
        Limit of the run, if it has one.

    Returns
    -------
    str
        For a shell.

    Examples
    --------
    >>> print(convert_command({"path": "my.h5", "signal": "EDS", "signal_dims": ["energy"]}, memory="2GB"))
    refold convert my.h5 -o my.whole.zarr --signal EDS --set 'source.signal_dims=["energy"]' --memory 2GB
    """
    rest = {key: value for key, value in source.items() if key not in ("path", "signal") and value}
    words = ["refold", "convert", source["path"], "-o", f"{PurePath(source['path']).stem}.whole.zarr"]
    words += ["--signal", source["signal"]] if "signal" in source else []
    for key, value in rest.items():
        words += ["--set", f"source.{key}={json.dumps(value)}"]
    words += ["--memory", str(memory)] if memory is not None else []
    return shlex.join(words)


def on_rereading(times: float, nbytes: int, seconds: float, command: str | None) -> str:
    """Say how often chunks are decoded, what that costs, and what would mend it.

    Parameters
    ----------
    times : float
        How often a sweep decodes a chunk, in the mean.
    nbytes, seconds : number
        What is decoded more than once, and how long that takes, in the whole run.
    command : str or None
        What stores the scan in other chunks; None if it does not lie in a file.

    Returns
    -------
    str
        A sentence or two.

    Examples
    --------
    >>> print(on_rereading(4.0, 3 * 10**9, 6.0, "refold convert scan.h5 -o scan.whole.zarr"))
    A sweep decodes each chunk of the scan 4 times, because the chunks do not fit its blocks: 3 GB more in the run,
    about 6 s. To decode each once, convert the scan and use that:
    refold convert scan.h5 -o scan.whole.zarr
    """
    remedy = (
        f"To decode each once, convert the scan and use that:\n{command}"
        if command
        else "To decode each once, store the scan in chunks of whole signals that fit, or allow more memory."
    )
    return (
        f"A sweep decodes each chunk of the scan {times:.3g} times, because the chunks do not fit its blocks: "
        f"{format_bytes(nbytes)} more in the run, about {seconds:.0f} s. {remedy}"
    )
