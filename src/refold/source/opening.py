"""`open` and `info`: one door for every format. What a path *is* decides who reads it; its suffix only after that."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, overload

import xarray as xr
from numpy.typing import DTypeLike

from refold.errors import ParameterError
from refold.source.beside import with_images
from refold.source.finding import origin_of, signals_of, where_of
from refold.source.signals import Signal, SignalInfo, choose


@overload
def open(
    path: str | os.PathLike[str] | Any,
    signal: str | None = None,
    *,
    images: Literal[False] | None = None,
    shape: Sequence[int] | None = None,
    dtype: DTypeLike | None = None,
    offset: int = 0,
    signal_dims: str | Sequence[str] | None = None,
    reader: str | None = None,
    chunks: Mapping[str, int] | None = None,
) -> xr.DataArray: ...


@overload
def open(
    path: str | os.PathLike[str] | Any,
    signal: str | None = None,
    *,
    images: Literal[True] | str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    shape: Sequence[int] | None = None,
    dtype: DTypeLike | None = None,
    offset: int = 0,
    signal_dims: str | Sequence[str] | None = None,
    reader: str | None = None,
    chunks: Mapping[str, int] | None = None,
) -> xr.Dataset: ...


def open(
    path: str | os.PathLike[str] | Any,
    signal: str | None = None,
    *,
    images: bool | str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = None,
    shape: Sequence[int] | None = None,
    dtype: DTypeLike | None = None,
    offset: int = 0,
    signal_dims: str | Sequence[str] | None = None,
    reader: str | None = None,
    chunks: Mapping[str, int] | None = None,
) -> xr.DataArray | xr.Dataset:
    """Open a scan lazily, in any format: nothing of its signal is read before it is computed.

    Parameters
    ----------
    path : str, path, Zarr store, zarr.Array or zarr.Group
        File, directory or URL; URLs must lead to a Zarr store. A path may go on inside a Zarr store. A directory of
        TIFF images of one field, such as maps of elements, is a scan with one value of each image in a pixel, named
        after the files.
    signal : str, optional
        Which signal, in a file that holds several; `info` lists them. By default the largest that has both
        navigation and signal dims.
    images : bool, str, path or sequence of these, optional
        Images to open beside it, such as BSE and HAADF: True for all of the file that lie on its grid, or some by
        their names; or files of their own, also by a path from where the scan is.
    shape, dtype : optional
        Shape (navigation first) and dtype of raw binary.
    offset : int
        Bytes of header before raw binary.
    signal_dims : str or sequence of str, optional
        Which dims are signal, where the file does not say or is wrong. Names that no dim has yet rename the last ones.
    reader : str, optional
        Name of a RosettaSciIO reader, such as ``"EMPAD"``, where the file's suffix leaves a doubt.
    chunks : mapping of str to int, optional
        Block sizes along some dims, in multiples of what is stored.

    Returns
    -------
    xarray.DataArray, or xarray.Dataset with images
        Dask-backed; navigation dims first; on each dim's coordinate a ``role``, and ``units`` where they are known.
        Metadata worth keeping are attributes. Of a scene rows and columns are in map units, ``spatial_ref`` says of
        which reference system, ``fwhm`` how wide bands are, and ``good`` which of them are worth learning from.

    Raises
    ------
    SourceNotFoundError
        If there is nothing at the path.
    UnknownFormatError
        If nobody can read it.
    ParameterError
        If the signal named is not there, or none is named and two would do.
    MissingDependencyError
        If its reader needs a package that is not installed.
    CubeError
        If images are asked for, and do not lie on the scan's grid.

    Notes
    -----
    Where a scene's file declares a number that means no data, about 256 places of it are read: a band that holds no
    data at any of them, though others do, is not ``good``.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp(), "scan.npy")
    >>> np.save(path, np.zeros((3, 4, 16, 16), dtype="uint16"))
    >>> open(path).dims
    ('y', 'x', 'ky', 'kx')
    """
    chosen = signal_of(path, signal, signal_dims, shape=shape, dtype=dtype, offset=offset, reader=reader)
    cube = chosen.to_cube(chunks)
    cube.attrs.update(source=origin_of(path), signal=chosen.name)
    if images is None or images is False:
        return cube
    return with_images(cube, path, images, {"shape": shape, "dtype": dtype, "offset": offset, "reader": reader})


def signal_of(
    path: Any, signal: str | None = None, signal_dims: str | Sequence[str] | None = None, **options: Any
) -> Signal:
    """Describe the signal that `open` takes, for the same arguments."""
    found = signals_of(path, **{"shape": None, "dtype": None, "offset": 0, "reader": None, **options})
    chosen = choose(found, signal, where_of(path))
    if signal_dims is None:
        return chosen
    return chosen.with_signal_dims((signal_dims,) if isinstance(signal_dims, str) else tuple(signal_dims))


def info(
    path: str | os.PathLike[str] | Any,
    *,
    shape: Sequence[int] | None = None,
    dtype: DTypeLike | None = None,
    offset: int = 0,
    reader: str | None = None,
) -> list[SignalInfo]:
    """List the signals of a file without reading them.

    Parameters
    ----------
    path, shape, dtype, offset, reader
        As for `open`.

    Returns
    -------
    list of SignalInfo
        In the order of the file; ``default`` marks the one that `open` takes.

    Raises
    ------
    SourceNotFoundError, UnknownFormatError, MissingDependencyError
        As for `open`.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp(), "scan.npy")
    >>> np.save(path, np.zeros((3, 4, 5)))
    >>> [(signal.name, signal.dims, signal.bytes) for signal in info(path)]
    [('scan', ('y', 'x', 'channel'), 480)]
    """
    found = signals_of(path, shape=shape, dtype=dtype, offset=offset, reader=reader)
    try:
        default = choose(found, None, where_of(path)).name
    except ParameterError:  # two would do: none is the default
        default = None
    return [replace(signal.describe(), default=signal.name == default) for signal in found]
