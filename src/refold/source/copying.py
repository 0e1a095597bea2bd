"""A cube copied into a new array, block by block, in one pass or two; and looked at again."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from refold.cube import as_cube, navigation_dims
from refold.engine import Block, Where, ZarrWriter, sweep
from refold.errors import SourceError
from refold.planning import Grid
from refold.planning.rechunking import Rechunking, Sizes
from refold.source.checksums import Checksums, Sums, as_text
from refold.source.placing import write_metadata
from refold.source.resuming import Journal, NotedWriter, rest_of

# Attributes that say how it was read and from where, not what was measured.
_OF_THE_FILE = ("reader", "read_whole", "source", "signal")
_PARTITIONS = 64


@dataclass(frozen=True)
class Place:
    """Where a cube is copied to.

    Parameters
    ----------
    store, between : Path
        The new store, and one that lies there while it is written in two passes.
    group : str or None
        Of the array in the store.
    name : str
        Of the array in its group.
    """

    store: Path
    between: Path
    group: str | None
    name: str

    @property
    def path(self) -> Path:
        """Of the new array."""
        return self.store / (self.group or "") / self.name

    def array(self) -> Any:
        """The new array, to be written."""
        import zarr

        return zarr.open_array(self.path, mode="r+")

    def note(self, **entries: Any) -> None:
        """Keep entries in the attributes of the array's group."""
        import zarr

        group = zarr.open_group(self.store / (self.group or ""), mode="r+")
        there: Any = group.attrs["refold"]
        group.attrs["refold"] = {**there, **entries}
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Consolidated metadata")  # see `write_metadata`
            zarr.consolidate_metadata(self.store, zarr_format=3)


@contextmanager
def bounded_writes() -> Iterator[None]:
    """Let zarr-python, where it writes, encode one chunk after the other: it would hold ten at once for each worker.

    Chunks are also stored if there is nothing in them: -0.0 is not the 0.0 that a chunk that is missing stands for.
    """
    import zarr

    with zarr.config.set({"async.concurrency": 1, "array.write_empty_chunks": True}):
        yield


def kept_attrs(cube: xr.DataArray) -> dict[str, Any]:
    """Attributes that are copied: of what was measured, not of the file."""
    return {str(key): value for key, value in cube.attrs.items() if key not in _OF_THE_FILE}


def create(cube: xr.DataArray, place: Place, chunks: Sizes, shards: Sizes | None, note: dict[str, Any]) -> None:
    """Make the array that a cube will be copied into, its dims, coordinates and attributes in place."""
    from zarr.codecs import BloscCodec

    like = da.zeros(cube.shape, dtype=cube.dtype, chunks=shards or chunks)
    template = xr.DataArray(like, dims=cube.dims, coords=cube.coords, attrs=kept_attrs(cube))
    blosc = BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle")
    encoding = {place.name: {"chunks": chunks, "compressors": blosc, **({"shards": shards} if shards else {})}}
    write_metadata(xr.Dataset({place.name: template}, attrs={"refold": note}), place.store, encoding, place.group)


def copy(cube: xr.DataArray, place: Place, way: Rechunking, journal: Journal) -> Sums:
    """Write a cube into a new array, through a store between if there are two passes.

    Parameters
    ----------
    cube : xarray.DataArray
        In blocks that the way asks for.
    place : Place
        Where `create` made the array.
    way : Rechunking
        How.
    journal : Journal
        What is done; the rest is done.

    Returns
    -------
    numpy.ndarray
        Checksum of each new chunk, as it was written.

    Raises
    ------
    SourceError
        If what was put together in a second pass is not what was read in the first.
    """
    navigation = len(navigation_dims(cube))
    tiles = Checksums(cube.shape, navigation, way.chunks[:navigation])
    read = None
    if way.between is not None:
        _cut(cube, place.between, way, journal)
        read = journal.sums("cut", (1,) * navigation)
        cube = _put_together(cube, place.between, way.gathered)
    shared = way.shared and way.between is None
    _write(cube, ZarrWriter(place.array(), shared=shared), tiles, _grid(cube, way.gathered, navigation), journal)
    written = journal.sums("convert", tiles.counts)
    if read is not None and as_text(read) != as_text(written):
        raise SourceError(
            f"values that changed on the way, in {place.between}", "what was read", "check the disk, and begin anew"
        )
    return written


def _write(
    cube: xr.DataArray, writer: ZarrWriter, checksums: Checksums, grid: Grid, journal: Journal, step: str = "convert"
) -> None:
    rest = rest_of(grid, journal.done(step))
    if rest is not None:
        sweep(cube, NotedWriter(writer, checksums, journal, step), grid=rest, label=step)


def _grid(cube: xr.DataArray, block: Sizes, n_dims: int) -> Grid:
    """The first dims of a cube cut into blocks of whole chunks, of no more than a size."""
    chunks = cube.chunks or tuple((1,) * size for size in cube.shape)
    edges = tuple(_edges(sizes, step) for sizes, step in zip(chunks[:n_dims], block, strict=False))
    grid = Grid(edges)
    return Grid(edges, min(_PARTITIONS, grid.n_blocks))


def _edges(sizes: tuple[int, ...], step: int) -> tuple[int, ...]:
    """Edges of runs of chunks, each as long as may be."""
    edges, last = [0], 0
    for edge in accumulate(sizes):
        if edge - edges[-1] > step and last > edges[-1]:
            edges.append(last)
        last = edge
    return (*edges, last)


def _cut(cube: xr.DataArray, folder: Path, way: Rechunking, journal: Journal) -> None:
    """Read all blocks, which hold no whole signals, and write them in pieces.

    To the sweep every dim is one to navigate, and what is measured at each place is one number.
    """
    import zarr
    from zarr.codecs import BloscCodec

    dims = tuple(map(str, cube.dims))
    numbers = as_cube(cube.data[..., np.newaxis], signal="number", dims=(*dims, "number"))
    blosc = BloscCodec(cname="lz4", clevel=1, shuffle="bitshuffle")
    if folder.exists() and journal.done("cut"):
        pieces = zarr.open_array(folder, mode="r+")
    else:
        pieces = zarr.create_array(
            folder, shape=cube.shape, dtype=cube.dtype, chunks=way.between or "auto", compressors=blosc, overwrite=True
        )
    checksums = Checksums(cube.shape, len(navigation_dims(cube)))
    grid = _grid(numbers, way.read, cube.ndim)
    _write(numbers, ZarrWriter(pieces, _numbers, shared=way.shared), checksums, grid, journal, "cut")


def _numbers(block: Block, where: Where) -> Any:
    return block.data[..., 0]


def _put_together(cube: xr.DataArray, folder: Path, block: Sizes) -> xr.DataArray:
    """The cube out of its pieces, in blocks of whole signals."""
    from refold.source.zarr import zarr_signals

    (pieces,) = zarr_signals(str(folder), str(folder))
    return cube.copy(data=pieces.array(block))


def verify(place: Place, cube: xr.DataArray, way: Rechunking, written: Sums) -> None:
    """Read what was written, and compare.

    Raises
    ------
    SourceError
        If a chunk does not hold what was written; it is named.
    """
    from refold.source.zarr import zarr_signals

    array = place.array()
    (there,) = [one for one in zarr_signals(array, str(place.store)) if one.shape == cube.shape]
    navigation = len(navigation_dims(cube))
    again = cube.copy(data=there.array(there.stored))
    (found,) = sweep(again, Checksums(cube.shape, navigation, way.chunks[:navigation]), label="verify")
    wrong = np.argwhere(found != written)
    if wrong.size:
        kind = "shard" if math.prod(array.shards or (1,)) > 1 else "chunk"
        position = (*map(int, wrong[0]), *(0,) * (cube.ndim - navigation))
        raise SourceError(
            f"{kind} {position} of {place.name!r}, which does not hold what was written, and {len(wrong) - 1} others",
            "what was read",
            "check the disk, and convert again",
        )
