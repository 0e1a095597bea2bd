"""Who reads this? Decided by what the path is: a store, a directory, a file's first bytes; then by its suffix."""

from __future__ import annotations

import difflib
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from numpy.typing import DTypeLike

from refold.errors import MissingDependencyError, ParameterError, SourceNotFoundError, UnknownFormatError
from refold.source.signals import Signal, with_unique_names

_ZARR_MARKS = ("zarr.json", ".zgroup", ".zarray", ".zmetadata")
_NPY = b"\x93NUMPY"
_HDF5 = b"\x89HDF\r\n\x1a\n"
_ZIP = b"PK\x03\x04"
# Files of other formats, which a scene's header may lie beside. Not gzip: ENVI compresses numbers by it.
_NO_SCENE = (
    _HDF5, _ZIP, b"\x0e\x03\x13\x01", b"MATLAB 5.0", b"\x89PNG\r\n\x1a\n", b"GIF8", b"%PDF-",
    b"\xff\xd8\xff\xe0", b"\xff\xd8\xff\xe1", b"\xff\xd8\xff\xdb",
)  # fmt: skip


def where_of(path: Any) -> str:
    """Name what is opened, for messages and attributes."""
    if isinstance(path, str | os.PathLike):
        return os.fspath(path)
    array_path = getattr(path, "path", "")
    return f"{getattr(path, 'store', path)}/{array_path}".rstrip("/")


def origin_of(path: Any) -> str:
    """Name where a cube came from, so that it can be found again from another directory."""
    where = where_of(path)
    return (
        where if "://" in where or not isinstance(path, str | os.PathLike) else str(Path(where).expanduser().absolute())
    )


def signals_of(
    path: Any, *, shape: Sequence[int] | None, dtype: DTypeLike | None, offset: int, reader: str | None
) -> list[Signal]:
    """Describe every signal of whatever lies at a path."""
    import zarr
    from zarr.abc.store import Store
    from zarr.storage import StorePath

    if isinstance(path, zarr.Array | zarr.Group | Store | StorePath):
        from refold.source.zarr import zarr_signals

        return with_unique_names(zarr_signals(path, where_of(path)))
    if not isinstance(path, str | os.PathLike):
        raise ParameterError(
            f"a {type(path).__name__}", "a path, URL or Zarr store", "make arrays cubes with refold.as_cube"
        )
    text = os.fspath(path)
    parts = urlsplit(text)
    if "://" in text and parts.scheme != "file":
        return with_unique_names(_remote(text))
    local = Path(unquote(parts.path)) if "://" in text else Path(text).expanduser()
    if not local.exists():
        raise _not_found(local)
    if shape is not None or dtype is not None:
        return _raw(local, shape, dtype, offset)
    return with_unique_names(_directory(local, reader) if local.is_dir() else _file(local, reader))


def _not_found(path: Path) -> SourceNotFoundError:
    folder = path.parent
    siblings = [item.name for item in folder.iterdir()] if folder.is_dir() else []
    near = difflib.get_close_matches(path.name, siblings, n=1)
    remedy = (
        f"did you mean {folder / near[0]}?"
        if near
        else "check the path" + ("" if folder.is_dir() else f": no {folder}")
    )
    return SourceNotFoundError(f"nothing at {path}", "a file or store", remedy)


def _remote(url: str) -> list[Signal]:
    from refold.source.zarr import zarr_signals

    try:
        return zarr_signals(url, url)
    except ImportError as error:
        raise MissingDependencyError(
            f"{url}, whose protocol needs a package that is not installed ({error})",
            "fsspec and the package of that protocol",
            "install it: s3fs for s3://, gcsfs for gs://, adlfs for az://, aiohttp for https://",
        ) from error


def _raw(path: Path, shape: Sequence[int] | None, dtype: DTypeLike | None, offset: int) -> list[Signal]:
    from refold.source.raw import raw_signals

    if shape is None or dtype is None:
        given, missing = ("dtype", "shape") if shape is None else ("shape", "dtype")
        raise ParameterError(
            f"a {given} and no {missing} for {path}", "both, for raw binary", f"give the {missing} too"
        )
    if path.is_dir():
        raise UnknownFormatError(
            f"a directory, {path}, with shape and dtype", "a file of raw binary", "name the file in it"
        )
    return raw_signals(path, shape, dtype, offset)


def _directory(path: Path, reader: str | None) -> list[Signal]:
    if is_zarr(path):
        from refold.source.zarr import zarr_signals

        return zarr_signals(str(path), str(path))
    from refold.source.images import image_signals, images_in

    if images := images_in(path):
        return image_signals(path, images)
    inside = sorted(item.name for item in path.iterdir())
    shown = ", ".join(inside[:5]) + (", …" if len(inside) > 5 else "")
    raise UnknownFormatError(
        f"a directory that is no Zarr store, {path}, holding {shown or 'nothing'}",
        f"a file, a directory of TIFF images, or one with one of {', '.join(_ZARR_MARKS)}",
        "name the file in it that holds the scan" if inside else "check the path",
    )


def _file(path: Path, reader: str | None) -> list[Signal]:
    with path.open("rb") as file:
        start = file.read(16)
    if not start:
        raise UnknownFormatError(f"an empty file, {path}", "a scan", "copy or export it again")
    if start.startswith(_NPY):
        from refold.source.raw import npy_signals

        return npy_signals(path)
    if start.startswith(_ZIP) and _is_zarr_zip(path):
        from zarr.storage import ZipStore

        from refold.source.zarr import zarr_signals

        return zarr_signals(ZipStore(path, mode="r"), str(path))
    if start.startswith(_HDF5) and (reader is None or reader.upper() == "HSPY"):
        found = _hdf5(path, reader)
        if found is not None:
            return found
    if reader is None:
        found = _scene(path, start)
        if found is not None:
            return found
    from refold.source.rosettasciio import rosetta_signals

    return rosetta_signals(path, reader)


def _hdf5(path: Path, reader: str | None) -> list[Signal] | None:
    """Describe an HDF5 file whose layout tells what it is; None where it does not."""
    from refold.source.hdf5 import experiment_signals
    from refold.source.neon import neon_signals
    from refold.source.netcdf import is_netcdf, netcdf_signals

    for signals in (experiment_signals, neon_signals):
        found = signals(path) if reader is None or signals is experiment_signals else None
        if found is not None:
            return found
    return netcdf_signals(path) if reader is None and is_netcdf(path) else None


def _scene(path: Path, start: bytes) -> list[Signal] | None:
    """Describe a scene that its first bytes, or a header beside it, say to be one; None where they do not."""
    from refold.source.envi import envi_signals, header_beside
    from refold.source.geotiff import MARKS, geotiff_signals, is_georeferenced
    from refold.source.netcdf import CLASSIC, netcdf_signals

    if start.startswith(CLASSIC):
        return netcdf_signals(path, classic=True)
    if start.startswith(MARKS):
        return geotiff_signals(path) if is_georeferenced(path) else None
    if start.startswith(_NO_SCENE):
        return None
    header = header_beside(path)
    return None if header is None else envi_signals(path, header)


def is_zarr(path: Path) -> bool:
    """Whether a directory is a Zarr store."""
    return any((path / mark).exists() for mark in _ZARR_MARKS)


def _is_zarr_zip(path: Path) -> bool:
    with zipfile.ZipFile(path) as archive:
        return any(name in _ZARR_MARKS for name in archive.namelist())
