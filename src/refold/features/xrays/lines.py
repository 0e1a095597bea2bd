"""Energies of X-ray lines, and how wide a detector draws them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from refold.errors import MissingDependencyError, ParameterError

MN_KA = 5898.7  # eV, where the resolution of detectors is stated
USUAL_RESOLUTION = 130.0  # eV, full width at half maximum there
_WEAKEST = 0.02  # of the intensity of all lines that start from one shell
_NAME = re.compile(r"([A-Z][a-z]?)(?:[_ ]([KLM]\w*))?")
ALPHAS = ("Ka", "La", "Ma")


@dataclass(frozen=True)
class Line:
    """A line as an EDS detector sees it: what it does not tell apart is one.

    Parameters
    ----------
    name : str
        Element and line, as ``Fe_Ka``.
    energy : float
        eV; the mean of the lines that it is, weighted by their intensities.
    share : float
        Of all X-rays that fill the same shell.
    edge : float
        eV that a shell must be given before the line is there.
    level : str
        That shell, as ``K`` or ``L3``.
    """

    name: str
    energy: float
    share: float
    edge: float
    level: str

    @property
    def element(self) -> str:
        """Symbol of the element."""
        return self.name.partition("_")[0]

    @property
    def family(self) -> str:
        """Line without the element, as ``Ka``."""
        return self.name.partition("_")[2]


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
    element, family = _split(name)
    energies = {key: found.energy for key, found in _known(element).items() if key.startswith(family)}
    if family and not energies:
        raise ParameterError(f"{name!r}", f"some of {', '.join(_known(element))}", "name lines that the element has")
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


def line_of(name: str) -> Line:
    """Find one line as a detector sees it.

    Parameters
    ----------
    name : str
        ``"Fe_Ka"``; ``"Fe_K"`` is the strongest of its family, which is the same.

    Returns
    -------
    Line
        Of lines of one name that start from several shells (Lβ), those of the shell of the strongest.

    Raises
    ------
    ParameterError
        If there is no such element or line, or only an element is named.
    """
    element, family = _split(name)
    if not family:
        raise ParameterError(f"{name!r}", f"a line, as '{element}_Ka'", "name the line beside the element")
    family = f"{family}a" if len(family) == 1 else family
    found = {key: one for key, one in _known(element).items() if key.startswith(family)}
    if not found:
        raise ParameterError(f"{name!r}", f"some of {', '.join(_known(element))}", "name lines that the element has")
    strongest = max(found.values(), key=lambda one: one.share)
    same = [one for one in found.values() if one.level == strongest.level]
    share = sum(one.share for one in same)
    energy = sum(one.energy * one.share for one in same) / share
    return Line(f"{element}_{family}", energy, share, strongest.edge, strongest.level)


@lru_cache(maxsize=128)
def lines_of(element: str) -> tuple[Line, ...]:
    """All lines of an element as a detector sees them, alphas first, in falling energy."""
    families = dict.fromkeys(key[:2] for key in _known(element))
    order = sorted(families, key=lambda family: ("KLM".index(family[0]), family))
    return tuple(line_of(f"{element}_{family}") for family in order)


def single_lines(element: str) -> tuple[Line, ...]:
    """All lines of an element, also those that a detector does not tell apart, by their names of Siegbahn."""
    return tuple(_known(element).values())


def element_of(name: str) -> tuple[str, bool]:
    """Element of a name, and whether it names a line too."""
    element, family = _split(name)
    return element, bool(family)


def _split(name: Any) -> tuple[str, str]:
    parts = _NAME.fullmatch(name) if isinstance(name, str) else None
    if parts is None:
        raise ParameterError(f"{name!r}", "an element, or one with its lines, as in 'Cu' or 'Cu_Ka'", "correct it")
    return parts.group(1), parts.group(2) or ""


def _known(element: str) -> Mapping[str, Line]:
    """Lines that are not too weak, by their names in the notation of Siegbahn."""
    try:
        import xraydb
    except ImportError as error:
        raise MissingDependencyError(
            f"lines of {element!r} asked for, and no xraydb", "the package that knows them", "pip install 'refold[eds]'"
        ) from error
    return _looked_up(element, xraydb)


@lru_cache(maxsize=128)
def _looked_up(element: str, library: Any) -> Mapping[str, Line]:
    try:
        lines, edges = library.xray_lines(element), library.xray_edges(element)
    except ValueError:  # no such element
        lines = edges = None
    if lines is None or edges is None:
        wanted = "an element, or one with its lines, as in 'Cu' or 'Cu_Ka'"
        raise ParameterError(f"{element!r}, which is no element", wanted, "correct it")
    found = {}
    for key, line in lines.items():
        if line.intensity >= _WEAKEST and line.energy > 0:
            level = str(line.initial_level)
            edge = edges.get(level.partition(",")[0])  # "M4,5" is two shells that lie together
            reach = float(edge.energy) if edge is not None else float(line.energy)
            found[str(key)] = Line(f"{element}_{key}", float(line.energy), float(line.intensity), reach, level)
    return found
