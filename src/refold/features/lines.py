"""Energies of X-ray lines, and how wide a detector draws them."""

from __future__ import annotations

import math
import re

from refold.errors import MissingDependencyError, ParameterError

MN_KA = 5898.7  # eV, where the resolution of detectors is stated
USUAL_RESOLUTION = 130.0  # eV, full width at half maximum there
_WEAKEST = 0.02  # of the intensity of all lines that start from one shell


def line_energies(name: str) -> dict[str, float]:
    """Energies of an element's X-ray lines.

    Parameters
    ----------
    name : str
        An element, ``"Cu"``, for all its lines; or some of them, ``"Cu_K"`` or ``"Cu_La"``.

    Returns
    -------
    dict of str to float
        Energy of each line in eV, by its name in the notation of Siegbahn. Lines of less than 2 % of what starts from
        their shell are left out. Empty for elements without X-rays.

    Raises
    ------
    ParameterError
        If there is no such element, or it has no such line.
    MissingDependencyError
        If xraydb is not installed.

    Notes
    -----
    From XrayDB (Newville), whose energies are those of Elam, Ravel and Sieber (2002), Radiat. Phys. Chem. 63, 121.

    Examples
    --------
    >>> line_energies("Cu_Ka")  # doctest: +SKIP
    {'Ka2': 8026.7, 'Ka1': 8046.3}
    """
    try:
        import xraydb
    except ImportError as error:
        raise MissingDependencyError(
            f"lines of {name!r} asked for, and no xraydb", "the package that knows them", "pip install 'refold[eds]'"
        ) from error
    parts = re.fullmatch(r"([A-Z][a-z]?)(?:[_ ]([KLM]\w*))?", name)
    try:
        lines = xraydb.xray_lines(parts.group(1)) if parts else None
    except ValueError:  # no such element
        lines = None
    if parts is None or lines is None:
        raise ParameterError(f"{name!r}", "an element, or one with its lines, as in 'Cu' or 'Cu_Ka'", "correct it")
    family = parts.group(2) or ""
    energies = {
        key: float(line.energy)
        for key, line in lines.items()
        if key.startswith(family) and line.intensity >= _WEAKEST and line.energy > 0
    }
    if family and not energies:
        raise ParameterError(f"{name!r}", f"some of {', '.join(lines)}", "name lines that the element has")
    return energies


def resolution_at(energy: float, resolution: float = USUAL_RESOLUTION) -> float:
    """Full width at half maximum of a line, in eV.

    Parameters
    ----------
    energy : float
        Of the line, in eV.
    resolution : float
        Full width of Mn Kα, in eV.

    Returns
    -------
    float
        The width; Fiori and Newbury (1978), Scanning Electron Microscopy 1, 401.

    Examples
    --------
    >>> round(resolution_at(8046.3)), round(resolution_at(524.9))
    (149, 59)
    """
    return math.sqrt(max(2.5 * (energy - MN_KA) + resolution**2, 2.5 * energy))
