"""Masking: leave out channels of every pixel, or pixels of the scan."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr

from refold.cube import check_cube, navigation_dims, signal_dims
from refold.errors import ParameterError
from refold.prepare.blocks import check_dims, lay, with_data
from refold.prepare.steps import ValueStep, as_rows, broadcast_flat
from refold.prepare.tiles import Bench


@dataclass(frozen=True)
class Fill(ValueStep):
    """Mask one block: put a value where the mask is True.

    Parameters
    ----------
    value : scalar
        Of the result's type.
    dtype : numpy.dtype
        Of the result.
    n_signal : int
        How many of the dims are signal dims.
    mask_dims : tuple of bool
        Along which dims the mask has positions of its own; along the others it is of size 1.
    """

    name: ClassVar[str] = "mask"

    value: Any
    dtype: np.dtype[Any]
    n_signal: int
    mask_dims: tuple[bool, ...]

    @property
    def over(self) -> tuple[bool, ...]:
        """Take one mask."""
        return self.mask_dims

    def __call__(self, block: npt.NDArray[Any], *masks: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
        """Copy a block, and put the value in."""
        out = block.astype(self.dtype)
        np.copyto(out, self.value, where=masks[0])
        return out

    def into(self, tile: npt.NDArray[Any], out: npt.NDArray[Any], bench: Bench, *masks: npt.NDArray[np.bool_]) -> None:
        """Copy a tile, and put the value in."""
        from refold.prepare.compiled import fill_channels, fill_pixels  # numba costs more to import than this package

        rows, target, split = as_rows(tile, self.n_signal), as_rows(out, self.n_signal), tile.ndim - self.n_signal
        if any(self.mask_dims[split:]):
            masked = broadcast_flat(masks[0], (*(1,) * split, *tile.shape[split:]))
            fill_channels(rows, masked, self.value, target)
        else:
            masked = broadcast_flat(masks[0], (*tile.shape[:split], *(1,) * self.n_signal))
            fill_pixels(rows, masked, self.value, target)


def mask(
    cube: xr.DataArray,
    array: Any = None,
    *,
    circle: Sequence[Any] | None = None,
    annulus: Sequence[Any] | None = None,
    inside: bool = False,
    fill: float | None = None,
    drop: bool = False,
    dims: Sequence[str] | None = None,
) -> xr.DataArray:
    """Leave out part of the signal, or some pixels, lazily.

    Exactly one of ``array``, ``circle`` and ``annulus`` is given.

    Parameters
    ----------
    cube : xarray.DataArray
        A cube.
    array : array of bool, optional
        True is masked. Over signal dims it masks channels of every pixel; over navigation dims, whole pixels. A
        DataArray is laid on its dims by name, and may be lazy; other arrays on the signal or the navigation dims,
        whichever has their shape.
    circle : sequence, optional
        ``(centre, radius)`` in the units of two signal dims (``((ky, kx), radius)``, or flat, as in
        ``(ky, kx, radius)``), or of one (``(energy, half_width)``). What lies within is masked: the direct beam.
    annulus : sequence, optional
        ``(centre, inner, outer)``, likewise. What lies between is masked.
    inside : bool
        Whether to mask the rest instead, and so keep what lies inside the shape, or where ``array`` is True.
    fill : float, optional
        What masked values become. By default 0 for channels, which keeps the cube's type; and NaN for pixels, which
        then get no label. Integers have no NaN, so masking pixels of an integer cube makes floats of it (float32 up to
        16 bits, float64 above) unless a ``fill`` is given; a pixel of zeros is one like any other.
    drop : bool
        Leave masked positions out instead of filling them; for a mask over a single dim, such as bad bands.
    dims : sequence of str, optional
        Dims of ``array`` where its shape fits the signal as well as the navigation dims.

    Returns
    -------
    xarray.DataArray
        The masked cube.

    Raises
    ------
    ParameterError
        If not exactly one mask is given, it does not fit the cube, it masks everything, or the fill does not fit the
        cube's type.

    Examples
    --------
    >>> from refold.cube import as_cube
    >>> k = np.array([-1, 0, 1])
    >>> cube = as_cube(np.ones((1, 1, 3, 3)), signal=("ky", "kx"), coords={"ky": k, "kx": k})
    >>> mask(cube, circle=((0, 0), 0.5)).values[0, 0].tolist()
    [[1.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 1.0]]
    >>> bad = np.array([False, True, False])
    >>> mask(as_cube(np.ones((2, 3)), signal="energy"), bad, drop=True).energy.values.tolist()
    [0, 2]
    """
    cube = check_cube(cube)
    given = [option for option in (array, circle, annulus) if option is not None]
    if len(given) != 1:
        raise ParameterError(f"{len(given)} masks", "one of array, circle and annulus", "call mask once for each")
    masked = _of_array(cube, array, dims) if array is not None else _of_shape(cube, circle, annulus)
    masked = ~masked if inside else masked
    if masked.chunks is None and bool(masked.all()):
        raise ParameterError(
            "a mask that leaves nothing", "something left to look at", "check its units, centre and sense"
        )
    if drop:
        return _dropped(cube, masked)
    value, dtype = _fill(cube, masked, fill)
    step = Fill(value, dtype, len(signal_dims(cube)), tuple(dim in masked.dims for dim in cube.dims))
    return with_data(cube, lay(cube, step, _laid_over(cube, masked)))


def _of_array(cube: xr.DataArray, array: Any, dims: Sequence[str] | None) -> xr.DataArray:
    """Name the dims of a mask, and check that it fits there."""
    if isinstance(array, xr.DataArray):
        masked = array
    else:
        array = array if hasattr(array, "shape") else np.asarray(array)
        masked = xr.DataArray(array, dims=dims or _dims_by_shape(cube, array.shape))
    names = tuple(str(dim) for dim in masked.dims)
    check_dims(cube, names)
    signal, navigation = signal_dims(cube), navigation_dims(cube)
    if not (set(names) <= set(signal) or set(names) <= set(navigation)):
        wanted = f"either signal dims, of {signal}, or navigation dims, of {navigation}"
        raise ParameterError(f"a mask over {names}", wanted, "mask in two steps")
    if masked.dtype.kind != "b":
        raise ParameterError(
            f"a mask of dtype {masked.dtype}", "booleans, True where masked", "compare first, as in a > 0"
        )
    for dim in names:
        if masked.sizes[dim] != cube.sizes[dim]:
            found = f"a mask of {masked.sizes[dim]} along {dim!r}"
            raise ParameterError(found, f"{cube.sizes[dim]}, as the cube has", "crop or rebin the mask as the cube was")
        if dim in masked.coords and not _same_positions(masked[dim].values, cube[dim].values):
            found = f"a mask at other positions along {dim!r} than the cube"
            raise ParameterError(found, "the same coordinate", "interpolate it, or drop its coordinate")
    return masked


def _dims_by_shape(cube: xr.DataArray, shape: tuple[int, ...]) -> tuple[str, ...]:
    fits = [
        dims
        for dims in (signal_dims(cube), navigation_dims(cube))
        if tuple(cube.sizes[dim] for dim in dims) == tuple(shape)
    ]
    if len(fits) == 1:
        return fits[0]
    sizes = ", ".join(f"{dim}: {size}" for dim, size in cube.sizes.items())
    if fits:
        wanted = f"to know whether it lies over {fits[0]} or {fits[1]}"
        raise ParameterError(f"a mask of shape {shape}", wanted, f"pass dims={fits[0]!r} or dims={fits[1]!r}")
    raise ParameterError(
        f"a mask of shape {shape}", f"the signal or the navigation shape of {sizes}", "change the mask"
    )


def _same_positions(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> bool:
    if one.dtype.kind in "iuf" and other.dtype.kind in "iuf":
        return bool(np.allclose(one, other, rtol=1e-6, atol=0, equal_nan=True))
    return bool(np.array_equal(one, other))


def _of_shape(cube: xr.DataArray, circle: Sequence[Any] | None, annulus: Sequence[Any] | None) -> xr.DataArray:
    """Find the channels within a circle, or between two."""
    signal = signal_dims(cube)
    name, n_radii, given = ("circle", 1, circle) if circle is not None else ("annulus", 2, annulus)
    if len(signal) > 2:
        raise ParameterError(f"a {name} on signal dims {signal}", "one or two signal dims", "mask with an array")
    numbers = _flat(name, given)
    if len(numbers) != len(signal) + n_radii:
        shape = "(centre, radius)" if n_radii == 1 else "(centre, inner, outer)"
        wanted = f"{shape} with {len(signal)} numbers for the centre, of {', '.join(signal)}"
        raise ParameterError(f"{name}={given!r}", wanted, "change it")
    centre, radii = numbers[: len(signal)], numbers[len(signal) :]
    inner, outer = (0.0, radii[0]) if n_radii == 1 else (radii[0], radii[1])
    if not 0 <= inner < outer:
        raise ParameterError(f"{name}={given!r}", "radii of 0 or more, the outer one larger", "change the radii")
    squares = sum(
        (
            (cube[dim].astype(np.float64).drop_vars(dim) - middle) ** 2
            for dim, middle in zip(signal, centre, strict=True)
        ),
        start=xr.DataArray(0.0),
    )
    distance = squares**0.5
    return (distance <= outer) & (distance >= inner)


def _flat(name: str, given: Any) -> list[float]:
    """Read numbers, nested or not."""
    try:
        if isinstance(given, Iterable) and not isinstance(given, str):
            return [number for part in given for number in _flat(name, part)]
        return [float(given)]
    except (TypeError, ValueError) as error:
        raise ParameterError(f"{given!r} in {name}", "numbers", "give a centre and radii") from error


def _dropped(cube: xr.DataArray, masked: xr.DataArray) -> xr.DataArray:
    if masked.ndim != 1 or masked.chunks is not None:
        wanted = "a mask in memory over a single dim"
        raise ParameterError(f"drop=True with a mask over {masked.dims}", wanted, "fill instead, or crop")
    return cube.isel({masked.dims[0]: np.flatnonzero(~masked.values)})


def _fill(cube: xr.DataArray, masked: xr.DataArray, fill: float | None) -> tuple[Any, np.dtype[Any]]:
    """Choose what masked values become, and the type that holds it."""
    dtype, on_pixels = cube.dtype.newbyteorder("="), set(map(str, masked.dims)) <= set(navigation_dims(cube))
    if fill is None and not on_pixels:
        return dtype.type(0), dtype
    if fill is None or (on_pixels and np.isnan(fill)):
        if dtype.kind != "f":
            dtype = np.dtype(np.float32 if dtype.itemsize <= 2 else np.float64)
        return dtype.type(np.nan), dtype
    if not on_pixels and not np.isfinite(fill):
        remedy = "fill with a number, or use drop=True"
        raise ParameterError(f"fill={fill} for channels", "a finite number: NaN would make every pixel invalid", remedy)
    limits = None if dtype.kind == "f" else (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    if limits is not None and not (limits[0] <= fill <= limits[1] and float(fill).is_integer()):
        raise ParameterError(f"fill={fill}", f"a value that {dtype} holds", "change it, or convert the cube first")
    return dtype.type(fill), dtype


def _laid_over(cube: xr.DataArray, masked: xr.DataArray) -> Any:
    """Give a mask all dims of the cube, of size 1 where it says nothing; in the cube's chunks where that is lazy."""
    missing = [dim for dim in cube.dims if dim not in masked.dims]
    full = masked.variable.to_base_variable().set_dims([*missing, *masked.dims]).transpose(*cube.dims)
    if cube.chunks is None and masked.chunks is None:
        return full.values
    chunks = cube.chunks or tuple((size,) for size in cube.shape)
    own = tuple(sizes if dim in masked.dims else (1,) for dim, sizes in zip(cube.dims, chunks, strict=True))
    array = full.data if masked.chunks is not None else da.from_array(full.values, chunks=full.shape, name=False)
    return array.rechunk(own)
