"""What a file holds: signals, each of which can become a cube; and which of them is meant."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from refold.cube.georeference import crs_of, name_of
from refold.errors import ParameterError, UnknownFormatError
from refold.source.axes import Axis
from refold.source.lazy import native, tile, wanted_chunks


@dataclass(frozen=True, slots=True)
class SignalInfo:
    """What `info` tells of one signal, without having read it.

    Attributes
    ----------
    name : str
        Name to give to ``open(…, signal=name)``.
    dims, shape : tuple
        Navigation dims first, as `open` returns them.
    dtype : str
        Name of the dtype.
    chunks : tuple of int
        Blocks in which it is read.
    units : tuple of str or None
        Unit of each dim.
    bytes : int
        Size in memory, were it read whole.
    navigation : tuple of str
        Which of the dims are navigation.
    calibration : tuple of str or None
        For each dim, what is wrong with its calibration; None where nothing is.
    default : bool
        Whether `open` takes this one when none is named.
    ranges : tuple of (float, float) or None
        For each dim with a unit, its first and last position.
    crs : str or None
        Of a scene, the reference system of its rows and columns.
    bad_bands : int or None
        How many channels the file lists as bad; None where it lists none as good or bad.
    """

    name: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    chunks: tuple[int, ...]
    units: tuple[str | None, ...]
    bytes: int
    navigation: tuple[str, ...] = ()
    calibration: tuple[str | None, ...] = ()
    default: bool = False
    ranges: tuple[tuple[float, float] | None, ...] = ()
    crs: str | None = None
    bad_bands: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the same as a dict of plain lists, strings and numbers, ready for JSON.

        Examples
        --------
        >>> SignalInfo("a", ("x",), (3,), "uint8", (3,), (None,), 3).as_dict()["shape"]
        [3]
        """
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Signal:
    """One signal of a file, described but not read.

    Attributes
    ----------
    array : callable
        Makes the lazy array, given its block shape; both in the order of the file.
    stored : tuple of int
        Chunks on disk, or ones. Blocks are multiples of them.
    tiled : bool
        Whether several stored chunks may make one block. Zarr chunks never do unless asked: each is one request.
    picture : bool
        Whether it is an RGB image, which is never the scan itself.
    look : callable, optional
        Where the file declares a number that means no data: looks at a sample of the scene, when the cube is made, and
        says for each channel whether it holds data anywhere, for the coordinate ``good``.
    """

    name: str
    axes: tuple[Axis, ...]
    dtype: np.dtype[Any]
    array: Callable[[tuple[int, ...]], da.Array]
    stored: tuple[int, ...]
    tiled: bool = True
    attrs: Mapping[str, Any] = field(default_factory=dict)
    coords: Mapping[str, xr.Variable] = field(default_factory=dict)
    picture: bool = False
    look: Callable[[], NDArray[np.bool_]] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape, in the order of the file."""
        return tuple(axis.size for axis in self.axes)

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def is_cube(self) -> bool:
        """Whether it has both navigation and signal dims."""
        return len({axis.role for axis in self.axes}) == 2 and not self.picture

    @property
    def order(self) -> tuple[int, ...]:
        """Axes of the file in the order of a cube: navigation first."""
        return tuple(sorted(range(len(self.axes)), key=lambda at: self.axes[at].role != "navigation"))

    @property
    def blocks(self) -> tuple[int, ...]:
        """Block shape that it is read in unless asked otherwise, in the order of the file."""
        signal = [at for at, axis in enumerate(self.axes) if axis.role == "signal"]
        return tile(self.shape, self.dtype.itemsize, signal, self.stored) if self.tiled else self.stored

    def describe(self) -> SignalInfo:
        """Tell what it is."""
        axes, blocks = [self.axes[at] for at in self.order], self.blocks
        return SignalInfo(
            name=self.name,
            dims=tuple(axis.name for axis in axes),
            shape=tuple(axis.size for axis in axes),
            dtype=native(self.dtype).name,
            chunks=tuple(blocks[at] for at in self.order),
            units=tuple(axis.units for axis in axes),
            bytes=self.size * self.dtype.itemsize,
            navigation=tuple(axis.name for axis in axes if axis.role == "navigation"),
            calibration=tuple(axis.calibration for axis in axes),
            ranges=tuple(axis.range for axis in axes),
            crs=name_of(crs) if (crs := crs_of(xr.Dataset(coords=self._scalars))) else None,
            bad_bands=int((~self.coords["good"].values).sum()) if "good" in self.coords else None,
        )

    @property
    def _scalars(self) -> dict[str, xr.Variable]:
        return {name: coord for name, coord in self.coords.items() if not coord.dims}

    def with_signal_dims(self, names: Sequence[str]) -> Signal:
        """Say anew which dims are signal: dims that it has, or new names for its last ones."""
        have = [axis.name for axis in self.axes]
        if not names or len(set(names)) < len(names) or len(names) > len(have):
            raise ParameterError(
                f"signal_dims={tuple(names)}", f"different names, at most {len(have)}", "name each dim once"
            )
        known = [name for name in names if name in have]
        if known and len(known) < len(names):
            unknown = [name for name in names if name not in have]
            raise ParameterError(
                f"signal_dims with {unknown}", f"dims of {self.name!r}: {tuple(have)}", "name dims that it has"
            )
        new = have if known else [*have[: -len(names)], *names]
        axes = [
            replace(axis, name=name, role="signal" if name in names else "navigation")
            for axis, name in zip(self.axes, new, strict=True)
        ]
        renamed = dict(zip(have, new, strict=True))
        coords = {
            key: xr.Variable([renamed.get(str(dim), dim) for dim in coord.dims], coord.data, coord.attrs)
            for key, coord in self.coords.items()
        }
        look = self.look if [axis.role for axis in axes] == [axis.role for axis in self.axes] else None
        return replace(self, axes=tuple(axes), coords=coords, look=look)

    def to_cube(self, chunks: Mapping[str, int] | None = None) -> xr.DataArray:
        """Make the lazy cube, navigation dims first."""
        dims = [axis.name for axis in self.axes]
        blocks = wanted_chunks(chunks, dims, self.blocks, self.stored)
        coords: dict[str, xr.Variable] = {
            axis.name: xr.IndexVariable(axis.name, axis.values, axis.attrs) for axis in self.axes
        }
        cube = xr.DataArray(self.array(blocks), dims=dims, coords={**self.coords, **coords}, name=self.name)
        cube.attrs.update(self.attrs)
        if self.look is not None:
            signal = next(axis for axis in self.axes if axis.role == "signal")
            listed = self.coords["good"].values if "good" in self.coords else True
            cube = cube.assign_coords(good=(signal.name, self.look() & listed))
        return cube.transpose(*(dims[at] for at in self.order))


def with_unique_names(signals: Iterable[Signal]) -> list[Signal]:
    """Tell signals of one file apart whose names repeat: the later ones are numbered."""
    seen: dict[str, int] = {}
    named = []
    for signal in signals:
        seen[signal.name] = seen.get(signal.name, 0) + 1
        number = seen[signal.name]
        named.append(signal if number == 1 else replace(signal, name=f"{signal.name} {number}"))
    return named


def choose(signals: Sequence[Signal], name: str | None, where: str) -> Signal:
    """Pick the signal that is meant: the named one, else the largest that has navigation and signal dims.

    Raises
    ------
    ParameterError
        If there is no signal of that name, or two are as large.
    UnknownFormatError
        If the file holds no signal at all.
    """
    if not signals:
        raise UnknownFormatError(
            f"no array in {where}", "at least one signal", "check that this is the file that was meant"
        )
    names = [signal.name for signal in signals]
    if name is not None:
        if name in names:
            return signals[names.index(name)]
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.4) or names[:1]
        raise ParameterError(f"no signal {name!r} in {where}", f"one of {names}", f"try signal={near[0]!r}")
    candidates = (
        [signal for signal in signals if signal.is_cube] or [s for s in signals if not s.picture] or list(signals)
    )
    largest = max(signal.size for signal in candidates)
    best = [signal for signal in candidates if signal.size == largest]
    if len(best) > 1:
        same = [signal.name for signal in best]
        raise ParameterError(
            f"{len(best)} signals of one size in {where}: {same}", "one", f"say which, as in signal={same[0]!r}"
        )
    return best[0]
