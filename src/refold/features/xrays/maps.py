"""Element maps: of each line one, lazily."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from refold.cube import check_cube
from refold.features.rows import lay
from refold.features.sums import Sums
from refold.features.xrays.table import BEAM, RESOLUTION, Spectrometer, choose_lines, line_coords
from refold.features.xrays.windows import Background, weights_of

# Attributes of spectra that maps of them have not.
_OF_SPECTRA = ("units", "long_name", "signal_type", "quantity", "hyperspy")


def element_maps(
    cube: xr.DataArray,
    lines: Sequence[str] | None = None,
    *,
    width: float = 1.0,
    background: Background = "none",
    resolution: float | None = None,
) -> xr.DataArray:
    """Add up the counts of X-ray lines in every pixel, lazily.

    Parameters
    ----------
    cube : xarray.DataArray
        X-ray spectra, with an energy axis in eV or keV.
    lines : sequence of str, optional
        Lines, ``"Fe_Ka"``, and elements, ``"Fe"``, as for `refold.xray_lines`. By default those that the file lists.
    width : float
        Of each window, in full widths at half maximum of the detector at that energy.
    background : {"none", "linear"}
        What is taken off: nothing; or a straight line through windows on both sides, one full width wide, two away
        from the line and further where another line of these elements is.
    resolution : float, optional
        Full width of Mn Kα in eV; by default what the scan says, or 130.

    Returns
    -------
    xarray.DataArray
        A cube on the same navigation dims, float32, its signal dim ``line`` with the names of the lines, and
        ``line_energy`` along it. Lazy as the cube is, in its chunks; a pixel that holds NaN in a window is NaN
        there.

    Raises
    ------
    ParameterError
        If a line is unknown or beyond the axis, nothing is listed, or the axis has no unit of energy.
    MissingDependencyError
        If xraydb is not installed.

    Warns
    -----
    RefoldWarning
        If lines lie so close that there is no room for windows beside one, and nothing is taken off there.

    Examples
    --------
    >>> import refold
    >>> counts = np.ones((2, 3, 1000), "uint8")
    >>> energy = (np.arange(1000) * 0.01, {"units": "keV"})
    >>> cube = refold.as_cube(counts, signal="energy", coords={"energy": energy})
    >>> element_maps(cube, ["Fe_Ka", "O"]).sizes  # doctest: +SKIP
    Frozen({'y': 2, 'x': 3, 'line': 2})
    """
    cube = check_cube(cube)
    spectrometer = Spectrometer.of(cube, resolution)
    chosen = choose_lines(spectrometer, lines)
    weights = weights_of(spectrometer, chosen, width, background)
    coords = line_coords(chosen, spectrometer.units)
    attrs = {str(key): value for key, value in cube.attrs.items() if key not in _OF_SPECTRA}
    attrs["long_name"] = "counts" if background == "none" else "net counts"
    return lay(cube, _Intensities(Sums.sparse(weights.net)), coords, {"line": len(chosen)}, attrs=attrs)


def told_of_maps(
    cube: xr.DataArray, lines: Sequence[str] | None = None, resolution: float | None = None, **_: Any
) -> dict[str, Any]:
    """What must be known to measure the same lines again where only spectra are left, as JSON can hold it.

    Parameters
    ----------
    cube, lines, resolution
        As for `element_maps`, whose other options say nothing of the lines.

    Returns
    -------
    dict
        ``lines`` by their names, and of the scan the energy of its beam and its resolution, as it has them itself.
    """
    spectrometer = Spectrometer.of(cube, resolution)
    beam = {} if spectrometer.beam is None else {BEAM: spectrometer.beam / 1e3}
    names = [line.name for line in choose_lines(spectrometer, lines)]
    return {"lines": names, RESOLUTION: spectrometer.resolution, **beam}


@dataclass(frozen=True)
class _Intensities:
    """Weighted sums of the channels of each row; picklable."""

    sums: Sums

    def __call__(self, rows: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        return self.sums(rows)
