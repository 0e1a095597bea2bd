"""`convert`: any scan, in whatever chunks, becomes a Zarr store whose chunks hold whole signals."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from refold.cube import as_cube, check_cube, navigation_dims
from refold.engine import Block, Where, ZarrWriter, settings, sweep
from refold.engine.display import progress_for_terminal
from refold.engine.progress import Progress
from refold.engine.resident import peak_memory, reset_peak
from refold.errors import ParameterError
from refold.planning import Grid
from refold.planning.rechunking import Rechunking, Sizes, Stored, plan_rechunking
from refold.source.finding import origin_of
from refold.source.opening import signal_of
from refold.source.placing import hidden, write_metadata, written_whole
from refold.source.signals import Signal

_OF_THE_FILE = ("reader", "read_whole")  # attributes that say how it was read, not what was measured
_PARTITIONS = 64


@dataclass(frozen=True)
class Converted:
    """What `convert` did, for people and for programs.

    Parameters
    ----------
    store : Path
        The new store.
    signal : str
        Name of its scan.
    chunks : dict of str to int
        Size of a chunk along each dim.
    passes : int
        Times that every value was written: twice where blocks of whole signals were too large for one pass.
    bytes_read, bytes_stored : int
        Of the scan, decoded; and of the new store, as it is on disk.
    peak_memory : int
        Highest resident memory of this process, in bytes.
    seconds : float
        In all.
    """

    store: Path
    signal: str
    chunks: Mapping[str, int]
    passes: int
    bytes_read: int
    bytes_stored: int
    peak_memory: int
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {**vars(self), "store": str(self.store), "chunks": dict(self.chunks)}


def convert(
    scan: str | os.PathLike[str] | Any,
    target: str | os.PathLike[str],
    *,
    signal: str | None = None,
    chunks: Mapping[str, int] | None = None,
    memory: int | str | None = None,
    workers: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> Converted:
    """Copy a scan into a Zarr v3 store whose chunks hold whole signals, in bounded memory.

    Each stored chunk of the scan is decoded once, however it cuts the signal. What `refold.open` then finds in the new
    store is the same cube: values, dtype, dims, coordinates and attributes, but for those that say how the file was
    read (``source``, ``reader``, ``read_whole``).

    Parameters
    ----------
    scan : str, path, Zarr store, zarr.Array or zarr.Group
        Whatever `refold.open` opens.
    target : path-like
        The new store; it is there when it is whole.
    signal : str, optional
        Which signal, in a file that holds several.
    chunks : mapping of str to int, optional
        Sizes of the new chunks along navigation dims, as in ``{"y": 32, "x": 32}``. By default tiles as square as the
        stored chunks allow, of 16 to 32 MiB with their signals.
    memory : int or str, optional
        Bytes for blocks, or a size such as ``"2GB"``; by default a quarter of what is free. At least about twice the
        largest of the stored chunks.
    workers : int, optional
        Blocks in flight; by default one for each core.
    overwrite : bool
        Whether a store that is at the target may go, once the new one is whole.
    progress : Progress, optional
        Told of every block; by default a bar if standard error is a terminal.
    **options
        As for `refold.open`: ``shape``, ``dtype``, ``offset``, ``signal_dims``, ``reader``.

    Returns
    -------
    Converted
        What was done.

    Raises
    ------
    StoreExistsError
        If there is something at the target, unless ``overwrite``.
    MemoryBudgetError
        If the largest stored chunk does not fit.
    DiskFullError
        If the disk fills up; nothing is left of the new store then, as after any other error.
    ParameterError
        If chunks of that kind are not possible, or the target lies in the scan.
    CubeError
        If the scan has no navigation or no signal dims.

    Notes
    -----
    Where blocks of whole stored chunks with whole signals are too large for the memory (all positions x a few channels
    in each chunk), there are two passes, with pieces of chunks in a store beside the target between them, which needs
    room on the disk meanwhile. See `refold.planning.rechunking`.

    Examples
    --------
    >>> import tempfile, numpy as np, refold, zarr
    >>> folder = tempfile.mkdtemp()
    >>> tall = zarr.create_array(folder + "/tall.zarr", shape=(8, 8, 64), chunks=(8, 8, 1), dtype="uint16")
    >>> convert(tall, folder + "/scan.zarr").chunks
    {'y': 8, 'x': 8, 'channel': 64}
    """
    began, target = time.perf_counter(), Path(target).expanduser()
    reset_peak()
    _check_apart(scan, target)
    chosen = signal_of(scan, signal, **options)
    empty = check_cube(chosen.to_cube())
    with settings(memory=memory, workers=workers, progress=progress or progress_for_terminal()) as setup:
        way = _way(chosen, empty, chunks, setup.budget.memory, setup.n_workers)
        cube = _read_by(chosen, empty, way.read)
        with (
            settings(workers=way.workers),
            written_whole(target, overwrite) as partial,
            hidden(target, "between") as between,
            _bounded_writes(),
        ):
            new = _create(cube, partial, _place_of(chosen.name, cube), way.chunks, {"converted_from": origin_of(scan)})
            _copy(cube, new, way, between)
    return Converted(
        store=target,
        signal=chosen.name,
        chunks=dict(zip(map(str, cube.dims), way.chunks, strict=True)),
        passes=way.passes,
        bytes_read=cube.nbytes,
        bytes_stored=sum(file.stat().st_size for file in target.rglob("*") if file.is_file()),
        peak_memory=peak_memory(),
        seconds=time.perf_counter() - began,
    )


def _check_apart(scan: Any, target: Path) -> None:
    """Refuse to write a store into the scan, or in its place: it would be gone if its copy is not what was wanted."""
    if not isinstance(scan, str | os.PathLike):
        return
    here, there = Path(origin_of(scan)).resolve(), target.absolute().resolve()
    if here == there or there in here.parents or (here in there.parents and here.exists()):
        raise ParameterError(f"{target}, which is the scan, or in it", "another place", "choose another output")


def _way(chosen: Signal, cube: xr.DataArray, chunks: Mapping[str, int] | None, memory: int, workers: int) -> Rechunking:
    """How to go about it."""
    navigation = navigation_dims(cube)
    wrong = [dim for dim in chunks or {} if dim not in navigation]
    if wrong:
        raise ParameterError(
            f"chunks along {wrong}", f"navigation dims, {navigation}", "leave out the others: signals stay whole"
        )
    stored = Stored(
        shape=cube.shape,
        chunks=tuple(chosen.stored[dim] for dim in _order(chosen, cube)),
        n_navigation=len(navigation),
        itemsize=cube.dtype.itemsize,
    )
    return plan_rechunking(stored, memory, workers, [chunks.get(dim) for dim in navigation] if chunks else None)


def _order(chosen: Signal, cube: xr.DataArray) -> list[int]:
    """For each dim of the cube, which one of the file it is."""
    names = [axis.name for axis in chosen.axes]
    return [names.index(str(dim)) for dim in cube.dims]


def _read_by(chosen: Signal, cube: xr.DataArray, block: Sizes) -> xr.DataArray:
    """The cube with blocks of this size, in whole stored chunks."""
    steps = [chosen.stored[dim] for dim in _order(chosen, cube)]
    blocks = {str(dim): -(-size // step) * step for dim, size, step in zip(cube.dims, block, steps, strict=True)}
    return check_cube(chosen.to_cube(blocks))


def _place_of(name: str, cube: xr.DataArray) -> tuple[str | None, str]:
    """Group and name of the array in the new store, so that it is opened under the same name, if Zarr allows that."""
    group, _, leaf = name.rpartition("/")
    forbidden = any(not part.strip(".") or part.startswith("__") for part in name.split("/"))
    if forbidden or leaf in cube.dims:
        return None, "data" if "data" not in cube.dims else "scan"
    return group or None, leaf


@contextmanager
def _bounded_writes() -> Iterator[None]:
    """Let zarr-python, where it writes, encode one chunk after the other: it would hold ten at once for each worker.

    Chunks are also stored if there is nothing in them: -0.0 is not the 0.0 that a chunk that is missing stands for.
    """
    import zarr

    with zarr.config.set({"async.concurrency": 1, "array.write_empty_chunks": True}):
        yield


def _create(cube: xr.DataArray, path: Path, place: tuple[str | None, str], chunks: Sizes, note: dict[str, Any]) -> Any:
    """The array that a cube will be copied into, its dims, coordinates and attributes in place."""
    import zarr
    from zarr.codecs import BloscCodec

    group, name = place
    like = da.zeros(cube.shape, dtype=cube.dtype, chunks=chunks)
    attrs = {key: value for key, value in cube.attrs.items() if key not in _OF_THE_FILE}
    template = xr.DataArray(like, dims=cube.dims, coords=cube.coords, attrs=attrs)
    blosc = BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle")
    encoding = {name: {"chunks": chunks, "compressors": blosc}}
    write_metadata(xr.Dataset({name: template}, attrs={"refold": note}), path, encoding, group)
    return zarr.open_array(path / (group or "") / name, mode="r+")


def _copy(cube: xr.DataArray, new: Any, way: Rechunking, between: Path) -> None:
    """Write a cube into a new array, through a store between if there are two passes."""
    if way.between is None:
        _sweep(cube, new, way.gathered, shared=way.shared, label="convert")
        return
    _cut(cube, between, way.read, way.between, shared=way.shared)
    _sweep(_put_together(cube, between, way.gathered), new, way.gathered, label="put together")


def _sweep(cube: xr.DataArray, target: Any, block: Sizes, *, shared: bool = False, label: str) -> None:
    grid = _grid(cube.shape[: len(navigation_dims(cube))], block)
    sweep(cube, ZarrWriter(target, shared=shared), grid=grid, label=label)


def _grid(shape: Sizes, block: Sizes) -> Grid:
    """The grid cut into blocks of one size."""
    grid = Grid(tuple((*range(0, size, step), size) for size, step in zip(shape, block, strict=False)))
    return Grid(grid.edges, min(_PARTITIONS, grid.n_blocks))


def _cut(cube: xr.DataArray, folder: Path, block: Sizes, piece: Sizes, *, shared: bool) -> None:
    """Read all blocks, which hold no whole signals, and write them in pieces.

    To the sweep every dim is one to navigate, and what is measured at each place is one number.
    """
    import zarr
    from zarr.codecs import BloscCodec

    dims = tuple(map(str, cube.dims))
    numbers = as_cube(cube.data[..., np.newaxis], signal="number", dims=(*dims, "number"))
    blosc = BloscCodec(cname="lz4", clevel=1, shuffle="bitshuffle")
    pieces = zarr.create_array(
        folder, shape=cube.shape, dtype=cube.dtype, chunks=piece, compressors=blosc, overwrite=True
    )
    writer = ZarrWriter(pieces, _numbers, shared=shared)
    sweep(numbers, writer, grid=_grid(cube.shape, block), label="cut")


def _numbers(block: Block, where: Where) -> Any:
    return block.data[..., 0]


def _put_together(cube: xr.DataArray, folder: Path, block: Sizes) -> xr.DataArray:
    """The cube out of its pieces, in blocks of whole signals."""
    from refold.source.zarr import zarr_signals

    (pieces,) = zarr_signals(str(folder), str(folder))
    return cube.copy(data=pieces.array(block))
