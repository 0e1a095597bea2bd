"""`cube.refold.…` and `run.refold.…` in notebooks. Each method delegates in one line."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import xarray as xr

import refold

if TYPE_CHECKING:
    from pathlib import Path

    from refold.editing import Edits
    from refold.phases import Unmixed
    from refold.planning.forecast import Forecast
    from refold.prepare import Alignment, Despiked
    from refold.reduce import Decomposition


@xr.register_dataarray_accessor("refold")
class RefoldAccessor:
    """Refold's functions as methods of a cube.

    Parameters
    ----------
    cube : xarray.DataArray
        A cube; see `refold.as_cube`.

    Examples
    --------
    >>> import numpy as np, refold
    >>> refold.as_cube(np.ones((2, 3, 8)), signal="energy").refold.rebin(energy=2).sizes["energy"]
    4
    """

    def __init__(self, cube: xr.DataArray) -> None:
        self._cube = cube

    def rebin(self, *args: Any, **kwargs: Any) -> xr.DataArray:
        """See `refold.rebin`."""
        return refold.rebin(self._cube, *args, **kwargs)

    def crop(self, *args: Any, **kwargs: Any) -> xr.DataArray:
        """See `refold.crop`."""
        return refold.crop(self._cube, *args, **kwargs)

    def bands(self, *args: Any, **kwargs: Any) -> xr.DataArray:
        """See `refold.bands`."""
        return refold.bands(self._cube, *args, **kwargs)

    def mask(self, *args: Any, **kwargs: Any) -> xr.DataArray:
        """See `refold.mask`."""
        return refold.mask(self._cube, *args, **kwargs)

    def clip(self, *args: Any, **kwargs: Any) -> xr.DataArray:
        """See `refold.clip`."""
        return refold.clip(self._cube, *args, **kwargs)

    def log1p(self, *args: Any, **kwargs: Any) -> xr.DataArray:
        """See `refold.log1p`."""
        return refold.log1p(self._cube, *args, **kwargs)

    def neighbour_average(self, *args: Any, **kwargs: Any) -> xr.DataArray:
        """See `refold.neighbour_average`."""
        return refold.neighbour_average(self._cube, *args, **kwargs)

    def zscore(self, *args: Any, **kwargs: Any) -> xr.DataArray:
        """See `refold.zscore`."""
        return refold.zscore(self._cube, *args, **kwargs)

    def softmax(self, *args: Any, **kwargs: Any) -> xr.DataArray:
        """See `refold.softmax`."""
        return refold.softmax(self._cube, *args, **kwargs)

    def element_maps(self, *args: Any, **kwargs: Any) -> xr.DataArray:
        """See `refold.element_maps`."""
        return refold.element_maps(self._cube, *args, **kwargs)

    def normalise(self, *args: Any, **kwargs: Any) -> xr.DataArray:
        """See `refold.normalise`."""
        return refold.normalise(self._cube, *args, **kwargs)

    def align_zero_loss(self, *args: Any, **kwargs: Any) -> Alignment:
        """See `refold.align_zero_loss`."""
        return refold.align_zero_loss(self._cube, *args, **kwargs)

    def calibrate_zero_loss(self, *args: Any, **kwargs: Any) -> xr.DataArray:
        """See `refold.calibrate_zero_loss`."""
        return refold.calibrate_zero_loss(self._cube, *args, **kwargs)

    def remove_spikes(self, *args: Any, **kwargs: Any) -> Despiked:
        """See `refold.remove_spikes`."""
        return refold.remove_spikes(self._cube, *args, **kwargs)

    def remove_background(self, *args: Any, **kwargs: Any) -> xr.DataArray:
        """See `refold.remove_background`."""
        return refold.remove_background(self._cube, *args, **kwargs)

    def decompose(self, *args: Any, **kwargs: Any) -> Decomposition:
        """See `refold.decompose`."""
        return refold.decompose(self._cube, *args, **kwargs)

    def unfold(self) -> xr.DataArray:
        """See `refold.unfold`."""
        return refold.unfold(self._cube)

    def fold(self) -> xr.DataArray:
        """See `refold.fold`."""
        return refold.fold(self._cube)

    def sweep(self, *visitors: Any, **kwargs: Any) -> tuple[Any, ...]:
        """See `refold.sweep`."""
        return refold.sweep(self._cube, *visitors, **kwargs)

    def plan(self, **kwargs: Any) -> Forecast:
        """See `refold.plan`."""
        return refold.plan(self._cube, **kwargs)

    def run(self, **kwargs: Any) -> xr.Dataset:
        """See `refold.run`."""
        return refold.run(self._cube, **kwargs)

    def convert(self, target: Any, **kwargs: Any) -> Any:
        """See `refold.convert`."""
        return refold.convert(self._cube, target, **kwargs)

    def to_hyperspy(self) -> Any:
        """See `refold.to_hyperspy`."""
        return refold.to_hyperspy(self._cube)


@xr.register_dataset_accessor("refold")
class RunAccessor:
    """Refold's functions as methods of a run.

    Parameters
    ----------
    run : xarray.Dataset
        A run; see `refold.run` and `refold.open_run`.
    """

    def __init__(self, run: xr.Dataset) -> None:
        self._run = run

    def recluster(self, name: str, *args: Any, **kwargs: Any) -> xr.Dataset:
        """See `refold.recluster`."""
        return refold.recluster(self._run, name, *args, **kwargs)

    def clusterings(self) -> dict[str, Any]:
        """See `refold.clusterings`."""
        return refold.clusterings(self._run)

    def edits(self, **kwargs: Any) -> Edits:
        """See `refold.edits`."""
        return refold.edits(self._run, **kwargs)

    def to_hyperspy(self, scan: xr.DataArray | None = None, **kwargs: Any) -> Any:
        """See `refold.to_hyperspy`."""
        return refold.to_hyperspy(self._run, scan, **kwargs)

    def unmix(self, *args: Any, **kwargs: Any) -> Unmixed:
        """See `refold.unmix`."""
        return refold.unmix(self._run, *args, **kwargs)

    def export_labels(self, *args: Any, **kwargs: Any) -> Path:
        """See `refold.export_labels`."""
        return refold.export_labels(self._run, *args, **kwargs)

    def export_masks(self, *args: Any, **kwargs: Any) -> tuple[Path, ...]:
        """See `refold.export_masks`."""
        return refold.export_masks(self._run, *args, **kwargs)

    def export_spectra(self, *args: Any, **kwargs: Any) -> tuple[Path, ...]:
        """See `refold.export_spectra`."""
        return refold.export_spectra(self._run, *args, **kwargs)

    def explore(self, scan: Any = None, **kwargs: Any) -> Any:
        """Show the run as a page to look at and to edit by hand, in a notebook; see `refold.explore.show`."""
        return import_module("refold.explore").show(self._run, scan=scan, **kwargs)
