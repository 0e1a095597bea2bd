"""Units as files write them, made one: `$A^{-1}$`, `Å⁻¹` and `1 / angstrom` are all `1/Å`."""

from __future__ import annotations

import re
from typing import Literal

Kind = Literal["energy", "length", "reciprocal", "wavenumber", "angle", "time"]

_NONE = {"", "none", "undefined", "<undefined>", "t.undefined", "a.u.", "au", "arb. units", "unknown"}
_COUNTS = {"pix", "px", "pixel", "pixels", "channel", "channels", "index", "ch"}
_SAME = {
    "a": "Å", "aa": "Å", "å": "Å", "ang": "Å", "angstrom": "Å", "angstroms": "Å", "ångström": "Å", "ångstrom": "Å",
    "m": "m", "meter": "m", "meters": "m", "metre": "m", "metres": "m", "cm": "cm", "mm": "mm", "pm": "pm",
    "millimeter": "mm", "millimetre": "mm", "millimeters": "mm", "centimeter": "cm", "centimetre": "cm",
    "um": "µm", "µm": "µm", "micron": "µm", "microns": "µm", "micrometer": "µm", "micrometre": "µm",
    "micrometers": "µm",
    "nm": "nm", "nanometer": "nm", "nanometre": "nm", "nanometers": "nm", "nanometres": "nm",
    "ev": "eV", "kev": "keV", "electronvolt": "eV", "electron_volt": "eV",
    "rad": "rad", "radian": "rad", "radians": "rad", "mrad": "mrad", "milliradian": "mrad", "milliradians": "mrad",
    "deg": "°", "degree": "°", "degrees": "°", "°": "°",
    "s": "s", "sec": "s", "second": "s", "seconds": "s", "ms": "ms", "us": "µs", "µs": "µs", "ns": "ns",
}  # fmt: skip
_KINDS: dict[str, Kind] = {
    **dict.fromkeys(("eV", "keV", "meV", "MeV"), "energy"),
    **dict.fromkeys(("pm", "Å", "nm", "µm", "mm", "cm", "m"), "length"),
    **dict.fromkeys(("1/pm", "1/Å", "1/nm", "1/µm", "1/m"), "reciprocal"),
    **dict.fromkeys(("1/cm",), "wavenumber"),
    **dict.fromkeys(("rad", "mrad", "°"), "angle"),
    **dict.fromkeys(("s", "ms", "µs", "ns"), "time"),
}
METRES = {"m": 1.0, "cm": 1e-2, "mm": 1e-3, "µm": 1e-6, "nm": 1e-9, "Å": 1e-10, "pm": 1e-12}


def normalise_units(text: object) -> str | None:
    """Write a unit the one way that Refold writes it.

    Parameters
    ----------
    text : object
        The unit as a file says it; anything but a string means none.

    Returns
    -------
    str or None
        The unit, or None where the file names none. Units that are not known stay as they are.

    Examples
    --------
    >>> normalise_units("$A^{-1}$"), normalise_units("um"), normalise_units("nm^-1"), normalise_units("<undefined>")
    ('1/Å', 'µm', '1/nm', None)
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", errors="replace")
    if not isinstance(text, str):
        return None
    # Greek mu (U+03BC) and the Angstrom sign (U+212B) look like micro (U+00B5) and Å (U+00C5) and are not them.
    plain = text.strip().replace("μ", "µ").replace("\u212b", "Å")
    if plain.lower() in _NONE:
        return None
    plain = re.sub(r"\\(?:mathrm|rm|text)|[$\\{}]", "", plain).replace("⁻¹", "^-1").strip()
    inverse = re.fullmatch(r"(.+?)\s*(?:\^|\*\*)?\s*\(?-1\)?", plain) or re.fullmatch(r"1\s*/\s*\(?(.+?)\)?", plain)
    if inverse:
        return f"1/{_one(inverse.group(1))}"
    return _one(plain)


def _one(unit: str) -> str:
    unit = unit.strip()
    # mega- and milli-electronvolts differ in case only
    return unit if unit in {"meV", "MeV"} else _SAME.get(unit.lower(), unit)


def is_count(units: str | None) -> bool:
    """Whether a unit only counts positions, as in ``1 pix``: no calibration at all."""
    return units is not None and units.lower() in _COUNTS


def kind_of(units: str | None) -> Kind | None:
    """Tell what is measured along an axis with this unit, where the unit says so.

    Examples
    --------
    >>> kind_of("keV"), kind_of("1/Å"), kind_of("pix")
    ('energy', 'reciprocal', None)
    """
    return _KINDS.get(units) if units is not None else None
