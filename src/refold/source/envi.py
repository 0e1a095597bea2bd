"""ENVI scenes: a header in text, and beside it the numbers in one piece.

https://www.nv5geospatialsoftware.com/docs/enviheaderfiles.html says what the fields of the header mean.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from refold.errors import SourceError, SourceNotFoundError, UnknownFormatError
from refold.source.axes import Axis, clean_name
from refold.source.lazy import Stored
from refold.source.metadata import json_safe
from refold.source.packing import Packing, exact
from refold.source.raw import RawRegion
from refold.source.scene import Bands, Place, map_info, scene_signal
from refold.source.signals import Signal

MARK = b"ENVI"
_DTYPES = {
    1: "u1", 2: "i2", 3: "i4", 4: "f4", 5: "f8", 6: "c8", 9: "c16", 12: "u2", 13: "u4", 14: "i8", 15: "u8",
}  # fmt: skip
_ORDERS = {"bsq": "byx", "bil": "ybx", "bip": "yxb"}
_SUFFIXES = ("", ".img", ".dat", ".raw", ".bin", ".bsq", ".bil", ".bip", ".cube", ".data")
_KEPT = ("description", "sensor type", "acquisition time", "default bands", "class names")
_FIELD = re.compile(r"^[ \t]*([^=\n;{}]+?)[ \t]*=[ \t]*(\{[^}]*\}|[^\n]*)", re.MULTILINE)


def header_beside(path: Path) -> Path | None:
    """Find the ENVI header of a file: itself, or the one beside it; None if there is none.

    A header of the same stem is of this file only if its numbers lie in it: notes and pictures share stems with scenes.
    """
    if path.suffix.lower() == ".hdr":
        return path if _is_header(path) else None
    for suffix in (".hdr", ".HDR"):
        if _is_header(exact := path.with_name(f"{path.name}{suffix}")):
            return exact
    for suffix in (".hdr", ".HDR"):
        header = path.with_suffix(suffix)
        if _is_header(header) and (path.suffix.lower() in _SUFFIXES or _is_of(header, path)):
            return header
    return None


def _is_header(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(MARK)) == MARK


def _is_of(header: Path, path: Path) -> bool:
    """Whether a file is the one where a header's numbers are looked for."""
    fields = read_header(header)
    try:
        shape = [_whole(header, fields, key) for key in ("bands", "lines", "samples")]
        _, dtype = _layout(header, fields, shape[0])
        return _numbers_of(header, _needed(fields, shape, dtype)).samefile(path)
    except SourceError:
        return False


def envi_signals(path: Path, header: Path) -> list[Signal]:
    """Describe a scene in ENVI's format.

    Parameters
    ----------
    path : Path
        What was asked for: the header, or the file of its numbers.
    header : Path
        The header.

    Returns
    -------
    list of Signal
        One: a cube; or, where there is one band, a picture.

    Raises
    ------
    SourceNotFoundError
        If a header has no file of numbers beside it.
    SourceError
        If the header lacks what says how the numbers lie, or there are too few of them.
    UnknownFormatError
        If it is a spectral library, or compressed.
    """
    fields = read_header(header)
    kind = fields.get("file type", "")
    if "library" in kind.lower() or _number(fields, "file compression", 0):
        what = kind if "library" in kind.lower() else "compressed numbers"
        raise UnknownFormatError(f"{what} in {header}", "a scene, not compressed", "export it as an ENVI Standard file")
    bands, rows, columns = (_whole(header, fields, key) for key in ("bands", "lines", "samples"))
    place, described = _place(fields), _bands(fields)
    y, x = place.axes(rows, columns)
    named: dict[str, Axis] = {"y": y, "x": x}
    coords, attrs = place.coords, {**dict(_attrs(fields)), **place.notes}
    if bands > 1:
        named["b"] = described.axis(bands)
        coords |= described.coords(named["b"])
        names = json_safe(_list(fields.get("band names", "")))
        if names and described.wavelengths is None:
            attrs["band_names"] = names
    interleave, dtype = _layout(header, fields, bands)
    axes = tuple(named[key] for key in _ORDERS[interleave] if key in named)
    data, stored = _stored(path, header, fields, tuple(axis.size for axis in axes), dtype)
    return [scene_signal(stored, data.stem, axes, _packing(fields, bands), coords, attrs)]


def _layout(header: Path, fields: Mapping[str, str], bands: int) -> tuple[str, np.dtype[Any]]:
    """Read in which order the numbers lie, and of which type they are."""
    interleave = fields.get("interleave", "bsq" if bands == 1 else "").lower()
    code = _DTYPES.get(_whole(header, fields, "data type"))
    if interleave not in _ORDERS or code is None:
        found = f"interleave {interleave!r}, data type {fields.get('data type')!r} in {header}"
        raise SourceError(found, f"one of {', '.join(_ORDERS)}, and of {sorted(_DTYPES)}", "correct the header")
    return interleave, np.dtype(code).newbyteorder(">" if _number(fields, "byte order", 0) else "<")


def _stored(
    path: Path, header: Path, fields: Mapping[str, str], shape: tuple[int, ...], dtype: np.dtype[Any]
) -> tuple[Path, Stored]:
    """Say where the numbers lie, and check that they are all there."""
    offset, needed = int(_number(fields, "header offset", 0)), _needed(fields, shape, dtype)
    data = _numbers_of(header, needed) if path == header else path
    actual = data.stat().st_size
    if actual < needed:
        wanted = f"{needed}: {' x '.join(map(str, shape))} numbers of {dtype.name}, {offset} bytes before them"
        raise SourceError(f"{actual} bytes in {data}", wanted, "copy or export it again, or correct the header")
    reader = RawRegion(str(data), shape, dtype.str, offset)
    return data, Stored(reader, shape, dtype, (1,) * len(shape), (reader, data.stat().st_mtime_ns))


def _needed(fields: Mapping[str, str], shape: Sequence[int], dtype: np.dtype[Any]) -> int:
    """How many bytes a file of these numbers has."""
    return int(_number(fields, "header offset", 0)) + math.prod(shape) * dtype.itemsize


def read_header(path: Path) -> dict[str, str]:
    """Read the fields of a header, their names in lower case; lists as they stand there, in braces."""
    text = path.read_text(encoding="utf-8", errors="replace").replace("\r\n", "\n")
    return {key.strip().lower(): value.strip() for key, value in _FIELD.findall(text)}


def _numbers_of(header: Path, needed: int) -> Path:
    """Find the file of numbers that a header is of."""
    stem = header.with_suffix("")
    for suffix in _SUFFIXES:
        for name in (f"{stem.name}{suffix}", f"{stem.name}{suffix.upper()}"):
            if (found := stem.with_name(name)).is_file():
                return found
    others = sorted(
        other
        for other in header.parent.glob(f"{_literal(stem.name)}.*")
        if other != header and other.is_file() and other.stat().st_size == needed
    )
    if others:
        return others[0]
    raise SourceNotFoundError(
        f"the header {header}, and no file of its numbers beside it",
        f"a file called {stem.name}, or {stem.name} with a suffix, of {needed} bytes",
        "copy it to the same folder",
    )


def _literal(name: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", name)


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.strip("{} \n\t").replace("\n", " ").split(",") if part.strip()]


def _floats(fields: Mapping[str, str], key: str) -> tuple[float, ...] | None:
    try:
        return tuple(float(part) for part in _list(fields[key])) if key in fields else None
    except ValueError:
        return None


def _number(fields: Mapping[str, str], key: str, default: float) -> float:
    try:
        return float(fields[key])
    except (KeyError, ValueError):
        return default


def _whole(header: Path, fields: Mapping[str, str], key: str) -> int:
    number = _number(fields, key, math.nan)
    if not number >= 1 or number != int(number):
        raise SourceError(f"{key} = {fields.get(key, 'nothing')} in {header}", "a whole number", "correct the header")
    return int(number)


def _bands(fields: Mapping[str, str]) -> Bands:
    good = _floats(fields, "bbl")
    return Bands(
        _floats(fields, "wavelength"),
        _floats(fields, "fwhm"),
        fields.get("wavelength units"),
        None if good is None else [value > 0 for value in good],
    )


def _place(fields: Mapping[str, str]) -> Place:
    if "map info" not in fields:
        return Place()
    system = fields.get("coordinate system string", "").strip("{} \n\t")
    return map_info(fields["map info"], system or None)


def _packing(fields: Mapping[str, str], bands: int) -> Packing:
    """Divide by the reflectance scale factor; where there is none, each band has its gain and offset."""
    no_data = _no_data(fields)
    divisor = _number(fields, "reflectance scale factor", 1.0)
    if divisor not in (0.0, 1.0):
        return Packing(divisor=divisor, no_data=no_data)
    gains, offsets = _floats(fields, "data gain values"), _floats(fields, "data offset values")
    factor = gains if gains is not None and len(gains) == bands else 1.0
    return Packing.scaled(factor, offsets if offsets is not None and len(offsets) == bands else 0.0, no_data)


def _no_data(fields: Mapping[str, str]) -> tuple[int | float, ...]:
    try:
        return tuple(exact(part) for part in _list(fields.get("data ignore value", "")))
    except ValueError:
        return ()


def _attrs(fields: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    for key in _KEPT:
        if key in fields:
            text = fields[key].strip("{} \n\t")
            value = json_safe(_list(text)) if key in ("default bands", "class names") else text
            if value:
                yield clean_name(key), value
