"""Reading: as fast as the bytes can be decoded.

The limit is *bare decode*: every chunk file read and decoded by numcodecs into a buffer that is used again, by one
thread a core, and nothing else. Refold's row is a sweep whose visitor does nothing. The others read each chunk once as
well, one task a chunk, and drop it. The page cache is warm, so no disk is in these numbers.
"""

from __future__ import annotations

import ctypes
import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from benchmarks import scans
from benchmarks.machine import cores
from benchmarks.measure import Case, Contender, Work, alternate
from benchmarks.tables import PEAK, Table, compare, rate

Slices = tuple[slice, ...]


class Empty:
    """A visitor that does nothing."""

    nbytes = 0

    def start(self) -> None:
        return None

    def visit(self, state: None, block: Any, where: Any) -> None:
        pass

    def merge(self, one: None, other: None) -> None:
        return None

    def finish(self, state: None) -> None:
        return None


def chunk_slices(shape: tuple[int, ...], chunks: tuple[int, ...]) -> list[Slices]:
    """The region of each chunk, in C order."""
    starts = [range(0, size, step) for size, step in zip(shape, chunks, strict=True)]
    return [
        tuple(slice(at, min(at + step, size)) for at, step, size in zip(corner, chunks, shape, strict=True))
        for corner in itertools.product(*starts)
    ]


def in_threads(do: Callable[[Any], Any], items: list[Any]) -> None:
    """Do each item once, by one thread a core."""
    with ThreadPoolExecutor(cores()) as pool:
        for _ in pool.map(do, items):
            pass


def decoder(scan: str, then: Callable[[np.ndarray, Slices], None] | None = None) -> Work:
    """Decode every chunk into its thread's buffer, and hand it on with the region it belongs to."""
    from numcodecs import blosc

    folder, note = scans.array_of(scan)
    shape, chunks = tuple(note["shape"]), tuple(note["chunk_grid"]["configuration"]["chunk_shape"])
    files = [
        (folder / "c" / "/".join(str(part.start // step) for part, step in zip(region, chunks, strict=True)), region)
        for region in chunk_slices(shape, chunks)
    ]
    dtype = np.dtype(note["data_type"])

    def work() -> None:
        blosc.use_threads = False
        local = threading.local()

        def one(item: Any) -> None:
            file, region = item
            if not hasattr(local, "block"):  # fresh buffers would cost more than the decoding
                local.block = np.empty(chunks, dtype)
            blosc.decompress(file.read_bytes(), local.block)
            if then is not None:
                then(local.block[tuple(slice(part.stop - part.start) for part in region)], region)

        in_threads(one, files)

    return work


def bare_decode(case: Case) -> Work:
    return decoder(case["scan"])


def refold_sweep(case: Case) -> Work:
    import refold

    cube = refold.open(case["scan"])
    return lambda: refold.sweep(cube, Empty())


def keep_buffers() -> None:
    """Tell glibc to keep large buffers, and not to take fresh pages from the system for each."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(-3, 1 << 30)  # M_MMAP_THRESHOLD
        mallopt(-1, (1 << 31) - 1)  # M_TRIM_THRESHOLD


def zarr_array(scan: str, pipeline: str | None) -> Any:
    """The scan's array, opened by zarr-python with a codec pipeline."""
    import zarr

    if pipeline == "zarrs":
        zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline", "threading.max_workers": cores()})
    return zarr.open_array(scans.array_of(scan)[0], mode="r")


def chunk_a_task(pipeline: str | None, keep: bool) -> Callable[[Case], Work]:
    def setup(case: Case) -> Work:
        if keep:
            keep_buffers()
        array = zarr_array(case["scan"], pipeline)
        regions = chunk_slices(array.shape, array.chunks)
        return lambda: in_threads(array.__getitem__, regions)

    return setup


def dask_sum(case: Case) -> Work:
    import dask.array as da

    array = da.from_zarr(zarr_array(case["scan"], None))
    return lambda: array.sum().compute()


def tensorstore(case: Case) -> Work:
    import tensorstore as ts

    context = {"data_copy_concurrency": {"limit": cores()}, "cache_pool": {"total_bytes_limit": 0}}
    folder, note = scans.array_of(case["scan"])
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{folder}/"}, "context": context}
    array = ts.open(spec, read=True).result()
    regions = chunk_slices(tuple(note["shape"]), tuple(note["chunk_grid"]["configuration"]["chunk_shape"]))
    return lambda: in_threads(lambda region: array[region].read().result(), regions)


CONTENDERS = {
    "decode": Contender("bare decode (numcodecs)", bare_decode),
    "refold": Contender("refold, a sweep with an empty visitor", refold_sweep),
    "zarrs": Contender("zarrs pipeline, one chunk a task", chunk_a_task("zarrs", False), ("zarrs",)),
    "zarrs-kept": Contender("zarrs pipeline, the allocator keeps buffers", chunk_a_task("zarrs", True), ("zarrs",)),
    "zarr": Contender("zarr-python, one chunk a task", chunk_a_task(None, False)),
    "zarr-kept": Contender("zarr-python, the allocator keeps buffers", chunk_a_task(None, True)),
    "dask": Contender("dask.array.from_zarr(…).sum()", dask_sum),
    "tensorstore": Contender("TensorStore, one chunk a task", tensorstore, ("tensorstore",)),
}


def run(setup: scans.Setup) -> Iterator[Table]:
    scan = scans.diffraction(setup.folder, 96 if setup.quick else 256)
    small = scans.diffraction(setup.folder, 32)
    found = alternate(__name__, CONTENDERS, {"scan": str(scan)}, warm={"scan": str(small)}, **setup.counts)
    size = scans.n_bytes(scan)
    title = f"A 4D-STEM scan of {size / 1e9:.2g} GB, chunks of 32 x 32 whole patterns, zstd 3 with bit shuffle"
    yield compare(title, found, base="decode", head="bare decode = 1", columns=[rate(size), PEAK])
