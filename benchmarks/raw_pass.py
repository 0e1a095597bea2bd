"""The raw pass: rebin 2 x 2, take sums, write the features.

The one pass over the raw scan that every run begins with: 2 x 2 detector pixels become one, mean and variance of every
feature are taken, and the features are written, uncompressed unless the row says otherwise. *Bare decode* is the
limit, as in [reading](reading.md); the compiled loop on reused buffers, written into a memory map, is how near 60
lines for one layout come.

A sum of four uint16 may need 18 bits. Refold writes it as uint32 and HyperSpy as uint64; the others keep uint16 here,
half of the bytes, which this scan happens to fit.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import scans
from benchmarks.measure import Case, Contender, Work, alternate
from benchmarks.reading import bare_decode, chunk_slices, decoder, in_threads, zarr_array
from benchmarks.tables import PEAK, Column, Table, compare, fact, rate

FACTOR = 2
WRITTEN: Column = ("written, GB", fact("written", 1e9))


def a_folder(case: Case) -> Path:
    """A new folder to write into."""
    return Path(tempfile.mkdtemp(prefix="written-", dir=case["folder"]))


def removed(case: Case, folder: Path) -> dict[str, Any]:
    """Bytes that were written; then they go."""
    written = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    shutil.rmtree(folder)
    return {"written": written}


def target(path: Path, shape: tuple[int, ...], chunks: tuple[int, ...], dtype: Any, compressed: bool = False) -> Any:
    """An empty Zarr array."""
    import zarr
    from zarr.codecs import BloscCodec

    codec = BloscCodec(cname="lz4", clevel=1, shuffle="bitshuffle") if compressed else None
    return zarr.create_array(path, shape=shape, chunks=chunks, dtype=dtype, compressors=codec)


def halved(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape after rebinning the signal."""
    return (*shape[:2], *(size // FACTOR for size in shape[2:]))


def refold_pass(compressed: bool) -> Any:
    def setup(case: Case) -> Work:
        import refold
        from refold.engine import plan_grid

        cube = refold.rebin(refold.open(case["scan"]), {"ky": FACTOR, "kx": FACTOR})
        grid = plan_grid(cube, refold.Moments())  # as a run does: chunks that no two blocks share
        chunks = (*grid.target_chunks(1024), *cube.shape[2:])

        def work() -> Path:
            folder = a_folder(case)
            array = target(folder / "features.zarr", cube.shape, chunks, cube.dtype, compressed)
            refold.sweep(cube, refold.Moments(), refold.ZarrWriter(array), grid=grid)
            return folder

        return work

    return setup


def compiled_loop() -> Any:
    """Rebin a chunk and add up sums and squares, in one compiled loop; its cache is this package's."""
    import numba

    @numba.njit(nogil=True, cache=True)
    def rebinned(block, out, total, square):  # type: ignore[no-untyped-def]
        for i in range(block.shape[0]):
            for j in range(block.shape[1]):
                for u in range(out.shape[2]):
                    for v in range(out.shape[3]):
                        out[i, j, u, v] = (
                            block[i, j, 2 * u, 2 * v]
                            + block[i, j, 2 * u, 2 * v + 1]
                            + block[i, j, 2 * u + 1, 2 * v]
                            + block[i, j, 2 * u + 1, 2 * v + 1]
                        )
                    for v in range(out.shape[3]):
                        value = np.float32(out[i, j, u, v])
                        total[u, v] += value
                        square[u, v] += value * value

    return rebinned


def floor(case: Case) -> Work:
    """Decode into a reused buffer, one compiled loop, written into a memory map."""
    import threading

    loop, note = compiled_loop(), scans.array_of(case["scan"])[1]
    shape = halved(tuple(note["shape"]))

    def work() -> Path:
        folder, local = a_folder(case), threading.local()
        features = np.lib.format.open_memmap(folder / "features.npy", mode="w+", dtype=note["data_type"], shape=shape)

        def then(block: np.ndarray, region: tuple[slice, ...]) -> None:
            if not hasattr(local, "out"):
                local.out = np.empty(halved(block.shape), block.dtype)
                local.total, local.square = np.zeros((2, *shape[2:]), np.float32)
            out = local.out[: block.shape[0], : block.shape[1]]
            loop(block, out, local.total, local.square)
            features[region[:2]] = out

        decoder(case["scan"], then)()
        return folder

    return work


def zarrs_and_numba(case: Case) -> Work:
    array, loop = zarr_array(case["scan"], "zarrs"), compiled_loop()

    def work() -> Path:
        folder = a_folder(case)
        out = target(folder / "features.zarr", halved(array.shape), halved(array.chunks), array.dtype)

        def one(region: tuple[slice, ...]) -> None:
            block = array[region]
            binned = np.empty(halved(block.shape), block.dtype)
            loop(block, binned, *np.zeros((2, *binned.shape[2:]), np.float32))
            out[region[:2]] = binned

        in_threads(one, chunk_slices(array.shape, array.chunks))
        return folder

    return work


def numpy_reshape(case: Case) -> Work:
    array = zarr_array(case["scan"], None)

    def work() -> Path:
        folder = a_folder(case)
        out = target(folder / "features.zarr", halved(array.shape), halved(array.chunks), array.dtype)

        def one(region: tuple[slice, ...]) -> None:
            block = array[region]
            y, x, ky, kx = halved(block.shape)
            binned = block.reshape(y, x, ky, FACTOR, kx, FACTOR).sum(axis=(3, 5), dtype=block.dtype)
            binned.sum((0, 1)), np.square(binned, dtype=np.float32).sum((0, 1))
            out[region[:2]] = binned

        in_threads(one, chunk_slices(array.shape, array.chunks))
        return folder

    return work


def dask_coarsen(case: Case) -> Work:
    import dask
    import dask.array as da

    array = da.from_zarr(zarr_array(case["scan"], None))
    binned = da.coarsen(np.sum, array, {2: FACTOR, 3: FACTOR}, dtype=array.dtype).astype(array.dtype)

    def work() -> Path:
        folder = a_folder(case)
        out = target(folder / "features.zarr", binned.shape, binned.chunksize, binned.dtype)
        wide = binned.astype(np.float32)
        stored = da.store(binned, out, lock=False, compute=False)
        dask.compute(stored, wide.sum((0, 1)), (wide * wide).sum((0, 1)))
        return folder

    return work


def hyperspy_signal(scan: str) -> Any:
    """The scan as HyperSpy's lazy signal, chunks as on disk."""
    import dask.array as da
    import hyperspy.api as hs

    hs.preferences.General.show_progressbar = False
    return hs.signals.Signal2D(da.from_zarr(zarr_array(scan, None))).as_lazy()


def hyperspy_rebin(case: Case) -> Work:
    signal = hyperspy_signal(case["scan"])

    def work() -> Path:
        folder = a_folder(case)
        signal.rebin(scale=(1, 1, FACTOR, FACTOR)).save(folder / "features.hspy", compression=None)
        return folder

    return work


CONTENDERS = {
    "decode": Contender("bare decode (numcodecs)", bare_decode),
    "floor": Contender("decode, one compiled loop, memory map (60 lines)", floor, facts=removed),
    "refold": Contender("refold: rebin, Moments, ZarrWriter", refold_pass(False), facts=removed),
    "refold-lz4": Contender("refold, features compressed (lz4)", refold_pass(True), facts=removed),
    "zarrs": Contender("zarrs and Numba", zarrs_and_numba, ("zarrs",), removed),
    "numpy": Contender("zarr-python, NumPy reshape in threads", numpy_reshape, facts=removed),
    "dask": Contender("dask coarsen, to_zarr", dask_coarsen, facts=removed),
    "hyperspy": Contender("HyperSpy lazy rebin, save (no sums)", hyperspy_rebin, ("hyperspy",), removed),
}


def run(setup: scans.Setup) -> Iterator[Table]:
    folder = str(setup.folder)
    small = {"scan": str(scans.diffraction(setup.folder, 32)), "folder": folder}
    for side in (96,) if setup.quick else (256, 512) if setup.large else (256,):
        scan = scans.diffraction(setup.folder, side)
        found = alternate(__name__, CONTENDERS, {"scan": str(scan), "folder": folder}, warm=small, **setup.counts)
        size = scans.n_bytes(scan)
        title = f"A 4D-STEM scan of {size / 1e9:.2g} GB"
        yield compare(title, found, base="decode", head="bare decode = 1", columns=[rate(size), PEAK, WRITTEN])
