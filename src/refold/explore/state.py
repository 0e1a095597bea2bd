"""How a run is shown, and what was read of its selection."""

from __future__ import annotations

from dataclasses import dataclass

import xarray as xr

__all__ = ["Options", "Reading"]


@dataclass
class Options:
    """How it is shown.

    Attributes
    ----------
    ground : str
        Image under the phase map; empty for none.
    opacity : float
        Of the phase map over it, where there is one.
    alone : bool
        Whether only the chosen clusters are shown.
    share : float
        Of the pixels to draw in the latent space.
    slice : int
        Of a stack, the picture that is shown.
    dims : tuple of int
        Dims of the latent space.
    """

    ground: str = ""
    opacity: float = 0.6
    alone: bool = False
    share: float = 1.0
    slice: int = 0
    dims: tuple[int, int] = (0, 1)


@dataclass
class Reading:
    """What was read of the selection, and how far reading is.

    Attributes
    ----------
    signal : xarray.DataArray or xarray.Dataset or None
        Its mean.
    note : str
        What it is.
    pixels : int or None
        Of the whole grid, of which it is the mean; None where nobody said.
    done, total : float
        Of what goes on in the background.
    """

    signal: xr.DataArray | xr.Dataset | None = None
    note: str = ""
    pixels: int | None = None
    done: float = 0.0
    total: float = 0.0
