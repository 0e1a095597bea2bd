"""A phantom written as a Zarr store, in bounded memory and by several threads."""

from __future__ import annotations

import errno
import itertools
import shutil
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr

from refold.errors import DiskFullError, StoreExistsError

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
    if target.exists() and not overwrite:
        raise StoreExistsError(f"{target}, which exists", "a new path", "choose another, or pass overwrite=True")
    partial = target.with_name(f".{target.name}.partial")
    _remove(partial)
    try:
        _write(phantom, partial, shards, workers)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            remedy = "free some, or choose another path"
            raise DiskFullError(f"no space left for {target}", "a larger disk", remedy) from error
        raise
    _remove(target)
    partial.replace(target)
    return target


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    elif path.exists():
        path.unlink()


def _write(phantom: Phantom, path: Path, shards: tuple[int, ...] | None, workers: int) -> None:
    import zarr
    from zarr.codecs import BloscCodec

    path.parent.mkdir(parents=True, exist_ok=True)
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
    with warnings.catch_warnings():
        # xarray warns without consolidated metadata, zarr-python warns with it; readers are quicker with it.
        warnings.filterwarnings("ignore", "Consolidated metadata")
        dataset = xr.Dataset(arrays, attrs=dict(phantom.attrs))
        dataset.to_zarr(path, compute=False, zarr_format=3, consolidated=True, encoding=encoding)
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
