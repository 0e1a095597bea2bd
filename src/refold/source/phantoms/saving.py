"""A phantom written as a Zarr store, in bounded memory and by several threads."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr

from refold.source.placing import write_metadata, written_whole

if TYPE_CHECKING:
    from refold.source.phantoms.phantom import Phantom

Slices = tuple[slice, ...]


def save(phantom: Phantom, target: Path, shards: tuple[int, ...] | None, overwrite: bool, workers: int) -> Path:
    """Write a phantom under a hidden name and give it its own name when it is whole.

    Raises
    ------
    StoreExistsError
        If there is something at ``target`` already, unless ``overwrite``.
    DiskFullError
        If the disk fills up; nothing is left of the store then.
    """
    with written_whole(target, overwrite) as partial:
        _write(phantom, partial, shards, workers)
    return target


def _write(phantom: Phantom, path: Path, shards: tuple[int, ...] | None, workers: int) -> None:
    import zarr
    from zarr.codecs import BloscCodec

    chunks, whole = phantom.block_shape(), phantom.signal_shape
    unit = shards or chunks
    blosc = BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle")
    encoding: dict[str, Any] = {phantom.name: {"chunks": (*chunks, *whole), "compressors": blosc}}
    if shards:
        encoding[phantom.name]["shards"] = (*shards, *whole)
    truth = ("labels", "grains")
    encoding |= {name: {"chunks": unit, "compressors": blosc} for name in truth}
    # Only the metadata comes from these lazy arrays, so their chunks are made those of the store.
    shaped = phantom.rechunk(*unit)
    arrays = {phantom.name: shaped.cube, "labels": shaped.labels, "grains": shaped.grains}
    write_metadata(xr.Dataset(arrays, attrs=dict(phantom.attrs)), path, encoding)
    group: Any = zarr.open_group(path, mode="r+")

    def write(where: Slices) -> None:
        group[phantom.name][where] = phantom.block(where)
        group["labels"][where] = phantom.truth_block(where, "labels")
        group["grains"][where] = phantom.truth_block(where, "grains")

    in_threads(write, tiles(phantom.scene.shape, unit), workers)


def tiles(shape: tuple[int, ...], unit: tuple[int, ...]) -> Iterator[Slices]:
    """Slices that tile a navigation grid, in C order; ragged at the ends."""
    steps = [range(0, n, step) for n, step in zip(shape, unit, strict=True)]
    for corner in itertools.product(*steps):
        yield tuple(slice(c, min(c + step, n)) for c, step, n in zip(corner, unit, shape, strict=True))


def in_threads(write: Callable[[Slices], None], places: Iterator[Slices], workers: int) -> None:
    """Call ``write`` on each tile; never more tiles under way than workers, and none begun after one has failed."""
    with ThreadPoolExecutor(workers) as pool:
        pending = {pool.submit(write, tile) for tile in itertools.islice(places, workers)}
        while pending:
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                future.result()
            pending |= {pool.submit(write, tile) for tile in itertools.islice(places, len(done))}
