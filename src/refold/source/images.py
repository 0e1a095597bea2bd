"""A folder of TIFF images of one field as a scan: of each pixel one value in each image, as in maps of elements."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import dask.array as da
import numpy as np

from refold.errors import SourceError
from refold.source.axes import Axis
from refold.source.rosettasciio import rosetta_signals
from refold.source.signals import Signal
from refold.source.units import METRES, normalise_units

_SUFFIXES = frozenset({".tif", ".tiff"})
_SYMBOLS = (
    "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr Nb "
    "Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au "
    "Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U"
)
# "Fe", "Fe_Ka", "Fe K series", "Fe Kα1", with anything but letters before and behind.
_LINE = re.compile(
    rf"(?<![A-Za-z])({'|'.join(sorted(_SYMBOLS.split(), key=len, reverse=True))})"
    r"(?:[ _-]*([KLM])(?:[ _-]?(alpha|beta|[abαβ])\d*|(?=[ _-]*series)|(?![A-Za-z])))?(?![A-Za-z])"
)
_GREEK = {"α": "a", "β": "b", "alpha": "a", "beta": "b"}
_SEPARATORS = " _-."
_OF_ONE_IMAGE = frozenset({"title", "date", "time", "hyperspy", "read_whole"})
_INCH, _CENTIMETRE = 2, 3  # TIFF 6.0, tag ResolutionUnit
# Per inch says a printer mostly what it shall do, and a microscope seldom what it did: believed below this, in µm.
_PRINTED = 10.0
_SAME = 1e-3  # of a pixel: sizes nearer than that are one


def images_in(folder: Path) -> list[Path]:
    """TIFF files of a folder, in the order of their names; hidden ones left out."""
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in _SUFFIXES and file.name[0] != ".")


def image_signals(folder: Path, files: Sequence[Path]) -> list[Signal]:
    """Describe the scan that images of one field make.

    Parameters
    ----------
    folder : Path
        Where they are.
    files : sequence of Path
        TIFF files with one grey image each.

    Returns
    -------
    list of Signal
        One: ``y``, ``x`` and ``line``, whose positions are the elements or lines that the files are named after; else
        ``image``, with the names of the files. Pixel sizes are those that the files say.

    Raises
    ------
    SourceError
        If a file cannot be read, is coloured or holds several images; if shapes, types or pixel sizes differ.
    """
    images = [image_of(file) for file in files]
    for file, image in zip(files, images, strict=True):
        _check_same(files[0], images[0], file, image)
    names = names_of([file.stem for file in files])
    dim = "image" if names is None else "line"
    values = np.array([file.stem for file in files] if names is None else names, dtype=object)
    first = images[0]
    axes = (Axis(dim, "signal", values), *(replace(axis, role="navigation") for axis in first.axes))
    attrs = {key: value for key, value in first.attrs.items() if key not in _OF_ONE_IMAGE}
    return [Signal(folder.name, axes, first.dtype, partial(_stacked, images), (1, *first.shape), attrs=attrs)]


def is_image(path: Path) -> bool:
    """Whether a file is named as a TIFF image."""
    return path.is_file() and path.suffix.lower() in _SUFFIXES


def image_of(file: Path) -> Signal:
    """Describe the one grey image of a TIFF file, with the pixel size that its tags say.

    Raises
    ------
    SourceError
        If it cannot be read, is coloured, or holds several images.
    """
    found = rosetta_signals(file, "TIFF")
    if len(found) != 1 or found[0].picture or len(found[0].axes) != 2:
        shapes = [signal.shape for signal in found]
        kind = "coloured" if any(signal.picture for signal in found) else f"of shapes {shapes}"
        remedy = "export it as one grey image, or take the file out of the folder"
        raise SourceError(f"{file}, which is {kind}", "one grey image in each file", remedy)
    image = found[0]
    size = _pixel_size(file) if all(axis.units is None for axis in image.axes) else None
    if size is None:
        return image
    axes = [
        replace(axis, values=np.arange(axis.size) * step, units=size[1], calibration=None)
        for axis, step in zip(image.axes, size[0], strict=True)
    ]
    return replace(image, axes=tuple(axes))


def _pixel_size(file: Path) -> tuple[tuple[float, float], str] | None:
    """Height and width of a pixel as the tags of ImageJ or TIFF's own say them, and the unit, if they do."""
    import tifffile

    with tifffile.TiffFile(file) as opened:
        tags = opened.pages.first.tags
        found = [tags.get(name) for name in ("YResolution", "XResolution")]
        per_unit = [tag.value[0] / tag.value[1] if tag is not None and tag.value[1] else 0.0 for tag in found]
        unit_tag = tags.get("ResolutionUnit")
        told = normalise_units((opened.imagej_metadata or {}).get("unit"))
    if min(per_unit) <= 0:
        return None
    if told in METRES:
        return (1 / per_unit[0], 1 / per_unit[1]), told
    microns = {_INCH: 25_400.0, _CENTIMETRE: 10_000.0}.get(int(unit_tag.value) if unit_tag is not None else 0)
    if microns is None or (microns > 10_000 and microns / min(per_unit) > _PRINTED):
        return None
    return (microns / per_unit[0], microns / per_unit[1]), "µm"


def _check_same(first: Path, one: Signal, file: Path, other: Signal) -> None:
    for what, here, there in (("shape", one.shape, other.shape), ("type", one.dtype, other.dtype)):
        if here != there:
            found = f"{what} {here} in {first.name} and {there} in {file.name}"
            remedy = "export them alike, or take those of another field out of the folder"
            raise SourceError(found, "images of one field, all alike", remedy)
    for axis, same in zip(one.axes, other.axes, strict=True):
        step, theirs = _step(axis), _step(same)
        if axis.units != same.units or abs(step - theirs) > _SAME * abs(step):
            found = f"pixels of {step:g} {axis.units} in {first.name} and of {theirs:g} {same.units} in {file.name}"
            raise SourceError(found, "images of one field, all alike", "export them with one pixel size")


def _step(axis: Axis) -> float:
    return float(axis.values[1] - axis.values[0]) if axis.size > 1 else 0.0


def _stacked(images: Sequence[Signal], blocks: tuple[int, ...]) -> da.Array:
    """The lazy stack; a file is read whole, as TIFF readers do."""
    stack: da.Array = da.stack([image.array(blocks[1:]) for image in images])
    return stack


def names_of(stems: Sequence[str]) -> list[str] | None:
    """Elements or lines that files are named after, if each names another one.

    Parameters
    ----------
    stems : sequence of str
        Names of files without suffixes.

    Returns
    -------
    list of str or None
        Such as ``Fe`` or ``Fe_Ka``.

    Examples
    --------
    >>> names_of(["area B Fe Kα1", "area B O Kα1"]), names_of(["C_Ka", "Ca_Ka"]), names_of(["BSE", "Fe"])
    (['Fe_Ka', 'O_Ka'], ['C_Ka', 'Ca_Ka'], None)
    """
    same = next((at for at, letters in enumerate(zip(*stems, strict=False)) if len(set(letters)) > 1), 0)
    common = stems[0][:same]
    begins = max(common.rfind(separator) for separator in _SEPARATORS) + 1
    for start in (0, begins):  # what all names begin with may look like an element: B of "area B"
        found = [_LINE.search(stem, start) for stem in stems]
        names = [_name(match) for match in found if match is not None]
        if len(names) == len(stems) == len(set(names)):
            return names
    return None


def _name(match: re.Match[str]) -> str:
    element, shell, letter = match.groups()
    return element if shell is None else f"{element}_{shell}{_GREEK.get(letter or '', letter or '')}"
